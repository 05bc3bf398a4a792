"""Puzzles on a board: the position is seen, the rules are told."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from vlmloom.components.contracts.sources import FontSource, PuzzleSource, Source
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask, by_name
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.reasoning.board import board
from vlmloom.components.task.world import World
from vlmloom.registry import register

SPACED = "Answer with all rows, one a line, with spaces between the cells."


class Kind(NamedTuple):
    """One sort of puzzle.

    Attributes:
        settings: the generator's, by the side of the board.
        rows: its metadata -> the signs of the board.
        rules: what is asked.
        block: see `board`.
        sums: the keys of what stands beside and below the board.
    """

    settings: Callable[[int], dict[str, Any]]
    rows: Callable[[dict[str, Any]], list[list[str]]]
    rules: str
    block: int = 0
    sums: tuple[str, str] | None = None


def _signs(key: str, signs: dict[Any, str]) -> Callable[[dict[str, Any]], list[list[str]]]:
    """Cells of a grid in the metadata as signs; what is not among them is written as it is."""
    return lambda found: [[signs.get(cell, str(cell)) for cell in row] for row in found[key]]


KINDS: dict[str, Kind] = {
    "mini_sudoku": Kind(
        lambda side: {},
        _signs("puzzle", {0: ""}),
        "Fill the empty cells so that each row, each column and each thick-bordered 2 x 2 block has the "
        f"numbers 1 to 4. {SPACED}",
        block=2,
    ),
    "rotten_oranges": Kind(
        lambda side: {"min_n": 3, "max_n": side, "p_oranges": 0.75},
        _signs("matrix", {0: "", 1: "o", 2: "x"}),
        "Each minute every dark orange spoils the bright ones directly above, below, left and right of it. "
        "After how many minutes is no bright one left? Answer with the number, -1 if some never spoil.",
    ),
    "largest_island": Kind(
        lambda side: {"min_rows": 4, "max_rows": side, "min_cols": 4, "max_cols": side},
        _signs("grid", {0: "", 1: "#"}),
        "Filled cells that share an edge are one island. How many cells has the largest island? Answer with "
        "the number.",
    ),
    "n_queens": Kind(
        lambda side: {"n": min(max(side, 7), 8), "min_remove": 1, "max_remove": 3},
        _signs("puzzle", {"_": ""}),
        "Place queens so that every row has one and no two attack each other along a row, a column or a "
        f"diagonal; those on the board stay. {SPACED} Write Q for a queen and _ for an empty cell.",
    ),
    "binary_matrix": Kind(
        lambda side: {"min_n": 3, "max_n": max(side - 2, 3)},
        _signs("matrix", {0: "0", 1: "1"}),
        "For each cell, how many steps along rows and columns is the nearest 0 away (0 for a 0)? " + SPACED,
    ),
    "kakurasu": Kind(
        lambda side: {"min_rows": 4, "max_rows": min(side, 6), "min_cols": 4, "max_cols": min(side, 6)},
        _signs("puzzle", {0: ""}),
        "Choose cells. A chosen cell adds its column's number (from 1 at the left) to the sum of its row, to "
        "the right of it, and its row's number (from 1 at the top) to the sum of its column, below it. "
        f"{SPACED} Write 1 for a chosen cell and 0 for another.",
        sums=("row_sums", "col_sums"),
    ),
}


@register("task/grid_puzzle")
class GridPuzzle(ContentTask):
    """Solve a board of reasoning-gym that is seen: sudoku, queens, islands, oranges, distances, kakurasu.

    Args:
        world: what is shared by the tasks of a suite.
        puzzles: what the puzzles come from; None is `source/reasoning_gym`.
        fonts: of figures; None is `source/page_fonts`.
        side: cells along the largest boards, from 4.
        kinds: which of the puzzles; None is all.
    """

    name = "grid_puzzle"
    family = "reasoning"
    knob = "side"

    def __init__(
        self,
        *,
        world: World,
        puzzles: PuzzleSource | None = None,
        fonts: FontSource | None = None,
        side: int = 6,
        kinds: Sequence[str] | None = None,
    ) -> None:
        super().__init__(world=world, fonts=fonts)
        if not 4 <= side <= 12:
            raise ValueError(f"task/grid_puzzle: side is {side}, but may be 4 to 12")
        for kind in kinds or ():
            if kind not in KINDS:
                raise ValueError(f"task/grid_puzzle: {kind!r} is none of the kinds {', '.join(KINDS)}")
        self.puzzles: PuzzleSource = by_name(puzzles, "source/reasoning_gym")
        self.side = side
        self.kinds = list(kinds or KINDS)

    def sources(self) -> Sequence[Source]:
        """Fonts and puzzles."""
        return (self.fonts, self.puzzles)

    def judge(self) -> dict[str, Any]:
        """By the generator's own checker."""
        return {"use": "reward/puzzle"}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """A board and its rules."""
        name = draw.choice(self.kinds)
        kind = KINDS[name]
        puzzle = self.puzzles.make(name, draw.below(1 << 31), **kind.settings(self.side))
        if puzzle is None:
            return None
        found = puzzle.entry["metadata"]
        rows = kind.rows(found)
        # A board that has nothing on it but air could only be asked by its size.
        if name in ("rotten_oranges", "largest_island") and puzzle.answer in ("0", "-1") and draw.chance(0.8):
            return None
        sums = [[str(one) for one in found[key]] for key in kind.sums or ()]
        right, below = sums or ((), ())
        sheet = board(draw, split, rows, self.face(draw, split), block=kind.block, right=right, below=below)
        return Item(
            kind.rules,
            puzzle.answer,
            sheet.things(),
            (sheet.picture(),),
            source="reasoning_gym",
            truth={"dataset": name, "entry": puzzle.entry},
            content=json.dumps([name, rows, sums]),
        )
