"""Boards: grids of cells with a sign in each, drawn in several looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import RGB
from vlmloom.components.task.sheet import Face, Sheet

INK: RGB = (25, 25, 25)


@dataclass(frozen=True)
class BoardLook:
    """Colours of a board.

    Attributes:
        paper: of the cells.
        line: between them.
        ink: of figures.
        fills: what is drawn for the signs that are no figures: a disc of the first, a disc of the second, ...
    """

    paper: RGB
    line: RGB
    ink: RGB
    fills: tuple[RGB, ...]


LOOKS = (
    BoardLook((255, 255, 255), (90, 90, 90), INK, ((245, 150, 30), (110, 70, 40))),
    BoardLook((250, 245, 230), (150, 120, 90), (50, 30, 20), ((235, 140, 20), (90, 60, 30))),
)
SHIFTED = (BoardLook((40, 44, 56), (120, 125, 140), (240, 240, 240), ((255, 170, 60), (150, 90, 70))),)


def board(
    draw: Draw,
    split: str,
    rows: Sequence[Sequence[str]],
    face: Face,
    *,
    block: int = 0,
    right: Sequence[str] = (),
    below: Sequence[str] = (),
) -> Sheet:
    """A board. Signs: a figure or letter is written, `o` and `x` are a light and a dark disc, `#` is filled.

    Args:
        draw: for the size and the look.
        split: shift has other colours.
        rows: a sign for each cell; empty for an empty cell.
        face: of the figures.
        block: cells along a block with a thick border; 0 for none.
        right: what stands to the right of each row.
        below: what stands below each column.
    """
    look, cell = draw.choice(SHIFTED if split == "shift" else LOOKS), draw.between(26, 36)
    wide, high, margin = len(rows[0]) * cell, len(rows) * cell, 10
    extra = cell if right or below else 0
    sheet = Sheet(wide + 2 * margin + extra, high + 2 * margin + extra, look.paper, smooth=2)
    size = cell * 11 // 20
    for y, row in enumerate(rows):
        for x, sign in enumerate(row):
            middle = (margin + (x + 0.5) * cell, margin + (y + 0.5) * cell)
            if sign in ("o", "x"):
                sheet.circle(middle, cell * 0.36, look.fills[sign == "x"])
            elif sign == "#":
                left, top = margin + x * cell, margin + y * cell
                sheet.box(left + 2, top + 2, left + cell - 2, top + cell - 2, look.ink)
            elif sign:
                sheet.text(middle, sign, face, size, look.ink, "mm", "figure")
    for number in range(len(rows) + 1):
        y = margin + number * cell
        thick = 3 if block and number % block == 0 else 1
        sheet.line([(margin, y), (margin + wide, y)], look.line, thick)
    for number in range(len(rows[0]) + 1):
        x = margin + number * cell
        thick = 3 if block and number % block == 0 else 1
        sheet.line([(x, margin), (x, margin + high)], look.line, thick)
    for number, sign in enumerate(right):
        at = (margin + wide + cell * 0.5, margin + (number + 0.5) * cell)
        sheet.text(at, sign, face, size, look.ink, "mm", "figure")
    for number, sign in enumerate(below):
        at = (margin + (number + 0.5) * cell, margin + high + cell * 0.5)
        sheet.text(at, sign, face, size, look.ink, "mm", "figure")
    return sheet
