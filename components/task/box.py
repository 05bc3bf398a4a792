"""Where is it, in coordinates?"""

from __future__ import annotations

import re

from vlmloom.components.contracts.sample import Reward, Sample, Thing
from vlmloom.components.task.base import Item, SceneTask, halves, pair, placed, single
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import Drawing
from vlmloom.components.task.world import World
from vlmloom.registry import register


@register("task/box")
class BoxOf(SceneTask):
    """Give the box of a named thing as `[x1,y1,x2,y2]` from 0 to 1000.

    Args:
        world: what is shared by the tasks of a suite.
        overlap: the intersection over union from which a box counts as right.
        alone: the share of scenes in which the thing is the only one.
    """

    name = "box"
    family = "spatial"

    def __init__(self, *, world: World, overlap: float = 0.5, alone: float = 0.5) -> None:
        super().__init__(world=world)
        if not 0 < overlap <= 1:
            raise ValueError(
                f"task/box: overlap is {overlap}, but an intersection over union is above 0, at most 1"
            )
        if not 0 <= alone <= 1:
            raise ValueError(f"task/box: alone is {alone}, but a share is 0 to 1")
        self.overlap = overlap
        self.alone = alone

    def compose(self, draw: Draw, split: str) -> Item | None:
        """The thing, perhaps with another beside it."""
        style = self.world.style_of(split, draw)
        if split != "compositional" and draw.chance(self.alone):
            picture, asked = single(self.world, draw, style, draw.choice(style.entries))
            things: tuple[Thing, ...] = (asked,)
        else:
            both = pair(self.world, draw, style, split)
            if both is None:
                return None
            width, height = self.world.canvas(draw)
            places = halves(draw, width, height, self.world.side, draw.chance(0.5))
            draw.shuffle(places)
            drawn = [
                placed(style, entry, *place, width, height, flip=draw.chance(0.5))
                for entry, place in zip(both, places, strict=True)
            ]
            layers = tuple(layer for layer, _ in drawn)
            picture = Drawing(width, height, self.world.backdrop(draw, width, height), (layers,))
            things = tuple(thing for _, thing in drawn)
            asked = things[0]
        answer = f"[{','.join(map(str, asked.box))}]"
        return Item(f"box of the {asked.name}?", answer, things, (picture,), source=style.name)

    def check(self, sample: Sample, response: str) -> Reward:
        """Full marks for a box that overlaps the true one enough; `parts` holds the overlap."""
        found, gold = read_box(response), read_box(sample.answer)
        assert gold is not None
        if found is None:
            return Reward(0.0, {"overlap": 0.0}, f"no four numbers in {response!r}")
        overlap = intersection_over_union(found, gold)
        return Reward(float(overlap >= self.overlap), {"overlap": overlap}, f"overlap {overlap:.2f}")


def read_box(text: str) -> tuple[int, int, int, int] | None:
    """The four numbers in a text, if it has four and they make a box.

    >>> read_box("at [10, 20, 30, 40].")
    (10, 20, 30, 40)
    """
    numbers = [int(number) for number in re.findall(r"\d{1,6}", text)]
    if len(numbers) != 4 or numbers[0] >= numbers[2] or numbers[1] >= numbers[3]:
        return None
    return numbers[0], numbers[1], numbers[2], numbers[3]


def intersection_over_union(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> float:
    """How much two boxes overlap, from 0 to 1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = ((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (sum(areas) - width * height)
