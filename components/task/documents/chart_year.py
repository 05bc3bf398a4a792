"""In which year, and how much in that year?"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from vlmloom.components.contracts.sources import TableSource
from vlmloom.components.task.base import Item
from vlmloom.components.task.chart import chart, kind_of, look
from vlmloom.components.task.documents.chart_trend import STEP
from vlmloom.components.task.documents.chart_value import READABLE
from vlmloom.components.task.documents.charts import ChartTask
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.series import shown
from vlmloom.components.task.world import World
from vlmloom.components.task.years import YearsOf
from vlmloom.registry import register

ASKED = {
    "highest": "In which year is the {} highest?",
    "lowest": "In which year is the {} lowest?",
    "rises": "In which year has the {} risen most since the mark before it?",
    "falls": "In which year has the {} fallen most since the mark before it?",
}


@register("task/chart_year")
class ChartYear(ChartTask):
    """Read a chart with an axis of years: the year of an extreme or a step, or the value of a year.

    A year is right exactly, a value within 5 %, as the published reward for charts has it: a year beside the
    right one is off by far less than 5 %.

    Args:
        world: what is shared by the tasks of a suite.
        tables: what is charted; None is the world's, else `source/tables`.
        points: the most values along the axis; there are at least 4.

    Reference: arXiv 2507.01006, table 1 (chart: numbers as in mathematics, except years).
    """

    name = "chart_year"
    kinds = ("bar", "barh", "line", "scatter")

    def __init__(self, *, world: World, tables: TableSource | None = None, points: int = 6) -> None:
        super().__init__(world=world, tables=tables, points=points)
        self.series = YearsOf(self.tables, least=max(points, 8))

    def judge(self) -> dict[str, Any]:
        """Years exactly, values within 5 %."""
        return {"use": "reward/number", "relative": 0.05}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """One column of neighbouring years."""
        series = self.series.window(draw, split, draw.between(4, self.points))
        if series is None:
            return None
        ((column, values),) = series.values.items()
        asked = draw.choice((*ASKED, "value", "value"))
        # Bars stand on nothing, where a line fills its axis: small steps between them cannot be seen.
        high = max(values) - min(values) >= 0.5 * max(values)
        kind = kind_of(draw, series, self.kinds if high or asked == "value" else ("line", "scatter"))
        if kind is None:
            return None
        if asked == "value":
            row = draw.below(len(values))
            if values[row] < READABLE * max(values):
                return None
            question = f"What is the {column} in {series.labels[row]}? Answer with a number."
            answer = shown(values[row])
        else:
            found = told(asked, values)
            if found is None:
                return None
            question, answer = f"{ASKED[asked].format(column)} Answer with the year.", series.labels[found]
        return Item(
            question,
            answer,
            (),
            (chart(draw, kind, series, look(draw, split, zero=asked == "value")),),
            source="tables",
            truth={"year": asked != "value"} | ({"of": column} if asked == "value" else {}),
            content=series.content,
        )


def told(asked: str, values: tuple[float, ...]) -> int | None:
    """Which value is the one that is asked for; None where another is nearly as much so, or there is none.

    >>> told("highest", (1, 5, 2)), told("lowest", (1, 5, 1.1)), told("rises", (1, 5, 2))
    (1, None, 1)
    >>> told("falls", (1, 2, 3))
    """
    if asked in ("rises", "falls"):
        much = [0.0, *(after - before for before, after in pairwise(values))]
    else:
        much = list(values)
    sign = 1 if asked in ("highest", "rises") else -1
    first, second = sorted((sign * one for one in much), reverse=True)[:2]
    if first - second < STEP * (max(values) - min(values)):
        return None
    found = [sign * one for one in much].index(first)
    return None if asked in ("rises", "falls") and (not found or first <= 0) else found
