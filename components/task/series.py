"""Labelled series of real tables: what charts, tables and comparisons are made of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from vlmloom.components.contracts.sources import Table, TableSource
from vlmloom.components.task.draw import Draw, stable_hash
from vlmloom.components.task.world import quarter, split_of

TIME = ("date", "year", "month")
PLACES = ("longitude", "latitude")
STRETCH = 12
"""Rows that are in one split together, at least."""
FEW = 16
"""Stretches of a table below which its columns are in splits of their own."""


@dataclass(frozen=True)
class Series:
    """Some rows of a real table.

    Attributes:
        table: its name.
        group: which rows of it, e.g. the symbol of a stock; empty where there are no groups.
        label: what the rows are told apart by.
        labels: one a row, all different.
        values: column -> numbers, one a row, with three digits that count.
        ordered: whether the rows follow each other in time.
    """

    table: str
    group: str
    label: str
    labels: tuple[str, ...]
    values: dict[str, tuple[float, ...]]
    ordered: bool

    @property
    def title(self) -> str:
        """What stands above a chart of it."""
        return f"{self.table}: {self.group}" if self.group else self.table

    @property
    def content(self) -> str:
        """All of it, as text."""
        return repr((self.labels, self.values))


class SeriesOf:
    """Every series of a source of tables.

    A table's rows are told apart by its time, else by the first column of mostly different texts; where
    neither tells all rows apart, the rows of one group are taken, by the first column that repeats.

    Args:
        source: the tables.
        least: rows that a series has at least.
    """

    def __init__(self, source: TableSource, *, least: int = 8) -> None:
        self.source = source
        self.least = least

    @cached_property
    def all(self) -> list[Series]:
        """In the order of the tables, whole."""
        return [series for table in self.source.load() for series in _series(table, self.least)]

    @cached_property
    def _split(self) -> dict[str, dict[str, list[Series]]]:
        found: dict[str, dict[str, list[Series]]] = {}
        for table in dict.fromkeys(series.table for series in self.all):
            for part in split_up([series for series in self.all if series.table == table]):
                found.setdefault(part[0], {}).setdefault(table, []).append(part[1])
        return found

    def tables(self, split: str) -> dict[str, list[Series]]:
        """The stretches of a split by their table; shift has those of test."""
        return self._split[quarter(split)]

    def window(self, draw: Draw, split: str, rows: int, columns: int = 1) -> Series | None:
        """Some rows, neighbours where they are ordered, of some columns; None where there are fewer.

        No number of a table is in two splits (see `split_up`).
        """
        # By table first: a table of many groups would drown the others.
        return cut_from(draw, draw.choice(draw.choice(list(self.tables(split).values()))), rows, columns)


def split_up(table: Sequence[Series]) -> Iterator[tuple[str, Series]]:
    """The numbers of a table as stretches, each in one split: what is asked in test was never seen before.

    Rows that follow each other stay together, `STRETCH` or more. Where a table has fewer than `FEW`
    stretches, each column goes by itself.

    Args:
        table: its series.

    Returns:
        A split and a stretch, over and over.
    """
    stretches = [
        cut(series, rows, list(series.values)) for series in table for rows in stretched(len(series.labels))
    ]
    for one in stretches:
        name = (one.table, one.group, one.labels[0])
        for split, columns in by_split(name, list(one.values), len(stretches)).items():
            yield split, replace(one, values={column: one.values[column] for column in columns})


def stretched(rows: int) -> list[list[int]]:
    """Numbers of rows in stretches of at least `STRETCH`, where there are as many."""
    return [piece.tolist() for piece in np.array_split(np.arange(rows), max(1, rows // STRETCH))]


def by_split(name: tuple[str, ...], columns: Sequence[str], stretches: int) -> dict[str, list[str]]:
    """The splits that columns of a stretch are in: one, but where its table has few stretches."""
    found: dict[str, list[str]] = {}
    for column in columns:
        digest = stable_hash("stretch", *name, column if stretches < FEW else "")
        found.setdefault(split_of(digest), []).append(column)
    return found


class RowsOf:
    """The stretches of whole tables, as `split_up`, for tables whose rows nothing tells apart.

    Args:
        source: the tables.
    """

    def __init__(self, source: TableSource) -> None:
        self.source = source
        self._split: dict[str, list[tuple[Table, list[Table]]]] = {}

    def tables(self, split: str) -> list[tuple[Table, list[Table]]]:
        """Every table with its stretches that are in a split, without labels; shift has those of test."""
        split = quarter(split)
        if split not in self._split:
            self._split[split] = [(table, _rows(table, split)) for table in self.source.load()]
        return self._split[split]


def _rows(table: Table, split: str) -> list[Table]:
    pieces = stretched(len(next(iter(table.columns.values()))))
    found = []
    for rows in pieces:
        own = by_split((table.name, str(rows[0])), list(table.columns), len(pieces))
        if columns := own.get(split):
            found.append(Table(table.name, {name: table.columns[name][rows] for name in columns}))
    return found


def cut_from(draw: Draw, series: Series, rows: int, columns: int = 1) -> Series | None:
    """Some rows and columns of a series, see `SeriesOf.window`."""
    if len(series.labels) < rows or len(series.values) < columns:
        return None
    if series.ordered:
        start = draw.below(len(series.labels) - rows + 1)
        chosen = list(range(start, start + rows))
    else:
        chosen = draw.sample(range(len(series.labels)), rows)
    return cut(series, chosen, draw.sample(list(series.values), columns))


def cut(series: Series, rows: Sequence[int], columns: Sequence[str]) -> Series:
    """These rows of these columns."""
    return replace(
        series,
        labels=tuple(series.labels[row] for row in rows),
        values={name: tuple(series.values[name][row] for row in rows) for name in columns},
    )


def _series(table: Table, least: int) -> Iterator[Series]:
    texts = {name: _shared(column) for name, column in table.labels.items()}
    times = {name: column for name, column in table.columns.items() if name.lower() in TIME}
    texts |= {name: [f"{value:.0f}" for value in column] for name, column in times.items()}
    numbers = {name: table.columns[name] for name in table.columns if name.lower() not in (*TIME, *PLACES)}
    label, group = _telling(texts, least)
    if not numbers or not label:
        return
    rows = range(len(texts[label]))
    for which in dict.fromkeys(texts[group]) if group else [""]:
        kept: dict[str, int] = {}
        for row in rows:
            if not group or texts[group][row] == which:
                kept.setdefault(short(texts[label][row]), row)
        if len(kept) >= least:
            values = {
                spaced(name): tuple(three(column[row]) for row in kept.values())
                for name, column in numbers.items()
            }
            ordered = label.lower() in TIME
            yield Series(spaced(table.name), which, spaced(label), tuple(kept), values, ordered)


def _telling(texts: dict[str, list[str]], least: int) -> tuple[str, str]:
    """The column that tells rows apart, and the one of the groups within which it does; empty where none."""
    for label in sorted(texts, key=lambda name: name.lower() not in TIME):
        for group in ("", *texts):
            if group == label:
                continue
            groups = texts[group] if group else [""] * len(texts[label])
            distinct = len(set(zip(groups, texts[label], strict=True)))
            if distinct >= 0.9 * len(groups) and len(set(groups)) * least <= len(groups):
                return label, group
    return "", ""


def _shared(column: list[str]) -> list[str]:
    """Dates without the day, and the month, that all of them share.

    >>> _shared(["2001-01-01", "2002-01-01"]), _shared(["2001-01-01", "2001-02-01"])
    (['2001', '2002'], ['2001-01', '2001-02'])
    """
    for end in ("-01-01", "-01"):
        if all(re.fullmatch(rf"\d{{4}}(-\d\d)?{end}", text) for text in column):
            return [text.removesuffix(end) for text in column]
    return column


def short(label: str, longest: int = 18) -> str:
    """A label that fits below a bar.

    >>> short("Jan 1 2000"), short("2010/01/02 05:00:00"), short("a" * 40)
    ('Jan 2000', '01/02 05:00', 'aaaaaaaaaaaaaaaaaa')
    """
    label = re.sub(r"^(\w{3}) 1 (\d{4})$", r"\1 \2", label)
    label = re.sub(r"^\d{4}/(\d\d/\d\d) (\d\d:\d\d).*$", r"\1 \2", label)
    return label[:longest].strip()


def spaced(name: str) -> str:
    """A column's name in words.

    >>> spaced("Weight_in_lbs"), spaced("sepalLength"), spaced("seattle-weather")
    ('weight in lbs', 'sepal length', 'seattle weather')
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[_-]+", " ", name).lower()


def three(value: float) -> float:
    """Rounded to three digits that count.

    >>> three(12345.6), three(0.0123456), three(7.0)
    (12300.0, 0.0123, 7.0)
    """
    return float(f"{value:.3g}")


def shown(value: float) -> str:
    """A number as it is written.

    >>> shown(12300.0), shown(0.5)
    ('12300', '0.5')
    """
    return f"{value:.0f}" if value == int(value) else f"{value:.6g}"
