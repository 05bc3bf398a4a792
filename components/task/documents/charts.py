"""What the questions about charts share: a window of a real table, drawn in a style of the split."""

from __future__ import annotations

from vlmloom.components.contracts.sources import TableSource
from vlmloom.components.task.chart import KINDS
from vlmloom.components.task.tables import TableTask
from vlmloom.components.task.world import World


class ChartTask(TableTask):
    """A task about charts of real tables.

    Args:
        world: what is shared by the tasks of a suite.
        tables: what is charted; None is the world's, else `source/tables`.
        points: the most values along the axis; there are at least 4.
    """

    family = "documents"
    knob = "points"
    salt = "chart"
    kinds: tuple[str, ...] = KINDS

    def __init__(self, *, world: World, tables: TableSource | None = None, points: int = 6) -> None:
        super().__init__(world=world, tables=tables, least=max(points, 8))
        if not 4 <= points <= 12:
            raise ValueError(f"task/{self.name}: points is {points}, but a chart has 4 to 12")
        self.points = points
