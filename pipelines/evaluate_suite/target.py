"""What answers questions, and the policies that say what the numbers of others mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from vlmloom.components.contracts.sample import Sample
from vlmloom.components.contracts.suite import Suite
from vlmloom.components.task.boxed import boxed, unboxed
from vlmloom.components.task.draw import Draw
from vlmloom.pipelines.evaluate_suite.record import Reply

POLICIES = ("oracle", "random", "empty")


class Target(Protocol):
    """Answers questions.

    Attributes:
        name: in the report.
        key: what its answers depend on, as JSON can hold it.
        batch: how many questions it takes at a time.
        scripted: whether it is to be told the right answer, as an oracle is.
    """

    name: str
    key: dict[str, Any]
    batch: int
    scripted: bool

    def replies(self, samples: Sequence[Sample]) -> Iterator[tuple[int, Reply]]:
        """Place in `samples` and reply, each as soon as it is there; never raises for one of them."""


class Policy:
    """Answers without looking: the gold answer, one of the choices or another item's gold answer, or nothing.

    In an episode of several steps these are its script, its `guess` at every step, and nothing.

    Args:
        name: oracle, random or empty.
        suite: whose questions are asked.
    """

    batch = 64

    def __init__(self, name: str, suite: Suite) -> None:
        self.name, self.suite, self.scripted = name, suite, name == "oracle"
        self.key = {"policy": name}

    def replies(self, samples: Sequence[Sample]) -> Iterator[tuple[int, Reply]]:
        """See `Target`."""
        for place, sample in enumerate(samples):
            guess = self._guess(sample) if self.name == "random" else ""
            yield place, Reply(sample.answer if self.scripted else guess)

    def _guess(self, sample: Sample) -> str:
        draw = Draw("guess", sample.task, sample.split, sample.index)
        if sample.choices:
            guess = draw.choice(sample.choices)
            return guess if unboxed(sample.answer) == sample.answer else boxed(guess)
        task = self.suite.tasks[sample.task]
        if task.steps > 1:
            return sample.answer  # the act that the episode offered
        return task.plan(sample.split, 1000 + draw.below(1_000_000)).answer
