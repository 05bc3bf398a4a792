"""What colour is it?"""

from __future__ import annotations

from vlmloom.components.task.base import Item, SceneTask, single
from vlmloom.components.task.draw import Draw
from vlmloom.registry import register


@register("task/colour")
class Colour(SceneTask):
    """Name the colour of the one thing in a picture, drawn in shades of one hue."""

    name = "colour"

    def compose(self, draw: Draw, split: str) -> Item | None:
        """One thing in one hue; the colour is drawn first, so that every colour is asked for equally."""
        style = self.world.style_of(split, draw)
        colour = draw.choice(list(self.world.colours))
        unseen = split == "compositional"
        entries = [entry for entry in style.entries if self.world.held(colour, entry.name) == unseen]
        if not entries:
            return None
        entry = draw.choice(entries)
        picture, thing = single(self.world, draw, style, entry, colour=colour)
        choices = tuple(self.world.colours)
        return Item("what colour is this?", colour, (thing,), (picture,), choices, style.name)
