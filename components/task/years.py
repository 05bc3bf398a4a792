"""Series of real tables with one value a year: as they are, or the mean of a year's rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from vlmloom.components.contracts.sources import Table
from vlmloom.components.task.series import PLACES, TIME, Series, SeriesOf, spaced, three

YEAR = re.compile(r"(?<!\d)(1[5-9]\d\d|20\d\d)(?!\d)")
GROUPS = 8
"""The most groups that a column of texts parts a table in."""


class YearsOf(SeriesOf):
    """Every series by years of a source of tables; see `SeriesOf`."""

    @cached_property
    def all(self) -> list[Series]:
        """In the order of the tables, whole."""
        return [series for table in self.source.load() for series in yearly(table, self.least)]


def yearly(table: Table, least: int) -> Iterator[Series]:
    """The series of a table by years, one a group where years repeat; none where it has fewer years."""
    years = _years(table)
    if not years:
        return
    repeated = len(set(years)) < len(years)
    numbers = {name: table.columns[name] for name in table.columns if name.lower() not in (*TIME, *PLACES)}
    groups = [""] * len(years)
    for name, texts in table.labels.items():
        if repeated and name.lower() not in TIME and 1 < len(set(texts)) <= GROUPS:
            groups = texts
            break
    for group in dict.fromkeys(groups):
        inside = [row for row, one in enumerate(groups) if one == group]
        kept = sorted({years[row] for row in inside})
        if len(kept) < least or not numbers:
            continue
        rows = [[row for row in inside if years[row] == year] for year in kept]
        mean = "mean " if any(len(one) > 1 for one in rows) else ""
        values = {
            mean + spaced(name): tuple(three(float(np.mean(column[one]))) for one in rows)
            for name, column in numbers.items()
        }
        yield Series(spaced(table.name), group, "year", tuple(map(str, kept)), values, True)


def _years(table: Table) -> list[int]:
    """The year of every row; empty where no column tells it."""
    for name, column in table.columns.items():
        if name.lower() in TIME and all(value == int(value) and 1500 <= value < 2100 for value in column):
            return [int(value) for value in column]
    for name, texts in table.labels.items():
        found = [YEAR.search(text) for text in texts] if name.lower() in TIME else [None]
        if all(found):
            return [int(match[1]) for match in found if match]
    return []
