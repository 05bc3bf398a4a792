"""What is the value there?"""

from __future__ import annotations

from typing import Any

from vlmloom.components.task.base import Item
from vlmloom.components.task.chart import chart, kind_of, look
from vlmloom.components.task.documents.charts import ChartTask
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.series import shown
from vlmloom.registry import register

READABLE = 0.3
"""Part of the largest value from which one pixel of the axis is less than the verifier's tolerance."""


@register("task/chart_value")
class ChartValue(ChartTask):
    """Read one value of a chart of a real table: bars, lines, points or slices, within 5 %.

    Args:
        world: what is shared by the tasks of a suite.
        tables: what is charted; None is the world's, else `source/tables`.
        points: the most values along the axis; there are at least 4.
    """

    name = "chart_value"

    def judge(self) -> dict[str, Any]:
        """Within 5 %, as it is usual for charts."""
        return {"use": "reward/number", "relative": 0.05}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """One or two columns of some rows, one value asked for."""
        series = self.series.window(draw, split, draw.between(4, self.points), draw.between(1, 2))
        kind = None if series is None else kind_of(draw, series)
        if series is None or kind is None:
            return None
        style = look(draw, split)
        column, row = draw.choice(list(series.values)), draw.below(len(series.labels))
        value, largest = series.values[column][row], max(map(max, series.values.values()))
        if kind == "pie":
            share = 100 * value / sum(series.values[column])
            question = f"What percentage of the total {column} is {series.labels[row]}?"
            answer = f"{share:.1f}"
            if not style.told:
                return None
        else:
            question = f"What is the {column} of {series.labels[row]}?"
            answer = shown(value)
            if value < READABLE * largest:
                return None
        return Item(
            f"{question} Answer with a number.",
            answer,
            (),
            (chart(draw, kind, series, style),),
            source="tables",
            # A value that could be a year is none here.
            truth={"year": False} | ({"unit": "%"} if kind == "pie" else {"of": column}),
            content=series.content,
        )
