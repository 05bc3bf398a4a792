"""Which of the pictures?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vlmloom.components.contracts.sample import ORDINALS
from vlmloom.components.contracts.sources import TableSource
from vlmloom.components.task.base import Item
from vlmloom.components.task.chart import chart, kind_of, look
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.series import Series, cut_from
from vlmloom.components.task.sheet import Rendered
from vlmloom.components.task.tables import TableTask
from vlmloom.components.task.world import World
from vlmloom.registry import register

APART = 1.15
"""How many times the right picture's value is at least what the next one has."""


SEEN = 0.02
"""The least difference of the two, in parts of the highest axis: some four pixels."""


@register("task/compare_pictures")
class ComparePictures(TableTask):
    """Compare charts of one column of a real table over several pictures, each with an axis of its own.

    Args:
        world: what is shared by the tasks of a suite.
        tables: what is charted; None is the world's, else `source/tables`.
        pictures: that are compared, 2 to 6.
    """

    name = "compare_pictures"
    family = "reasoning"
    knob = "pictures"

    def __init__(self, *, world: World, tables: TableSource | None = None, pictures: int = 3) -> None:
        super().__init__(world=world, tables=tables)
        if not 2 <= pictures <= 6:
            raise ValueError(f"task/compare_pictures: pictures is {pictures}, but may be 2 to 6")
        self.pictures = pictures

    def judge(self) -> dict[str, Any]:
        """One of the pictures."""
        return {"use": "reward/choice"}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """Windows of one column; the one that is right stands anywhere."""
        first = self.series.window(draw, split, 5)
        if first is None:
            return None
        (column,) = first.values
        whole = [one for one in self.series.tables(split)[first.table] if column in one.values]
        windows: list[Series] = []
        for _ in range(self.pictures):
            one = draw.choice(whole)
            cut = cut_from(draw, replace(one, values={column: one.values[column]}), draw.between(4, 6))
            if cut is None:
                return None
            windows.append(cut)
        smallest = draw.chance(0.5)
        values = [min(one.values[column]) if smallest else max(one.values[column]) for one in windows]
        ranked = sorted(values, reverse=not smallest)
        gap, axis = abs(ranked[0] - ranked[1]), max(max(one.values[column]) for one in windows)
        if min(values) <= 0 or gap < max((APART - 1) * min(ranked[:2]), SEEN * axis):
            return None
        charts: list[Rendered] = []
        for one in windows:
            kind = kind_of(draw, one, ("bar", "line", "scatter"))
            if kind is None:
                return None
            charts.append(chart(draw, kind, one, look(draw, split, told=0.3)))
        choices = ORDINALS[: self.pictures]
        what = "smallest" if smallest else "largest"
        return Item(
            f"In which picture is the {what} value of {column}? Answer with one of: {', '.join(choices)}.",
            choices[values.index(ranked[0])],
            (),
            tuple(charts),
            choices,
            "tables",
            content=" ".join(one.content for one in windows),
        )
