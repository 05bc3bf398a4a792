"""Which of two pictures shows it?"""

from __future__ import annotations

from vlmloom.components.task.base import Item, SceneTask, pair, single
from vlmloom.components.task.draw import Draw
from vlmloom.registry import register


@register("task/which_image")
class WhichImage(SceneTask):
    """Say which of two pictures shows a named thing."""

    name = "which_image"

    def compose(self, draw: Draw, split: str) -> Item | None:
        """Two pictures of one thing each."""
        style = self.world.style_of(split, draw)
        both = pair(self.world, draw, style, split)
        if both is None:
            return None
        drawn = [single(self.world, draw, style, entry, frame=number) for number, entry in enumerate(both)]
        asked = draw.below(2)
        choices = ("first", "second")
        return Item(
            f"which shows the {both[asked].name}?",
            choices[asked],
            tuple(thing for _, thing in drawn),
            tuple(picture for picture, _ in drawn),
            choices,
            style.name,
        )
