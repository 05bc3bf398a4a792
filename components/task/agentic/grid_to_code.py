"""Grids before and after a rule, to be written as code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from vlmloom.components.contracts.sources import Source
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.grid_rules import (
    LARGEST,
    Rows,
    Rule,
    apply,
    code,
    grid_of,
    step_of,
    told_apart,
)
from vlmloom.components.task.reasoning.arc import LEGEND, drawn
from vlmloom.components.task.world import World
from vlmloom.registry import register

SHOWN, HIDDEN = 3, 4
PROBES = tuple(grid_of(Draw("probe", number), range(1, 10), 5, 6) for number in range(3))
"""What rules are told apart by: two that make the same of all of these are one rule."""


@register("task/grid_to_code")
class GridToCode(ContentTask):
    """Write the Python function that turns the left grids into the right ones; it is run on hidden grids.

    Rules are steps such as turning, mirroring, recolouring, framing and falling, one after the other. An item
    is left out where another rule fits its picture and makes something else of a hidden grid. A rule is in
    one split alone; the shift split has rules of test in round cells.

    Args:
        world: what is shared by the tasks of a suite.
        operations: steps of a rule in three of four items, else as many or fewer; from 1 to 3.
    """

    name = "grid_to_code"
    family: ClassVar[str] = "agentic"
    knob: ClassVar[str] = "operations"

    def __init__(self, *, world: World, operations: int = 2) -> None:
        super().__init__(world=world)
        if not 1 <= operations <= 3:
            raise ValueError(f"task/grid_to_code: operations is {operations}; 1 to 3 would be right")
        self.operations = operations

    def sources(self) -> Sequence[Source]:
        """None: grids are drawn."""
        return ()

    def judge(self) -> dict[str, Any]:
        """Right for all hidden grids, or wrong."""
        return {"use": "reward/code", "whole": True}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """A rule, and grids that tell it."""
        colours = sorted(draw.sample(range(1, 10), 4))
        length = self.operations if draw.chance(0.75) else draw.between(1, self.operations)
        rule: Rule = tuple(step_of(draw, colours) for _ in range(length))
        content = repr([apply(rule, probe) for probe in PROBES])
        if not self.belongs(split, content):
            return None
        grids = [grid_of(draw, colours) for _ in range(SHOWN + HIDDEN)]
        made = [apply(rule, grid) for grid in grids]
        if any(grid == other or _side(other) > LARGEST for grid, other in zip(grids, made, strict=True)):
            return None
        # Each step does something: no shorter rule stands behind a longer one.
        shorter = [rule[:place] + rule[place + 1 :] for place in range(len(rule))]
        if any([apply(one, grid) for grid in grids] == made for one in shorter):
            return None
        if not told_apart(rule, colours, grids[:SHOWN], grids[SHOWN:]):
            return None
        asserts = [
            f"assert transform({grid}) == {other}"
            for grid, other in zip(grids[SHOWN:], made[SHOWN:], strict=True)
        ]
        pairs = [
            (_frozen(grid), _frozen(other)) for grid, other in zip(grids[:SHOWN], made[:SHOWN], strict=True)
        ]
        return Item(
            question=(
                "Each row shows a grid and what a rule makes of it. Write a Python function transform(grid) "
                "that does what the rule does; it is run on other grids. A grid is a list of rows, a row a "
                f"list of numbers: {LEGEND}. Answer with the code alone."
            ),
            answer=code(rule),
            pictures=(drawn(pairs, round_cells=split == "shift").picture(),),
            source="composed",
            truth={"asserts": asserts},
            content=content,
        )


def _side(grid: Rows) -> int:
    return max(len(grid), len(grid[0]))


def _frozen(grid: Rows) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row) for row in grid)
