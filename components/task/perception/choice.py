"""Which of these is it?"""

from __future__ import annotations

from typing import ClassVar

from vlmloom.components.task.base import Item, single
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.perception.asked import PerceptionTask
from vlmloom.components.task.world import World
from vlmloom.registry import register


@register("task/choice")
class Choice(PerceptionTask):
    """Multiple choice: pick the name of the one thing in a picture.

    Args:
        world: what is shared by the tasks of a suite.
        options: how many names are offered.
        language: see `PerceptionTask`.
    """

    name = "choice"
    asks: ClassVar = {"en": "{0} or {1}?", "es": "¿{0} o {1}?", "de": "{0} oder {1}?", "zh": "{0}还是{1}？"}
    held = False
    knob = "options"

    def __init__(self, *, world: World, options: int = 4, language: str = "en") -> None:
        super().__init__(world=world, language=language)
        if not 2 <= options <= len(world.vocabulary):
            raise ValueError(f"task/choice: options is {options}, but may be 2 to {len(world.vocabulary)}")
        self.options = options

    def compose(self, draw: Draw, split: str) -> Item:
        """One thing, and its name among others."""
        style = self.world.style_of(split, draw)
        entries = draw.sample(style.entries, min(self.options, len(style.entries)))
        entry = draw.choice(entries)
        picture, thing = single(self.world, draw, style, entry)
        names = tuple(other.name for other in entries)
        return Item(self.either(names), entry.name, (thing,), (picture,), names, style.name)
