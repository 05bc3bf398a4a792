"""What a comparison hands to the report: plain data, no tensors, and the JSON lines it is kept in."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from vlmloom.pipelines.files import write_text
from vlmloom.registry.errors import UserError, one_line


@dataclass(frozen=True, slots=True)
class Answer:
    """One evaluated item.

    Attributes:
        design: which design answered.
        seed: of its training.
        split: test, shift, compositional, corrupt, ...
        category: the task.
        item: index of the item within its split and category; equal for every design and seed.
        scene: key of the scene; items that share one are not independent, intervals are clustered by it.
        correct: from 0 to 1.
        response: what was answered.
        gold: what would have been right.
        seconds: taken to answer.
    """

    design: str
    seed: int
    split: str
    category: str
    item: int
    scene: str
    correct: float
    response: str = ""
    gold: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Stage:
    """One stage of a run: what trained, what was frozen, and its part of the budget."""

    name: str
    trains: str = ""
    frozen: str = ""
    flops: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class CurvePoint:
    """One point of a learning curve; FLOPs and seconds count from the start of the run, all stages included.

    Attributes:
        accuracy: on the validation split, where it was measured at this step.
        parts: running means of what parts report of their losses and accuracies.
    """

    flops: float
    seconds: float
    step: int
    loss: float | None = None
    stage: str = ""
    accuracy: float | None = None
    parts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One training of one design.

    Attributes:
        flops: spent in training, all stages.
        samples: seen in training, all stages.
        latency_ms: median time of one answer.
        labels_seen: kind of label -> how many were trained on.
        config: the resolved YAML.
        measures: name -> its value on each batch of test items; a batch holds the same items for every run,
            None where it has no value.
        histograms: name -> value -> how often.
        declared: numbers that parts state of themselves.
    """

    design: str
    seed: int
    parameters_total: int
    parameters_active: int
    flops: float
    samples: int
    seconds_training: float
    latency_ms: float | None = None
    peak_memory_bytes: int | None = None
    curve: list[CurvePoint] = field(default_factory=list)
    labels_seen: dict[str, int] = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)
    config: str = ""
    measures: dict[str, list[float | None]] = field(default_factory=dict)
    histograms: dict[str, dict[str, int]] = field(default_factory=dict)
    declared: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Run:
        """The inverse of `to_dict`."""
        known = {entry.name for entry in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        values["curve"] = [CurvePoint(**point) for point in data.get("curve", [])]
        values["stages"] = [Stage(**stage) for stage in data.get("stages", [])]
        return cls(**values)


@dataclass(frozen=True)
class Category:
    """A category of questions.

    Attributes:
        visual: whether it needs the picture; the headline averages the visual categories.
        chance: accuracy of a guess, where it is known.
    """

    name: str
    family: str = ""
    visual: bool = True
    chance: float | None = None


@dataclass(frozen=True)
class Example:
    """One question with what every design answered.

    Attributes:
        pictures: PNG files.
        responses: design -> answer.
        correct: design -> score from 0 to 1.
    """

    category: str
    question: str
    gold: str
    pictures: list[bytes] = field(default_factory=list)
    responses: dict[str, str] = field(default_factory=dict)
    correct: dict[str, float] = field(default_factory=dict)
    split: str = "test"


@dataclass
class Comparison:
    """Everything that a report is made from; it may be partial (runs missing).

    Attributes:
        designs: names in the order of the report.
        seeds: that were asked for; with `designs` they say which runs are missing.
        budget: e.g. `{"kind": "flops", "value": 2e13}`.
        reference: the design that never saw a picture, None where there is none.
        base: the design that all others are changes of, None where there is none.
        oracles: design -> the design that answers from perfect perception, for the split of its error.
        absent_splits: split -> why it was not evaluated.
        command: what runs the comparison again.
    """

    budget: dict[str, Any]
    designs: list[str]
    seeds: list[int]
    runs: list[Run]
    answers: list[Answer]
    categories: list[Category]
    reference: str | None = "blind"
    base: str | None = None
    oracles: dict[str, str] = field(default_factory=lambda: {"cascade": "oracle"})
    examples: list[Example] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    pretrained: list[dict[str, Any]] = field(default_factory=list)
    absent_splits: dict[str, str] = field(default_factory=dict)
    command: str = ""

    @property
    def trained(self) -> list[str]:
        """The designs that are compared: neither the reference nor an oracle."""
        aside = {self.reference, *self.oracles.values()}
        return [name for name in self.designs if name not in aside]


def write_answers(path: Path, answers: Iterable[Answer]) -> None:
    """Keep answers as JSON lines; the file is whole or not there."""
    names = [entry.name for entry in fields(Answer)]
    lines = (
        json.dumps({name: getattr(answer, name) for name in names}, allow_nan=False) for answer in answers
    )
    write_text(path, "".join(f"{line}\n" for line in lines))


def read_answers(path: Path) -> list[Answer]:
    """Read what `write_answers` kept.

    Raises:
        UserError: a line is not an answer; the message names the file and the line.
    """
    answers = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            answer = Answer(**json.loads(line))
            check_answer(answer)
        except (ValueError, TypeError) as error:
            raise UserError(
                f"{path}:{number}: not an answer ({one_line(error)}); without the file it is evaluated again"
            ) from None
        answers.append(answer)
    return answers


def check_answer(answer: Answer) -> None:
    """Refuse a score that is none.

    Raises:
        ValueError: `correct` is not from 0 to 1.
    """
    if not (math.isfinite(answer.correct) and 0.0 <= answer.correct <= 1.0):
        raise ValueError(
            f"answer of {answer.design}, seed {answer.seed}, {answer.split}/{answer.category} "
            f"item {answer.item}: correct is {answer.correct}; it must be from 0 to 1"
        )
