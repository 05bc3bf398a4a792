"""What colour is it?"""

from __future__ import annotations

from typing import ClassVar

from vlmloom.components.task.base import Item, single
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.perception.alone import AloneTask
from vlmloom.registry import register


@register("task/colour")
class Colour(AloneTask):
    """Name the colour of the one thing in a picture, drawn in shades of one hue."""

    name = "colour"
    asks: ClassVar = {
        "en": "what colour is this?",
        "es": "¿de qué color es?",
        "de": "welche Farbe hat das?",
        "zh": "这是什么颜色？",
    }

    def compose(self, draw: Draw, split: str) -> Item | None:
        """One thing in one hue; the colour is drawn first, so that every colour is asked for equally."""
        style = self.world.style_of(split, draw)
        colour = draw.choice(list(self.world.colours))
        unseen = split == "compositional"
        entries = [entry for entry in style.entries if self.world.held(colour, entry.name) == unseen]
        if not entries:
            return None
        entry = draw.choice(entries)
        picture, thing = single(self.world, draw, style, entry, sizes=self.sizes, colour=colour)
        choices = tuple(self.world.colours)
        return Item(self.ask(), colour, (thing,), (picture,), choices, style.name)
