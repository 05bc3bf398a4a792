"""Real numbers on a small scale: the columns of real tables as integers from 1 to 9."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vlmloom.components.contracts.sources import TableSource
from vlmloom.components.task.draw import Draw


class Place(NamedTuple):
    """Where a value stands."""

    table: int
    row: int
    column: int


class SmallNumbers:
    """The numeric columns of real tables, each rescaled to integers from 1 to `top` by its own range.

    Args:
        source: the tables.
        top: the largest integer.
        columns: tables with fewer numeric columns are left out.
    """

    def __init__(self, source: TableSource, *, top: int = 9, columns: int = 1) -> None:
        self.top = top
        self.names: list[str] = []
        self.values: list[np.ndarray] = []
        self.places: list[list[Place]] = [[] for _ in range(top + 1)]
        for table in source.load():
            if len(table.columns) < columns:
                continue
            scaled = np.stack([_scaled(column, top) for column in table.columns.values()], axis=1)
            number = len(self.values)
            self.names.append(table.name)
            self.values.append(scaled)
            for value in range(1, top + 1):
                rows, where = np.nonzero(scaled == value)
                # So many places of one table suffice: a long table would drown the others.
                keep = np.linspace(0, max(len(rows) - 1, 0), min(len(rows), 200)).astype(int).tolist()
                self.places[value] += [Place(number, int(rows[at]), int(where[at])) for at in keep]

    def window(self, draw: Draw, rows: int, columns: int) -> tuple[list[list[int]], int, int, str]:
        """`rows` neighbouring rows of `columns` columns, around a cell whose value is drawn uniformly.

        Returns:
            The values, the row and the column in them of the drawn one, and the table's name.
        """
        place = draw.choice(self.places[draw.between(1, self.top)])
        values = self.values[place.table]
        top = _start(draw, place.row, rows, values.shape[0])
        others = [column for column in range(values.shape[1]) if column != place.column]
        chosen = sorted([place.column, *draw.sample(others, columns - 1)])
        cut = values[top : top + rows, chosen].tolist()
        return cut, place.row - top, chosen.index(place.column), self.names[place.table]


def _start(draw: Draw, at: int, length: int, total: int) -> int:
    """The start of a window of `length` within `total` that covers `at`."""
    low, high = max(0, at - length + 1), min(at, total - length)
    return draw.between(low, high)


def _scaled(column: np.ndarray, top: int) -> np.ndarray:
    low, high = np.percentile(column, (2, 98))
    if high <= low:
        low, high = column.min(), column.max()
    return np.clip(np.rint(1 + (top - 1) * (column - low) / (high - low)), 1, top).astype(np.int64)
