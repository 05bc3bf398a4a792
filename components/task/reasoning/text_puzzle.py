"""Questions in words, without a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vlmloom.components.contracts.sources import PuzzleSource, Source
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask, by_name
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.world import World
from vlmloom.registry import register


class TextPuzzle(ContentTask):
    """Puzzles of reasoning-gym, each judged by its generator's own checker.

    Args:
        world: what is shared by the tasks of a suite.
        puzzles: what they come from; None is `source/reasoning_gym`.
        level: how hard, from 0, by the curricula of the generators.
        kinds: the generators that are asked; None is the task's own choice. Shift has generators of its own.
    """

    family = "reasoning"
    visual = False
    knob = "level"
    trained: tuple[str, ...] = ()
    shifted: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        world: World,
        puzzles: PuzzleSource | None = None,
        level: int = 1,
        kinds: Sequence[str] | None = None,
    ) -> None:
        super().__init__(world=world)
        if level < 0:
            raise ValueError(f"task/{self.name}: level is {level}; 0 or more would be right")
        self.puzzles: PuzzleSource = by_name(puzzles, "source/reasoning_gym")
        self.level = level
        self.kinds = tuple(kinds or self.trained)

    def sources(self) -> Sequence[Source]:
        """The puzzles."""
        return (self.puzzles,)

    def judge(self) -> dict[str, Any]:
        """By the generator's own checker."""
        return {"use": "reward/puzzle"}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """One puzzle of one generator."""
        name = draw.choice(self.shifted if split == "shift" else self.kinds)
        puzzle = self.puzzles.make(name, draw.below(1 << 31), level=self.level)
        if puzzle is None:
            return None
        return Item(
            puzzle.question.strip(),
            puzzle.answer,
            source="reasoning_gym",
            truth={"dataset": name, "entry": puzzle.entry},
            content=puzzle.question,
        )


@register("task/text_maths")
class TextMaths(TextPuzzle):
    """Mathematics in words: sums, fractions, equations, word problems; judged by reasoning-gym.

    Args:
        world: what is shared by the tasks of a suite.
        puzzles: what they come from; None is `source/reasoning_gym`.
        level: how hard, from 0, by the curricula of the generators.
        kinds: the generators that are asked; None is the task's own choice. Shift has generators of its own.
    """

    name = "text_maths"
    trained = (
        *("chain_sum", "basic_arithmetic", "products", "gcd", "lcm", "prime_factorization", "leg_counting"),
        *("fraction_simplification", "simple_equations", "gsm_symbolic", "decimal_chain_sum"),
        "power_function",
    )
    shifted = ("decimal_arithmetic", "time_intervals", "base_conversion", "complex_arithmetic", "count_bits")


@register("task/text_logic")
class TextLogic(TextPuzzle):
    """Logic in words: who lies, who is related to whom, what follows; judged by reasoning-gym.

    Args:
        world: what is shared by the tasks of a suite.
        puzzles: what they come from; None is `source/reasoning_gym`.
        level: how hard, from 0, by the curricula of the generators.
        kinds: the generators that are asked; None is the task's own choice. Shift has generators of its own.
    """

    name = "text_logic"
    trained = (
        *("knights_knaves", "family_relationships", "aiw", "circuit_logic", "acre", "color_cube_rotation"),
        *("course_schedule", "self_reference"),
    )
    shifted = ("syllogism", "coin_flip", "shortest_path")
