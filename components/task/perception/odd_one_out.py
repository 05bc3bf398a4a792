"""Which one is not like the others?"""

from __future__ import annotations

from typing import ClassVar

from vlmloom.components.task.base import Item, cells, pair, placed
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import Drawing
from vlmloom.components.task.perception.asked import PerceptionTask
from vlmloom.components.task.world import World
from vlmloom.registry import register


@register("task/odd_one_out")
class OddOneOut(PerceptionTask):
    """Name the one thing that is not like the others.

    Args:
        world: what is shared by the tasks of a suite.
        alike: how many others there are.
        language: see `PerceptionTask`.
    """

    name = "odd_one_out"
    knob = "alike"
    asks: ClassVar = {
        "en": "which is the odd one?",
        "es": "¿cuál es diferente de los demás?",
        "de": "was passt nicht zu den anderen?",
        "zh": "哪一个与众不同？",
    }

    def __init__(self, *, world: World, alike: int = 3, language: str = "en") -> None:
        super().__init__(world=world, language=language)
        if not 2 <= alike <= 3:
            raise ValueError(
                f"task/odd_one_out: alike is {alike}, but a picture takes 2 or 3 beside the odd one"
            )
        self.alike = alike

    def compose(self, draw: Draw, split: str) -> Item | None:
        """Some that are alike, and one other."""
        style = self.world.style_of(split, draw)
        both = pair(self.world, draw, style, split)
        if both is None:
            return None
        odd, common = both
        width, height = self.world.canvas(draw)
        drawn = [
            placed(style, odd if number == 0 else common, *place, width, height, flip=draw.chance(0.5))
            for number, place in enumerate(cells(draw, width, height, self.world.side, self.alike + 1))
        ]
        layers = tuple(layer for layer, _ in drawn)
        picture = Drawing(width, height, self.world.backdrop(draw, width, height), (layers,))
        things = tuple(thing for _, thing in drawn)
        names = tuple(entry.name for entry in style.entries)
        return Item(self.ask(), odd.name, things, (picture,), names, style.name)
