"""Where does the series go?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import chain, pairwise
from typing import Any

from vlmloom.components.task.base import Item
from vlmloom.components.task.chart import chart, kind_of, look
from vlmloom.components.task.documents.charts import ChartTask
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.series import Series, cut
from vlmloom.components.task.world import quarter
from vlmloom.registry import register

TRENDS = ("rises", "falls", "rises, then falls", "falls, then rises")
STEP = 0.06
"""The smallest step from one value to the next that counts, in parts of what the axis spans."""

LEAST = 4
"""Windows of a column, in a split, that go each way."""

Windows = dict[str, list[tuple[Series, str, range]]]
"""The windows of a column by the way that they go: the stretch, the column, the rows."""


@register("task/chart_trend")
class ChartTrend(ChartTask):
    """Say whether a series of a real table rises, falls, or turns once.

    Each is as frequent as the others in every column that is shown, so that its name does not tell. A window
    lies within a stretch of its split, and a split shows the columns that go all ways often there.

    Args:
        world: what is shared by the tasks of a suite.
        tables: what is charted; None is the world's, else `source/tables`.
        points: the most values along the axis; there are at least 4.
    """

    name = "chart_trend"
    kinds = ("bar", "line", "scatter")

    def judge(self) -> dict[str, Any]:
        """One of four."""
        return {"use": "reward/choice"}

    @cached_property
    def _columns(self) -> dict[str, list[Windows]]:
        """The columns that go all ways in several windows of a split, by the split."""
        return {split: self._shown(split) for split in ("train", "validation", "test")}

    def _shown(self, split: str) -> list[Windows]:
        found: dict[tuple[str, str, str], Windows] = {}
        for part in chain.from_iterable(self.series.tables(split).values()):
            for column, values in part.values.items() if part.ordered else ():
                windows = found.setdefault((part.table, part.group, column), {way: [] for way in TRENDS})
                for length in range(4, self.points + 1):
                    for start in range(len(values) - length + 1):
                        way = trend(values[start : start + length])
                        if way is not None:
                            windows[way].append((part, column, range(start, start + length)))
        return [windows for windows in found.values() if min(map(len, windows.values())) >= LEAST]

    def compose(self, draw: Draw, split: str) -> Item | None:
        """Neighbouring rows of an ordered table that go the way that was drawn."""
        windows = draw.choice(self._columns[quarter(split)])
        wanted = draw.choice(TRENDS)
        part, column, rows = draw.choice(windows[wanted])
        series = cut(part, rows, [column])
        # Bars stand on nothing, where a line fills its axis: small steps between them cannot be seen.
        values = series.values[column]
        kind = kind_of(draw, series, self.kinds if seen(values, max(values)) else ("line", "scatter"))
        if kind is None:
            return None
        return Item(
            f"From left to right, how does the {column} go? Answer with one of: {'; '.join(TRENDS)}.",
            wanted,
            (),
            (chart(draw, kind, series, look(draw, split, zero=False)),),
            TRENDS,
            "tables",
            content=series.content,
        )


def seen(values: Sequence[float], span: float) -> bool:
    """Whether every step can be seen on an axis of that span.

    >>> seen([1, 2, 3], 3), seen([100, 101, 103], 103)
    (True, False)
    """
    return min(abs(after - before) for before, after in pairwise(values)) >= STEP * span


def trend(values: Sequence[float]) -> str | None:
    """Which way a series goes; None where it goes none of the four, or a step is hard to see.

    >>> trend([1, 2, 3]), trend([1, 3, 2]), trend([1, 2, 1, 2]), trend([1, 100, 101, 90])
    ('rises', 'rises, then falls', None, None)
    """
    steps = [after - before for before, after in pairwise(values)]
    if not seen(values, max(values) - min(values)) or not any(steps):
        return None
    ways = [step > 0 for step in steps]
    turns = [number for number in range(1, len(ways)) if ways[number] != ways[number - 1]]
    if len(turns) > 1:
        return None
    if not turns:
        return TRENDS[0] if ways[0] else TRENDS[1]
    return TRENDS[2] if ways[0] else TRENDS[3]
