"""What kind of thing is it?"""

from __future__ import annotations

from vlmloom.components.task.base import Item, SceneTask, single
from vlmloom.components.task.draw import Draw
from vlmloom.registry import register


@register("task/category")
class Category(SceneTask):
    """Say which group the one thing in a picture belongs to."""

    name = "category"
    held = False

    def compose(self, draw: Draw, split: str) -> Item:
        """One thing anywhere in the picture."""
        style = self.world.style_of(split, draw)
        entry = draw.choice(style.entries)
        picture, thing = single(self.world, draw, style, entry)
        return Item(
            "what kind is this?", entry.category, (thing,), (picture,), self.world.categories, style.name
        )
