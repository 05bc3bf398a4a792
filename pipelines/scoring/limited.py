"""Answers judged in a process of their own, each within its time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vlmloom.components.contracts.sample import Reward
from vlmloom.pipelines.scoring.line import SECONDS, Line
from vlmloom.pipelines.scoring.pool import Pool
from vlmloom.pipelines.scoring.scorer import Scorer


@dataclass(frozen=True)
class Limits:
    """The seconds that judging an answer may take.

    Attributes:
        seconds: of every verifier and task that has none of its own.
        own: verifier or task -> its seconds.
    """

    seconds: float = SECONDS
    own: Mapping[str, float] = field(default_factory=dict)

    def of(self, line: Line) -> float:
        """For each answer of a line."""
        return self.own.get(line.verifier or line.task, self.seconds)


class Limited:
    """A scorer in a fork of this process, made with the first line; a context, which ends it.

    An answer that takes longer, or whose process dies twice, is a failure of judging; where the question
    itself hangs (`pool.STARTING` seconds), that of all its answers. Verifiers that wait for
    another machine judge in this process: they have limits of their own.

    It is a fork, since a scorer holds an open suite and verifiers of plugins that need not be picklable, and
    another start would import and load them once more. A fork has neither the threads nor the CUDA of its
    parent: a verifier that computes on CUDA belongs into a process where nothing has used it before.
    """

    def __init__(self, scorer: Scorer, limits: Limits) -> None:
        self.scorer, self.limits = scorer, limits
        self._pool: Pool | None = None

    def rewards(self, line: Line) -> list[Reward]:
        """One of every answer, whatever happens."""
        if self.scorer.waits(line):
            return list(self.scorer.rewards(line))
        if self._pool is None:
            self._pool = Pool(1, lambda: self.scorer, start="fork")
        return self._pool.submit(line, self.limits.of(line)).result()

    def __enter__(self) -> Limited:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.close()
