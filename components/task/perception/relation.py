"""Where is one thing, seen from another?"""

from __future__ import annotations

from typing import ClassVar

from vlmloom.components.task.base import Item, halves, pair, placed
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import Drawing
from vlmloom.components.task.perception.asked import PerceptionTask
from vlmloom.components.task.world import World
from vlmloom.registry import register

SIDES = ("left", "right", "above", "below")


@register("task/relation")
class Relation(PerceptionTask):
    """Say on which side of another thing a thing is: left, right, above or below.

    Args:
        world: what is shared by the tasks of a suite.
        smallest: the least size of a thing, in 64ths of the picture's side, of at most 28; smaller is harder.
        language: see `PerceptionTask`.
    """

    name = "relation"
    knob = "smallest"
    asks: ClassVar = {
        "en": "where is the {0} from the {1}?",
        "es": "¿dónde está ({0}) con respecto a ({1})?",
        "de": "wo ist, von „{1}“ aus gesehen: {0}?",
        "zh": "{0}在{1}的哪一边？",
    }

    def __init__(self, *, world: World, smallest: int = 24, language: str = "en") -> None:
        super().__init__(world=world, language=language)
        if not 12 <= smallest <= 28:
            raise ValueError(f"task/relation: smallest is {smallest}; 12 to 28 would be right")
        self.smallest = smallest

    def compose(self, draw: Draw, split: str) -> Item | None:
        """Two things well apart along one axis."""
        style = self.world.style_of(split, draw)
        both = pair(self.world, draw, style, split)
        if both is None:
            return None
        answer = draw.choice(SIDES)
        width, height = self.world.canvas(draw)
        places = halves(draw, width, height, self.world.side, answer in ("above", "below"), self.smallest)
        if answer in ("right", "below"):
            places.reverse()
        drawn = [
            placed(style, entry, *place, width, height, flip=draw.chance(0.5))
            for entry, place in zip(both, places, strict=True)
        ]
        picture = Drawing(
            width, height, self.world.backdrop(draw, width, height), (tuple(layer for layer, _ in drawn),)
        )
        things = tuple(thing for _, thing in drawn)
        asked, other = both
        return Item(self.ask(asked.name, other.name), answer, things, (picture,), SIDES, style.name)
