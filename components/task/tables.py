"""What tasks about real tables share: the tables, and their numbers parted over the splits."""

from __future__ import annotations

from collections.abc import Sequence

from vlmloom.components.contracts.sources import FontSource, Source, TableSource
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask, by_name
from vlmloom.components.task.series import SeriesOf
from vlmloom.components.task.world import World


class TableTask(ContentTask):
    """A task whose items show windows of real tables, from stretches that are in one split alone.

    Args:
        world: what is shared by the tasks of a suite.
        tables: what is shown; None is the world's, else `source/tables`.
        fonts: what is written with; None is `source/page_fonts`.
        least: rows that a series has at least.
    """

    def __init__(
        self,
        *,
        world: World,
        tables: TableSource | None = None,
        fonts: FontSource | None = None,
        least: int = 8,
    ) -> None:
        super().__init__(world=world, fonts=fonts)
        self.tables: TableSource = by_name(tables or world.tables, "source/tables")
        self.series = SeriesOf(self.tables, least=least)

    def sources(self) -> Sequence[Source]:
        """The tables; a task that writes adds its fonts."""
        return (self.tables,)

    def admits(self, split: str, item: Item) -> bool:
        """Whatever is composed for a split is of its stretches."""
        return True
