"""A chart, to be written down as a table."""

from __future__ import annotations

import json
from typing import Any

from vlmloom.components.task.base import Item
from vlmloom.components.task.chart import chart, kind_of, look
from vlmloom.components.task.documents.charts import ChartTask
from vlmloom.components.task.draw import Draw
from vlmloom.registry import register


@register("task/chart_table")
class ChartTable(ChartTask):
    """Write all numbers of a chart down as JSON; the numbers stand beside what shows them.

    Args:
        world: what is shared by the tasks of a suite.
        tables: what is charted; None is the world's, else `source/tables`.
        points: the most values along the axis; there are at least 4.
    """

    name = "chart_table"
    kinds = ("bar", "barh", "line", "scatter")

    def judge(self) -> dict[str, Any]:
        """Field by field."""
        return {"use": "reward/json"}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """One column, or two as bars."""
        series = self.series.window(draw, split, draw.between(4, self.points), draw.between(1, 2))
        if series is None:
            return None
        # Numbers beside two lines would lie on each other.
        kind = kind_of(draw, series, self.kinds if len(series.values) == 1 else ("barh",))
        if kind is None:
            return None
        columns = list(series.values)
        rows = {
            label: {column: _plain(series.values[column][row]) for column in columns}
            for row, label in enumerate(series.labels)
        }
        form = ", ".join(f'"{column}": number' for column in columns)
        return Item(
            f"Write the chart as a JSON object with one entry for each {series.label}, "
            f'in their order: {{"label": {{{form}}}, ...}}.',
            json.dumps(rows),
            (),
            (chart(draw, kind, series, look(draw, split, told=1.0)),),
            source="tables",
            content=series.content,
        )


def _plain(value: float) -> int | float:
    return int(value) if value == int(value) else value
