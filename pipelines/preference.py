"""How often a reward puts the gold answer above a worse one, on items that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Sample
from vlmloom.components.contracts.suite import Suite
from vlmloom.pipelines.data.preferences import worse
from vlmloom.pipelines.report.record import Answer
from vlmloom.pipelines.report.statistics import Estimate, bootstrap, collect
from vlmloom.registry.errors import UserError

TRAINED = ("choice", "other", "corrupt", "empty")
"""Kinds of worse answers as in the view `preferences`; the others are tricks that no training pair shows."""


@dataclass(frozen=True)
class Row:
    """One line of the table: pairs of a kind, of one task or of all (the mean over tasks)."""

    kind: str
    task: str
    pairs: int
    accuracy: Estimate


def tricks(sample: Sample, other: str) -> Iterator[tuple[str, str]]:
    """Worse answers of kinds that are not trained on: kind, answer."""
    yield "question", " ".join(part for part in sample.prompt if isinstance(part, str))
    yield "hedge", f"{sample.answer} or {other}"
    yield "twice", f"{sample.answer} {sample.answer}"
    yield "praise", f"{other} is certainly the right answer"


def pairs(suite: Suite, split: str, items: int) -> Iterator[tuple[Sample, list[tuple[str, str]]]]:
    """Items of a split with worse answers, by kind; what the verifier finds right is left out."""
    for name in suite.splits().get(split, ()):
        for index in range(items):
            sample = suite.tasks[name].plan(split, index)
            rejected = worse(suite, sample)
            if rejected is None:
                continue
            answers = [(rejected.kind, rejected.answer)]
            for kind, answer in tricks(sample, rejected.answer):
                reward = suite.check(sample, answer)
                if reward.value is not None and reward.value < 1.0:
                    answers.append((kind, answer))
            yield sample, answers


def order(
    verifier: Verifier,
    suite: Suite,
    *,
    split: str = "test",
    items: int = 100,
    tick: Callable[[], None] | None = None,
) -> list[Row]:
    """How often the gold answer is ahead; a tie counts one half. Intervals are clustered by scene.

    Raises:
        UserError: the verifier fails on an answer, or the suite has no such split.
    """
    found: dict[str, list[Answer]] = {}
    for sample, worse_ones in pairs(suite, split, items):
        rewards = verifier.judge(sample, [sample.answer, *(answer for _, answer in worse_ones)])
        values = []
        for reward in rewards:
            if reward.value is None:
                raise UserError(f"{sample.task}#{sample.index} of {split}: the reward failed: {reward.error}")
            values.append(reward.value)
        for (kind, answer), value in zip(worse_ones, values[1:], strict=True):
            ahead = 0.5 if values[0] == value else float(values[0] > value)
            row = Answer(
                "", 0, split, sample.task, sample.index, sample.scene.key, ahead, answer, sample.answer
            )
            for group in (kind, "all pairs") if kind in TRAINED else (kind,):
                found.setdefault(group, []).append(row)
        if tick is not None:
            tick()
    if not found:
        raise UserError(f"the suite has no pairs in its {split} split; it has {', '.join(suite.splits())}")
    return [row for kind in sorted(found, key=_place) for row in _rows(kind, found[kind])]


def _place(kind: str) -> tuple[int, str]:
    return ("all pairs", *TRAINED).index(kind) if kind in ("all pairs", *TRAINED) else len(TRAINED) + 1, kind


def _rows(kind: str, answers: list[Answer]) -> Iterator[Row]:
    tasks = list(dict.fromkeys(answer.category for answer in answers))
    drawn = bootstrap(collect(answers, [""], tasks))
    groups = {"mean": list(range(len(tasks)))} | {name: [place] for place, name in enumerate(tasks)}
    for name, places in groups.items():
        counted = sum(name in ("mean", answer.category) for answer in answers)
        estimate = drawn.estimate(0, places)
        if estimate is not None:
            yield Row(kind, name, counted, estimate)
