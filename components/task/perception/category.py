"""What kind of thing is it?"""

from __future__ import annotations

from typing import ClassVar

from vlmloom.components.task.base import Item, single
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.perception.alone import AloneTask
from vlmloom.registry import register


@register("task/category")
class Category(AloneTask):
    """Say which group the one thing in a picture belongs to."""

    name = "category"
    asks: ClassVar = {
        "en": "what kind is this?",
        "es": "¿de qué tipo es?",
        "de": "was für eine Art ist das?",
        "zh": "这属于哪一类？",
    }
    held = False

    def compose(self, draw: Draw, split: str) -> Item:
        """One thing anywhere in the picture."""
        style = self.world.style_of(split, draw)
        entry = draw.choice(style.entries)
        picture, thing = single(self.world, draw, style, entry, sizes=self.sizes)
        return Item(self.ask(), entry.category, (thing,), (picture,), self.world.categories, style.name)
