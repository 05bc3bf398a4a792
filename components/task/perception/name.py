"""What is it?"""

from __future__ import annotations

from typing import ClassVar

from vlmloom.components.task.base import Item, single
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.perception.alone import AloneTask
from vlmloom.registry import register


@register("task/name")
class Name(AloneTask):
    """Name the one thing in a picture."""

    name = "name"
    asks: ClassVar = {
        "en": "what is this?",
        "es": "¿qué es esto?",
        "de": "was ist das?",
        "zh": "这是什么？",
    }
    held = False

    def compose(self, draw: Draw, split: str) -> Item:
        """One thing anywhere in the picture."""
        style = self.world.style_of(split, draw)
        entry = draw.choice(style.entries)
        picture, thing = single(self.world, draw, style, entry, sizes=self.sizes)
        names = tuple(entry.name for entry in style.entries)
        return Item(self.ask(), entry.name, (thing,), (picture,), names, style.name)
