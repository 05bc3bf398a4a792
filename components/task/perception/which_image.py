"""Which of two pictures shows it?"""

from __future__ import annotations

from typing import ClassVar

from vlmloom.components.task.base import Item, pair, single
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.perception.alone import AloneTask
from vlmloom.registry import register


@register("task/which_image")
class WhichImage(AloneTask):
    """Say which of two pictures shows a named thing."""

    name = "which_image"
    asks: ClassVar = {
        "en": "which shows the {0}?",
        "es": "¿qué imagen muestra: {0}?",
        "de": "welches Bild zeigt: {0}?",
        "zh": "哪张图里有{0}？",
    }

    def compose(self, draw: Draw, split: str) -> Item | None:
        """Two pictures of one thing each."""
        style = self.world.style_of(split, draw)
        both = pair(self.world, draw, style, split)
        if both is None:
            return None
        drawn = [
            single(self.world, draw, style, entry, sizes=self.sizes, frame=number)
            for number, entry in enumerate(both)
        ]
        asked = draw.below(2)
        choices = ("first", "second")
        return Item(
            self.ask(both[asked].name),
            choices[asked],
            tuple(thing for _, thing in drawn),
            tuple(picture for picture, _ in drawn),
            choices,
            style.name,
        )
