"""What is it?"""

from __future__ import annotations

from vlmloom.components.task.base import Item, SceneTask, single
from vlmloom.components.task.draw import Draw
from vlmloom.registry import register


@register("task/name")
class Name(SceneTask):
    """Name the one thing in a picture."""

    name = "name"
    held = False

    def compose(self, draw: Draw, split: str) -> Item:
        """One thing anywhere in the picture."""
        style = self.world.style_of(split, draw)
        entry = draw.choice(style.entries)
        picture, thing = single(self.world, draw, style, entry)
        names = tuple(entry.name for entry in style.entries)
        return Item("what is this?", entry.name, (thing,), (picture,), names, style.name)
