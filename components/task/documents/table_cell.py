"""What stands in that cell?"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from vlmloom.components.contracts.boxes import permille
from vlmloom.components.contracts.sample import Thing
from vlmloom.components.task.base import Item, SceneTask, spread
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import Backdrop, Block, Drawing, Layer, Writing, writing_width
from vlmloom.components.task.numbers import SmallNumbers
from vlmloom.components.task.world import World
from vlmloom.registry import register

INK = (10, 10, 10)
RULE = (120, 120, 120)


@register("task/table_cell")
class TableCell(SceneTask):
    """Read one cell of a small table of a real table's numbers, asked for by row and column.

    Args:
        world: what is shared by the tasks of a suite.
        rows: of the table.
        columns: the most it has; it has at least 2.
        top: numbers run from 1 to this.
    """

    name = "table_cell"
    family = "documents"
    held = False
    styled = False

    def __init__(self, *, world: World, rows: int = 2, columns: int = 3, top: int = 9) -> None:
        super().__init__(world=world)
        if world.tables is None:
            raise ValueError(
                "task/table_cell: the suite has no tables; give it `tables: {use: source/tables}`"
            )
        if world.fonts is None:
            raise ValueError("task/table_cell: the suite has no fonts; give it `fonts: {use: source/fonts}`")
        if not 1 <= rows <= 4 or not 2 <= columns <= 6 or not 2 <= top <= 99:
            raise ValueError(
                f"task/table_cell: {rows} rows, {columns} columns and numbers to {top}, "
                "but rows are 1 to 4, columns 2 to 6, numbers to 2 to 99"
            )
        self.rows = rows
        self.columns = columns
        self.top = top
        self.fonts = {name: str(path) for name, path in world.fonts.load().items()}
        self.shifted = {name: str(path) for name, path in world.fonts.shifted().items()}

    def splits(self) -> list[str]:
        """Other fonts make the shift."""
        splits = super().splits()
        return [*splits, "shift"] if self.shifted else splits

    @cached_property
    def _numbers(self) -> SmallNumbers:
        assert self.world.tables is not None
        return SmallNumbers(self.world.tables, top=self.top, columns=self.columns)

    def judge(self) -> dict[str, Any]:
        """The number, exactly."""
        return {"use": "reward/number"}

    def compose(self, draw: Draw, split: str) -> Item:
        """Neighbouring rows of some columns as a ruled table."""
        columns = draw.between(2, self.columns)
        values, row, column, table = self._numbers.window(draw, self.rows, columns)
        fonts = self.shifted if split == "shift" else self.fonts
        face = draw.choice(list(fonts))
        side = self.world.side
        width, height = (side if columns == 2 else side * columns // 2), side
        wide, high = width // columns, height // self.rows
        layers: list[Layer] = [
            Block(wide * line, 0, wide * line + 1, height, RULE) for line in range(1, columns)
        ]
        layers += [Block(0, high * line, width, high * line + 1, RULE) for line in range(1, self.rows)]
        things = []
        tall = min(spread(draw, 20, 24, side), high - 6)
        for line, numbers in enumerate(values):
            for place, value in enumerate(numbers):
                text = str(value)
                long = min(writing_width(text, fonts[face], tall), wide - 5)
                x = wide * place + 3 + draw.below(wide - long - 4)
                y = high * line + 3 + draw.below(high - tall - 4)
                layers.append(Writing(text, fonts[face], face, x, y, long, tall, INK))
                box = permille(
                    (wide * place, high * line, wide * (place + 1), high * (line + 1)), width, height
                )
                things.append(Thing("cell", "table", box, "", text))
        picture = Drawing(width, height, Backdrop((255, 255, 255)), (tuple(layers),))
        return Item(
            f"row {row + 1}, column {column + 1}?",
            str(values[row][column]),
            tuple(things),
            (picture,),
            tuple(map(str, range(1, self.top + 1))),
            "tables",
            {"table": table},
        )
