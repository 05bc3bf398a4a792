"""How many are there?"""

from __future__ import annotations

from typing import Any, ClassVar

from vlmloom.components.task.base import Item, cells, pair, placed
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import Drawing
from vlmloom.components.task.perception.asked import PerceptionTask
from vlmloom.components.task.world import World
from vlmloom.registry import register


@register("task/count")
class Count(PerceptionTask):
    """Count the things of one name among others.

    Args:
        world: what is shared by the tasks of a suite.
        largest: the largest count.
        others: the largest number of other things beside them (all alike).
        language: see `PerceptionTask`.
    """

    name = "count"
    knob = "largest"
    asks: ClassVar = {
        "en": "how many: {0}?",
        "es": "¿cuántos hay: {0}?",
        "de": "wie viele: {0}?",
        "zh": "有几个{0}？",
    }

    def __init__(self, *, world: World, largest: int = 4, others: int = 1, language: str = "en") -> None:
        super().__init__(world=world, language=language)
        if largest < 2 or others < 0 or largest + others > 6:
            raise ValueError(
                f"task/count: largest is {largest} and others {others}, but a picture takes 2 to 6 things"
            )
        self.largest = largest
        self.others = others
        # What is held out are pairs: where a picture shows one kind of thing, there is nothing to compose.
        self.held = others > 0

    def judge(self) -> dict[str, Any]:
        """The number, exactly."""
        return {"use": "reward/number"}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """So many of one thing, and perhaps some of another."""
        style = self.world.style_of(split, draw)
        both = pair(self.world, draw, style, split)
        if both is None:
            return None
        asked, other = both
        number = draw.between(1, self.largest)
        # A held-out pair has to be seen, so the compositional split always shows the other thing too.
        extra = draw.between(1 if split == "compositional" else 0, self.others) if self.others else 0
        width, height = self.world.canvas(draw)
        side = self.world.side
        if (width // (side // 2)) * (height // (side // 2)) < number + extra:
            width, height = side * 3 // 2, side
        layers, things = [], []
        for position, (x, y, size) in enumerate(cells(draw, width, height, side, number + extra)):
            entry = asked if position < number else other
            layer, thing = placed(style, entry, x, y, size, width, height, flip=draw.chance(0.5))
            layers.append(layer)
            things.append(thing)
        picture = Drawing(width, height, self.world.backdrop(draw, width, height), (tuple(layers),))
        choices = tuple(str(count) for count in range(1, self.largest + 1))
        return Item(self.ask(asked.name), str(number), tuple(things), (picture,), choices, style.name)
