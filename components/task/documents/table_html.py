"""A printed table, to be written down as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from vlmloom.components.contracts.sources import FontSource, Source, TableSource
from vlmloom.components.task.base import Item
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import RGB
from vlmloom.components.task.series import Series, shown
from vlmloom.components.task.sheet import Face, Sheet
from vlmloom.components.task.tables import TableTask
from vlmloom.components.task.world import World
from vlmloom.registry import register

INK: RGB = (20, 20, 20)
RULES: tuple[RGB, ...] = ((60, 60, 60), (150, 150, 150), (90, 110, 160))
SHADES: tuple[RGB | None, ...] = (None, (230, 230, 230), (220, 230, 245))

Cell = tuple[str, int, int]
"""Text, columns, rows."""


@register("task/table_html")
class TableHTML(TableTask):
    """Write a table of real numbers down as HTML, its spanning cells too.

    Args:
        world: what is shared by the tasks of a suite.
        tables: what is shown; None is the world's, else `source/tables`.
        fonts: what it is written with; None is `source/page_fonts`.
        rows: the most rows below the head; there are at least 2.
    """

    name = "table_html"
    family = "documents"
    knob = "rows"

    def __init__(
        self,
        *,
        world: World,
        tables: TableSource | None = None,
        fonts: FontSource | None = None,
        rows: int = 6,
    ) -> None:
        super().__init__(world=world, tables=tables, fonts=fonts, least=max(rows, 8))
        if not 2 <= rows <= 12:
            raise ValueError(f"task/table_html: rows is {rows}, but may be 2 to 12")
        self.rows = rows

    def sources(self) -> Sequence[Source]:
        """Fonts and tables."""
        return (self.fonts, self.tables)

    def judge(self) -> dict[str, Any]:
        """By TEDS."""
        return {"use": "reward/table"}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """A window of a table; about every second one has cells that span."""
        series = self.series.window(draw, split, draw.between(2, self.rows), draw.between(1, 3))
        if series is None:
            return None
        rows = spanned(draw, series)
        html = to_html(rows)
        sheet = ruled(draw, rows, self.face(draw, split))
        if sheet.width > 640:
            return None
        return Item(
            "Write this table as HTML, with <table>, <tr> and <td> only, "
            "and colspan and rowspan where a cell spans.",
            html,
            sheet.things(),
            (sheet.picture(),),
            source="tables",
            content=html,
        )


def spanned(draw: Draw, series: Series) -> list[list[Cell]]:
    """The rows of a table with its head, each the cells that begin in it."""
    columns = list(series.values)
    body: list[list[Cell]] = [
        [(label, 1, 1), *((shown(series.values[column][row]), 1, 1) for column in columns)]
        for row, label in enumerate(series.labels)
    ]
    if len(columns) > 1 and draw.chance(0.5):
        head = [
            [(series.label, 1, 2), (series.title, len(columns), 1)],
            [(column, 1, 1) for column in columns],
        ]
    else:
        head = [[(series.label, 1, 1), *((column, 1, 1) for column in columns)]]
    if draw.chance(0.33):
        # A column before the first, whose cells span the two halves of the rows.
        cut = len(body) // 2
        head[0].insert(0, ("part", 1, len(head)))
        body[0].insert(0, ("first", 1, cut))
        body[cut].insert(0, ("second", 1, len(body) - cut))
    return head + body


def to_html(rows: Sequence[Sequence[Cell]]) -> str:
    """HTML of a table.

    >>> to_html([[("a & b", 2, 1)], [("1", 1, 1), ("2", 1, 1)]])
    '<table><tr><td colspan="2">a &amp; b</td></tr><tr><td>1</td><td>2</td></tr></table>'
    """
    out = []
    for row in rows:
        cells = ""
        for text, columns, down in row:
            spans = f' colspan="{columns}"' * (columns > 1) + f' rowspan="{down}"' * (down > 1)
            cells += f"<td{spans}>{escape(text, quote=False)}</td>"
        out.append(f"<tr>{cells}</tr>")
    return f"<table>{''.join(out)}</table>"


def placed_cells(rows: Sequence[Sequence[Cell]]) -> list[tuple[str, int, int, int, int]]:
    """Where the cells stand: text, column, row, columns, rows.

    >>> placed_cells([[("a", 1, 2), ("b", 1, 1)], [("c", 1, 1)]])
    [('a', 0, 0, 1, 2), ('b', 1, 0, 1, 1), ('c', 1, 1, 1, 1)]
    """
    taken: set[tuple[int, int]] = set()
    found = []
    for line, row in enumerate(rows):
        column = 0
        for text, columns, down in row:
            while (column, line) in taken:
                column += 1
            found.append((text, column, line, columns, down))
            taken |= {(column + across, line + below) for across in range(columns) for below in range(down)}
            column += columns
    return found


def ruled(draw: Draw, rows: Sequence[Sequence[Cell]], face: Face) -> Sheet:
    """A table with a line around every cell."""
    size, margin = draw.between(12, 16), draw.between(6, 16)
    pad, high, ink = size * 2 // 3, size * 9 // 5, draw.choice(RULES)
    cells = placed_cells(rows)
    widths = [0] * max(column + columns for _, column, _, columns, _ in cells)
    for text, column, _, columns, _ in cells:
        if columns == 1:
            widths[column] = max(widths[column], face.length(text, size) + 2 * pad)
    for text, column, _, columns, _ in cells:
        lack = face.length(text, size) + 2 * pad - sum(widths[column : column + columns])
        widths[column + columns - 1] += max(lack, 0)
    lefts = [margin + sum(widths[:column]) for column in range(len(widths) + 1)]
    sheet = Sheet(lefts[-1] + margin + 1, 2 * margin + high * len(rows) + 1)
    shade, centred = draw.choice(SHADES), draw.chance(0.5)
    for text, column, line, columns, down in cells:
        x1, x2, y1, y2 = lefts[column], lefts[column + columns], line * high, (line + down) * high
        top, bottom = margin + y1, margin + y2
        sheet.box(x1, top, x2 + 1, bottom + 1, shade if line == 0 else None, ink)
        at = ((x1 + x2) // 2 if centred else x1 + pad, (top + bottom) // 2)
        sheet.text(at, text, face, size, INK, "mm" if centred else "lm", "cell")
    return sheet
