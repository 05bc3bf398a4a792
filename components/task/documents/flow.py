"""Headings, paragraphs, lists, tables and rows, set one below the other on a sheet."""

from __future__ import annotations

from collections.abc import Sequence

from vlmloom.components.task.drawing import RGB
from vlmloom.components.task.sheet import Face, Sheet

INK: RGB = (25, 25, 25)
RULE: RGB = (130, 130, 130)


class Flow:
    """A page that grows downwards.

    Args:
        width: of the page in pixels.
        face: its font.
        size: of the body's letters in pixels.
        margin: around everything.
        paper: what it is printed on.
    """

    def __init__(
        self, width: int, face: Face, size: int, margin: int = 24, paper: RGB = (255, 255, 255)
    ) -> None:
        self.sheet = Sheet(width, paper=paper)
        self.face, self.size, self.margin, self.y = face, size, margin, margin
        self.widest = 0

    @property
    def fits(self) -> bool:
        """Whether no table was too wide."""
        return self.widest <= self.inner

    @property
    def inner(self) -> int:
        """The width between the margins."""
        return self.sheet.width - 2 * self.margin

    def wrapped(self, text: str, width: int, size: int) -> list[str]:
        """The lines of a text that fit into a width."""
        lines: list[str] = []
        space, used = self.face.length(" ", size), 0
        for word in text.split():
            # By the lengths of words, of which there are few: a line is never measured.
            used += space + self.face.length(word, size)
            if lines and used <= width:
                lines[-1] += f" {word}"
            else:
                lines.append(word)
                used = self.face.length(word, size)
        return lines

    def paragraph(self, text: str, *, size: int = 0, indent: int = 0, after: float = 0.7) -> None:
        """Running text."""
        size = size or self.size
        for line in self.wrapped(text, self.inner - indent, size):
            self.sheet.text((self.margin + indent, self.y), line, self.face, size, INK)
            self.y += size * 7 // 5
        self.y += round(size * after)

    def heading(self, text: str, level: int) -> None:
        """Larger, the first level underlined."""
        self.paragraph(text, size=self.size * (19 if level == 1 else 15) // 10, after=0.3)
        if level == 1:
            self.rule()

    def rule(self) -> None:
        """A line across."""
        self.sheet.box(self.margin, self.y, self.sheet.width - self.margin, self.y + 1, RULE)
        self.y += self.size * 3 // 4

    def bullets(self, entries: Sequence[str], ordered: bool) -> None:
        """A list."""
        indent = self.size * 2
        for number, entry in enumerate(entries, 1):
            mark = f"{number}." if ordered else "\N{BULLET}"
            self.sheet.text((self.margin + self.size // 2, self.y), mark, self.face, self.size, INK)
            self.paragraph(entry, indent=indent, after=0.2)
        self.y += self.size // 2

    def row(self, left: str, right: str) -> None:
        """Two words at the two margins."""
        self.sheet.text((self.margin, self.y), left, self.face, self.size, INK)
        if right:
            self.sheet.text((self.sheet.width - self.margin, self.y), right, self.face, self.size, INK, "ra")
        self.y += self.size * 3 // 2

    def centred(self, text: str, size: int) -> None:
        """A line in the middle."""
        self.sheet.text((self.sheet.width // 2, self.y), text, self.face, size, INK, "ma")
        self.y += size * 3 // 2

    def table(self, rows: Sequence[Sequence[str]], shade: RGB | None = None) -> None:
        """A ruled table, its first row the header."""
        pad, high = self.size // 2, self.size * 9 // 5
        widths = [
            max(self.face.length(row[column], self.size) for row in rows) + 2 * pad
            for column in range(len(rows[0]))
        ]
        x, width = self.margin, sum(widths)
        if shade is not None:
            self.sheet.box(x, self.y, x + width, self.y + high, shade)
        for number, row in enumerate(rows):
            left = x
            for text, wide in zip(row, widths, strict=True):
                middle = self.y + number * high + high // 2
                self.sheet.text((left + pad, middle), text, self.face, self.size, INK, "lm", "cell")
                left += wide
        for number in range(len(rows) + 1):
            y = self.y + number * high
            self.sheet.box(x, y, x + width + 1, y + 1, RULE)
        left = x
        for wide in [*widths, 0]:
            self.sheet.box(left, self.y, left + 1, self.y + high * len(rows), RULE)
            left += wide
        self.y += high * len(rows) + self.size
        self.widest = max(self.widest, width)

    def done(self) -> Sheet:
        """The sheet, as high as what is on it."""
        self.sheet.height = self.y + self.margin
        return self.sheet
