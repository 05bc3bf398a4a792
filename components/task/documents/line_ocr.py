"""One line of text, to be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vlmloom.components.contracts.sources import FontSource, Source, TextSource
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask, by_name
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import RGB
from vlmloom.components.task.sheet import Sheet
from vlmloom.components.task.world import World
from vlmloom.registry import register

KINDS = ("sentence", "name", "street_address", "company", "email", "phone_number", "date", "iban", "city")
COLOURS: tuple[tuple[RGB, RGB], ...] = (
    ((0, 0, 0), (255, 255, 255)),
    ((40, 40, 40), (245, 240, 225)),
    ((20, 40, 110), (255, 255, 255)),
    ((235, 235, 235), (45, 50, 60)),
    ((120, 20, 20), (250, 245, 215)),
)
"""Ink and paper."""


@register("task/line_ocr")
class LineOCR(ContentTask):
    """Transcribe a line: a sentence, a name, an address, a number, in one of several fonts.

    Args:
        world: what is shared by the tasks of a suite.
        texts: what is written; None is `source/faker`.
        fonts: what it is written with; None is `source/page_fonts`.
        longest: characters of a line, from 8.
    """

    name = "line_ocr"
    family = "documents"
    knob = "longest"

    def __init__(
        self,
        *,
        world: World,
        texts: TextSource | None = None,
        fonts: FontSource | None = None,
        longest: int = 36,
    ) -> None:
        super().__init__(world=world, fonts=fonts)
        if longest < 8:
            raise ValueError(f"task/line_ocr: longest is {longest}; 8 characters or more would be right")
        self.texts: TextSource = by_name(texts, "source/faker")
        self.longest = longest

    def sources(self) -> Sequence[Source]:
        """Fonts and texts."""
        return (self.fonts, self.texts)

    def judge(self) -> dict[str, Any]:
        """By edit distance."""
        return {"use": "reward/edit"}

    def compose(self, draw: Draw, split: str) -> Item:
        """A line on paper of its own size."""
        text = cut(self.texts.write(draw.choice(KINDS), draw.bits() >> 1), self.longest)
        face, size, margin = self.face(draw, split), draw.between(14, 28), draw.between(4, 12)
        ink, paper = draw.choice(COLOURS)
        sheet = Sheet(face.length(text, size) + 2 * margin, size * 3 // 2 + 2 * margin, paper)
        sheet.text((margin, sheet.height // 2), text, face, size, ink, "lm")
        return Item(
            "Transcribe the line of text.",
            text,
            sheet.things(),
            (sheet.picture(),),
            source="faker",
            content=text,
        )


def cut(text: str, longest: int) -> str:
    """The first words of a text.

    >>> cut("one two three", 9)
    'one two'
    """
    if len(text) <= longest:
        return text
    return text[: longest + 1].rsplit(" ", 1)[0][:longest].rstrip()
