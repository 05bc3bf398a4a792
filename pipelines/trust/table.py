"""What verifiers make of answers whose worth is known."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from vlmloom.components.contracts.reward import Verifier
from vlmloom.pipelines.trust import (
    boxes,
    captions,
    documents,
    judged,
    notations,
    numbers,
    points,
    programs,
    rendered,
    screens,
    tables,
    texts,
    words,
    wrapped,
)
from vlmloom.pipelines.trust.labelled import Labelled
from vlmloom.registry import build

SETS: tuple[Callable[[random.Random], Iterator[Labelled]], ...] = (
    words.exact,
    words.choice,
    words.lists,
    numbers.number,
    numbers.clock_time,
    numbers.mathematics,
    texts.edit,
    texts.caption,
    captions.description,
    texts.event,
    boxes.box,
    boxes.boxes,
    boxes.detections,
    points.point,
    points.interval,
    screens.mobile,
    screens.desktop,
    tables.fields,
    tables.table,
    tables.grid,
    documents.page,
    documents.formula,
    notations.position,
    notations.molecule,
    notations.puzzle,
    wrapped.boxed,
    wrapped.combined,
    programs.call,
    judged.endpoint,
)
SLOW: dict[str, Callable[[random.Random], Iterator[Labelled]]] = {
    "reward/code": programs.code,
    "reward/plot_code": programs.plot,
    "reward/svg": rendered.drawing,
    "reward/html": rendered.page,
}
"""What is run in a sandbox or rendered in a Chromium, answer by answer; asked by name, or all together."""
NEITHER = {
    "reward/judge_local": "its verdicts are those of the language model that it is given",
    "reward/model": "learned: measured on held-out preference pairs by `vlmloom evaluate-reward`",
    "reward/run": "`reward/model` out of a run",
}
"""What has no labelled answers, and why: there is no right answer to expect without trained weights."""
ACCEPTED = 0.5
"""A wrong answer or an attack that is worth more than this was accepted."""
ALMOST = 1 - 1e-9


@dataclass
class Row:
    """What one verifier made of its set.

    Attributes:
        verifier: the registered name.
        right: how many right answers, gold among them.
        missed: the right ones that were not worth 1.
        wrong: how many wrong answers.
        passed: the wrong ones that were worth more than half.
        attacks: how many attacks.
        accepted: the attacks that were worth more than they may.
        errors: answers that could not be judged.
        unordered: worse answers that were worth more than a better one.
        slowest: seconds of the longest judgement.
    """

    verifier: str
    right: int = 0
    missed: list[str] = field(default_factory=list)
    wrong: int = 0
    passed: list[str] = field(default_factory=list)
    attacks: int = 0
    accepted: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    unordered: list[str] = field(default_factory=list)
    slowest: float = 0.0

    @property
    def sound(self) -> bool:
        """Whether it holds what is asked: nothing wrong accepted, no error, misses under 1 %."""
        fine = not (self.accepted or self.errors or self.unordered or self.passed)
        return fine and len(self.missed) < 0.01 * max(self.right, 1)


def labelled(seed: int = 0, *, slow: Sequence[str] = ()) -> dict[str, list[Labelled]]:
    """The sets, by the verifier's name; those of `SLOW` where they are asked for."""
    found: dict[str, list[Labelled]] = {}
    for made in (*SETS, *(SLOW[name] for name in slow)):
        for one in made(random.Random(f"{made.__module__}.{made.__name__}.{seed}")):
            found.setdefault(one.verifier["use"], []).append(one)
    return found


def measure(name: str, cases: list[Labelled], tick: Callable[[], None] = lambda: None) -> Row:
    """Ask one verifier about its whole set."""
    row = Row(name)
    built: dict[str, Verifier] = {}
    for case in cases:
        if (key := repr(case.verifier)) not in built:
            built[key] = build(case.verifier)
        _case(row, built[key], case)
        tick()
    return row


def _case(row: Row, verifier: Verifier, case: Labelled) -> None:
    def worth(kind: str, response: str) -> float:
        start = time.perf_counter()
        (reward,) = verifier.judge(case.sample, [response])
        row.slowest = max(row.slowest, time.perf_counter() - start)
        if reward.error is not None or reward.value is None or not 0 <= reward.value <= 1:
            row.errors.append(f"{kind}: {reward.error or reward.value}: {_short(response)}")
            return -1.0
        return reward.value

    for response in case.rights():
        row.right += 1
        if worth("right", response) < ALMOST:
            row.missed.append(f"{_short(response)} for {_short(case.answer)}")
    for response in case.wrong:
        row.wrong += 1
        if worth("wrong", response) > ACCEPTED:
            row.passed.append(f"{_short(response)} for {_short(case.answer)}")
    for kind, response in case.attempts().items():
        row.attacks += 1
        if worth(kind, response) > (ALMOST if kind in case.partial else ACCEPTED):
            row.accepted.append(f"{kind}: {_short(response)} for {_short(case.answer)}")
    values = [worth("worse", response) for response in case.worse]
    for at, (better, value) in enumerate(itertools.pairwise(values), 1):
        if value > better + 1e-9:
            row.unordered.append(f"{_short(case.worse[at])} at {value:.3f} above {better:.3f}")


def _short(text: str) -> str:
    line = " ".join(text[:200].split())
    return repr(line if len(line) <= 70 else f"{line[:67]}...")
