"""Which grid belongs to that grid?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from vlmloom.components.contracts.sources import Grid, GridSource, Source
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask, by_name
from vlmloom.components.task.draw import Draw, stable_hash
from vlmloom.components.task.drawing import RGB
from vlmloom.components.task.sheet import Sheet
from vlmloom.components.task.world import World
from vlmloom.registry import register

COLOURS: dict[str, RGB] = {
    "black": (0, 0, 0),
    "blue": (0, 116, 217),
    "red": (255, 65, 54),
    "green": (46, 204, 64),
    "yellow": (255, 220, 0),
    "grey": (170, 170, 170),
    "magenta": (240, 18, 190),
    "orange": (255, 133, 27),
    "sky": (127, 219, 255),
    "maroon": (135, 12, 37),
}
"""The colours in which the corpus is shown, 0 to 9."""
LEGEND = ", ".join(f"{number} {name}" for number, name in enumerate(COLOURS))
GAP = 14

Pair = tuple[Grid, Grid]


@register("task/arc")
class ARCGrid(ContentTask):
    """Find the rule of some pairs of grids of ARC-AGI-1, and apply it to one more.

    Train has the corpus's training tasks, the other splits its evaluation tasks, half of them each. A task is
    shown turned, mirrored and in other colours; black stays black.

    Args:
        world: what is shared by the tasks of a suite.
        grids: the tasks; None is `source/arc`.
        largest: tasks with a grid of more cells along a side are left out, from 5.
        pairs: the most pairs that show the rule.
    """

    name = "arc"
    family = "reasoning"
    knob = "largest"

    def __init__(
        self, *, world: World, grids: GridSource | None = None, largest: int = 12, pairs: int = 4
    ) -> None:
        super().__init__(world=world)
        if not 5 <= largest <= 30 or pairs < 2:
            raise ValueError(
                f"task/arc: largest is {largest} and pairs {pairs}; 5 to 30, and 2 or more would be right"
            )
        self.grids: GridSource = by_name(grids, "source/arc")
        self.largest = largest
        self.pairs = pairs

    def sources(self) -> Sequence[Source]:
        """The tasks."""
        return (self.grids,)

    def judge(self) -> dict[str, Any]:
        """Cell by cell."""
        return {"use": "reward/grid"}

    @cached_property
    def _tasks(self) -> dict[str, list[tuple[str, list[Pair], Pair]]]:
        """Split -> (name, pairs, what is asked)."""
        found: dict[str, list[tuple[str, list[Pair], Pair]]] = {}
        for part, tasks in self.grids.load().items():
            for name, shown, asked in tasks:
                grids = [grid for pair in (*shown, *asked) for grid in pair]
                if max(max(len(grid), len(grid[0])) for grid in grids) > self.largest:
                    continue
                half = ("validation", "test")[stable_hash("arc", name) & 1]
                split = "train" if part == "training" else half
                found.setdefault(split, []).extend((name, shown[: self.pairs], pair) for pair in asked)
        return found

    def admits(self, split: str, item: Item) -> bool:
        """The tasks have been drawn from the split already."""
        return True

    def compose(self, draw: Draw, split: str) -> Item:
        """A task, turned and recoloured."""
        name, shown, asked = draw.choice(self._tasks["test" if split == "shift" else split])
        turns, mirrored = draw.below(4), draw.chance(0.5)
        colours = [0, *draw.sample(range(1, 10), 9)]

        def changed(grid: Grid) -> Grid:
            for _ in range(turns):
                grid = tuple(zip(*grid[::-1], strict=True))
            rows = [row[::-1] for row in grid] if mirrored else list(grid)
            return tuple(tuple(colours[cell] for cell in row) for row in rows)

        pairs = [(changed(one), changed(other)) for one, other in shown]
        start, goal = changed(asked[0]), changed(asked[1])
        sheet = drawn([*pairs, (start, None)], round_cells=split == "shift")
        question = (
            "Each upper row shows a grid and what a rule makes of it. What does the rule make of the last "
            f"grid? Colours are {LEGEND}. Answer with the digits of each row, one row a line, with spaces "
            "between them."
        )
        answer = "\n".join(" ".join(map(str, row)) for row in goal)
        return Item(question, answer, (), (sheet.picture(),), source="arc", truth={"arc": name}, content=name)


def drawn(pairs: Sequence[tuple[Grid, Grid | None]], *, round_cells: bool) -> Sheet:
    """Pairs below each other, an arrow between the two grids; a missing one is a question mark."""
    widest = max(len(grid[0]) for pair in pairs for grid in pair if grid)
    cell = max(8, min(20, 200 // widest))
    half = cell * widest
    heights = [cell * max(len(grid) for grid in pair if grid) for pair in pairs]
    sheet = Sheet(2 * half + 5 * GAP, sum(heights) + GAP * (len(pairs) + 1), (255, 255, 255))
    y = GAP
    for (one, other), height in zip(pairs, heights, strict=True):
        _grid(sheet, one, GAP, y, cell, round_cells)
        middle, right = y + height // 2, 4 * GAP + half
        sheet.line([(right - 2 * GAP - 2, middle), (right - GAP, middle)], (60, 60, 60), 2)
        tip = [(right - GAP, middle - 5), (right - GAP + 7, middle), (right - GAP, middle + 5)]
        sheet.polygon(tip, (60, 60, 60))
        if other is not None:
            _grid(sheet, other, right, y, cell, round_cells)
        else:
            sheet.box(right, y, right + cell * 3, y + cell * 3, (235, 235, 235), (60, 60, 60))
            x, top = right + cell * 1.5, y + cell * 0.7
            sheet.arc((x, top + cell * 0.4), cell * 0.5, 180, 90, (60, 60, 60), 2)
            sheet.line([(x, top + cell * 0.9), (x, top + cell * 1.2)], (60, 60, 60), 2)
            sheet.circle((x, top + cell * 1.55), 2, (60, 60, 60))
        y += height + GAP
    return sheet


def _grid(sheet: Sheet, grid: Grid, x: int, y: int, cell: int, round_cells: bool) -> None:
    ground = (60, 60, 60)
    sheet.box(x, y, x + cell * len(grid[0]) + 1, y + cell * len(grid) + 1, ground)
    hues = list(COLOURS.values())
    for line, row in enumerate(grid):
        for column, value in enumerate(row):
            left, top = x + column * cell, y + line * cell
            if round_cells:
                sheet.circle((left + cell / 2, top + cell / 2), cell / 2 - 1, hues[value])
            else:
                sheet.box(left + 1, top + 1, left + cell, top + cell, hues[value])
