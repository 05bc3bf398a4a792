"""Where is it, in coordinates?"""

from __future__ import annotations

from typing import Any, ClassVar

from vlmloom.components.contracts.sample import Thing
from vlmloom.components.task.base import Item, halves, pair, placed, single
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import Drawing
from vlmloom.components.task.perception.asked import PerceptionTask
from vlmloom.components.task.world import World
from vlmloom.registry import register


@register("task/box")
class BoxOf(PerceptionTask):
    """Give the box of a named thing as `[x1,y1,x2,y2]` from 0 to 1000.

    Args:
        world: what is shared by the tasks of a suite.
        overlap: the intersection over union from which a box counts as right.
        alone: the share of scenes in which the thing is the only one.
        language: see `PerceptionTask`.
    """

    name = "box"
    knob = "alone"
    asks: ClassVar = {
        "en": "box of the {0}?",
        "es": "¿caja de: {0}?",
        "de": "Rahmen um: {0}?",
        "zh": "{0}的边界框？",
    }

    def __init__(
        self, *, world: World, overlap: float = 0.5, alone: float = 0.5, language: str = "en"
    ) -> None:
        super().__init__(world=world, language=language)
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
        return Item(self.ask(asked.name), answer, things, (picture,), source=style.name)

    def judge(self) -> dict[str, Any]:
        """By the overlap of the boxes."""
        return {"use": "reward/box", "overlap": self.overlap}
