"""How far is it through the maze?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vlmloom.components.contracts.sources import PuzzleSource, Source
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask, by_name
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import RGB
from vlmloom.components.task.sheet import Sheet
from vlmloom.components.task.world import World
from vlmloom.registry import register

LOOKS: tuple[tuple[RGB, RGB], ...] = (
    ((30, 30, 30), (255, 255, 255)),
    ((70, 90, 130), (245, 245, 235)),
    ((110, 80, 60), (250, 244, 230)),
)
SHIFTED: tuple[tuple[RGB, RGB], ...] = (((215, 215, 225), (30, 30, 40)), ((60, 150, 90), (230, 250, 235)))
"""Walls and ways."""


@register("task/maze")
class Maze(ContentTask):
    """Count the steps of the shortest way through a maze of reasoning-gym, from the green to the red.

    Args:
        world: what is shared by the tasks of a suite.
        puzzles: what the mazes come from; None is `source/reasoning_gym`.
        side: cells along the largest maze, its outer walls among them, from 6.
    """

    name = "maze"
    family = "reasoning"
    knob = "side"

    def __init__(self, *, world: World, puzzles: PuzzleSource | None = None, side: int = 9) -> None:
        super().__init__(world=world)
        if not 6 <= side <= 30:
            raise ValueError(f"task/maze: side is {side}, but may be 6 to 30")
        self.puzzles: PuzzleSource = by_name(puzzles, "source/reasoning_gym")
        self.side = side

    def sources(self) -> Sequence[Source]:
        """The mazes."""
        return (self.puzzles,)

    def judge(self) -> dict[str, Any]:
        """The number, however it is written."""
        return {"use": "reward/number"}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """A maze of cells; start and goal differ in colour and form."""
        puzzle = self.puzzles.make(
            "maze",
            draw.below(1 << 31),
            min_grid_size=6,
            max_grid_size=self.side,
            min_dist=3,
            max_dist=2 * self.side,
        )
        if puzzle is None:
            return None
        entry = puzzle.entry["metadata"]
        rows = entry["grid"]
        cell = draw.between(16, 24)
        wall, way = draw.choice(SHIFTED if split == "shift" else LOOKS)
        sheet = Sheet(cell * len(rows[0]), cell * len(rows), way)
        plain = []
        for y, row in enumerate(rows):
            for x, sign in enumerate(row):
                left, top = x * cell, y * cell
                if sign == entry["wall"]:
                    sheet.box(left, top, left + cell, top + cell, wall)
                elif sign == entry["start"]:
                    sheet.circle((left + cell / 2, top + cell / 2), cell * 0.38, (30, 170, 60))
                elif sign == entry["goal"]:
                    sheet.box(left + 3, top + 3, left + cell - 3, top + cell - 3, (220, 40, 40))
            plain.append(
                "".join(
                    "#"
                    if sign == entry["wall"]
                    else "."
                    if sign == entry["path"]
                    else "SG"[sign == entry["goal"]]
                    for sign in row
                )
            )
        # Thin lines between the cells, so that steps can be counted.
        for line in range(1, max(len(rows), len(rows[0]))):
            sheet.line([(line * cell, 0), (line * cell, sheet.height)], (150, 150, 150))
            sheet.line([(0, line * cell), (sheet.width, line * cell)], (150, 150, 150))
        return Item(
            "How many steps is the shortest way from the green circle to the red square, one step being "
            "from a cell to the one above, below, left or right of it? What has the colour of the border is "
            "wall. Answer with the number.",
            puzzle.answer,
            (),
            (sheet.picture(),),
            source="reasoning_gym",
            content="\n".join(plain),
        )
