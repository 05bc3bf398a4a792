"""reasoning-gym: puzzles from a hundred generators, each with a checker of its own."""

from __future__ import annotations

import json
from functools import lru_cache
from importlib import util
from typing import Any

from vlmloom.components.contracts.sources import Puzzle, PuzzleSource, SourceMissing
from vlmloom.registry import register

UNSTABLE = (
    *("isomorphic_strings", "knight_swap", "polynomial_multiplication", "ransom_note", "word_ladder"),
    *("boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour", "composite"),
    "number_sequence",
)
"""The first five give other puzzles in another process; the others have no gold answer that their checker
accepts (seen with 0.1.25), or are no generators; the last squares numbers for ever at some seeds."""


@register("source/reasoning_gym")
class ReasoningGym(PuzzleSource):
    """The generators of reasoning-gym that give the same puzzle in every process.

    Reference: arXiv 2505.24760; https://github.com/open-thought/reasoning-gym
    """

    package = "PyPI reasoning-gym"
    licence = "Apache-2.0"

    def available(self) -> str | None:
        """None where reasoning-gym is installed."""
        if util.find_spec("reasoning_gym"):
            return None
        return "source/reasoning_gym: pip install reasoning-gym (extra: tasks)"

    def prepare(self) -> None:
        """Nothing: puzzles are made when they are asked for."""

    def make(self, name: str, seed: int, *, level: int | None = None, **settings: Any) -> Puzzle | None:
        """See `PuzzleSource.make`.

        Raises:
            SourceMissing: reasoning-gym is not installed.
            ValueError: there is no such generator, or it is none of the stable ones.
        """
        missing = self.available()
        if missing:
            raise SourceMissing(missing)
        if name in UNSTABLE:
            raise ValueError(
                f"source/reasoning_gym: {name!r} differs between processes, has no gold answer or no end"
            )
        from reasoning_gym.factory import DATASETS

        if name not in DATASETS:
            raise ValueError(f"source/reasoning_gym: {name!r} is no generator; chain_sum would be one")
        made, config = DATASETS[name]
        if level is not None:
            settings = _settings(name, level)
        try:
            entry = made(config(seed=seed, size=1, **settings))[0]
        except RuntimeError:
            # Some generators give up after so many attempts.
            return None
        return Puzzle(
            str(entry["question"]), str(entry["answer"]), json.loads(json.dumps(entry, default=_plain))
        )


def _plain(value: Any) -> Any:
    """What JSON does not know: numbers of numpy, sets, and what can only be told."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return sorted(value, key=str) if isinstance(value, set | frozenset) else str(value)


@lru_cache(maxsize=512)
def _settings(name: str, level: int) -> dict[str, Any]:
    """What a generator's curriculum sets at a level, or its highest below; nothing where it has none."""
    from reasoning_gym.factory import CURRICULA, create_curriculum

    if name not in CURRICULA:
        return {}
    curriculum = create_curriculum(name)
    for attribute, levels in curriculum.attributes.items():
        curriculum.set_attr_level(attribute, min(level, len(levels.levels) - 1))
    made = curriculum.generate_configuration({"seed": 0, "size": 1})
    return {key: value for key, value in vars(made).items() if key not in ("seed", "size")}
