"""Rules that turn one grid of colours into another, as expressions of Python over `grid`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import permutations, product
from types import CodeType

from vlmloom.components.task.draw import Draw

Rows = list[list[int]]
Rule = tuple[str, ...]
"""Expressions that are applied one after the other."""

TURNS = (
    "[row[::-1] for row in grid]",
    "grid[::-1]",
    "[list(row) for row in zip(*grid)]",
    "[list(row) for row in zip(*grid[::-1])]",
    "[list(row) for row in zip(*grid)][::-1]",
)
"""Mirrored across and down, transposed, turned to the right and to the left."""
GROWN = (
    "[row + row[::-1] for row in grid]",
    "grid + grid[::-1]",
    "[[cell for cell in row for _ in range(2)] for row in grid for _ in range(2)]",
)
"""A mirror image beside it, below it, and every cell as four."""
MOVED = (
    "[row[-1:] + row[:-1] for row in grid]",
    "grid[-1:] + grid[:-1]",
    "[sorted(row, key=bool) for row in grid]",
    "[list(row) for row in zip(*(sorted(column, key=bool) for column in zip(*grid)))]",
)
"""Shifted by one to the right and down, round the edge; coloured cells fallen to the right and down."""
COLOURED = (
    "[[{b} if cell == {a} else cell for cell in row] for row in grid]",
    "[[cell if cell == {a} else 0 for cell in row] for row in grid]",
    "[[{a} if cell else 0 for cell in row] for row in grid]",
    "[[{a}] * (len(grid[0]) + 2)] + [[{a}, *row, {a}] for row in grid] + [[{a}] * (len(grid[0]) + 2)]",
)
"""One colour as another, all but one colour gone, all cells in one colour, a frame."""
LARGEST = 14
"""Cells along a side of what a rule makes, at most."""


def vocabulary(colours: Sequence[int]) -> list[str]:
    """Every step of a rule over these colours."""
    found = [*TURNS, *GROWN, *MOVED]
    for template in COLOURED:
        several = permutations(colours, 2) if "{b}" in template else ((one, 0) for one in colours)
        found += [template.format(a=a, b=b) for a, b in several]
    return found


def step_of(draw: Draw, colours: Sequence[int]) -> str:
    """A step at random: each kind is as frequent as the others, however many colours it may be of."""
    a, b = draw.sample(colours, 2)
    return draw.choice((*TURNS, *GROWN, *MOVED, *COLOURED)).format(a=a, b=b)


def apply(rule: Rule, grid: Rows) -> Rows:
    """What a rule makes of a grid.

    >>> apply(("grid[::-1]", "[row[::-1] for row in grid]"), [[1, 2], [3, 4]])
    [[4, 3], [2, 1]]
    """
    for step in rule:
        grid = eval(_compiled(step), {"grid": grid})
    return grid


@cache
def _compiled(step: str) -> CodeType:
    return compile(step, "rule", "eval")


def code(rule: Rule) -> str:
    """A rule as a function.

    >>> print(code(("grid[::-1]",)))
    def transform(grid):
        grid = grid[::-1]
        return grid
    """
    return "\n".join(("def transform(grid):", *(f"    grid = {step}" for step in rule), "    return grid"))


def grid_of(draw: Draw, colours: Sequence[int], smallest: int = 3, largest: int = 5) -> Rows:
    """A grid at random, two cells of five black."""
    rows, columns = draw.between(smallest, largest), draw.between(smallest, largest)
    return [[0 if draw.chance(0.4) else draw.choice(colours) for _ in range(columns)] for _ in range(rows)]


def told_apart(rule: Rule, colours: Sequence[int], shown: Sequence[Rows], hidden: Sequence[Rows]) -> bool:
    """Whether every rule of at most two steps that fits what is shown makes the same of what is hidden.

    A rule of three steps is compared with those, and with its own steps in another order.
    """
    wanted, goal = [apply(rule, grid) for grid in shown], [apply(rule, grid) for grid in hidden]
    steps = vocabulary(colours)
    others: set[Rule] = {(), *permutations(rule)}
    once = {step: apply((step,), shown[0]) for step in steps}
    for first, second in product(steps, (*steps, "")):
        found = apply((second,), once[first]) if second else once[first]
        if found == wanted[0]:
            others.add((first, second) if second else (first,))
    fits = (other for other in others if [apply(other, grid) for grid in shown] == wanted)
    return all([apply(other, grid) for grid in hidden] == goal for other in fits)
