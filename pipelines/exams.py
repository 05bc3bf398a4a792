"""What a trained run is asked: the questions of its suite, or the pictures of vision probes."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import nn

from vlmloom.pipelines.evaluate import Items
from vlmloom.pipelines.evaluate_vision.pictures import Plan as Probes
from vlmloom.pipelines.experiment import Training
from vlmloom.pipelines.report.record import write_answers
from vlmloom.registry.compose import Composed

Exam = Items | Probes
"""Questions by category, or pictures for probes of the tower."""

ORACLE = "oracle"
LATENCY_ITEMS = 24


@dataclass
class Outcome:
    """What an exam found.

    Attributes:
        answers: file of answers in the run's folder -> how many it holds.
        parts: what answered.
        active: parameters that one text token uses, or all of a tower.
        measures: see `Run`.
        histograms: see `Run`.
        latency: seconds of one answer, where it was measured.
        chances: category -> the score of a guess; of probes alone, a suite tells its own.
    """

    answers: dict[str, int]
    parts: Mapping[str, nn.Module]
    active: int
    measures: dict[str, list[float | None]] = field(default_factory=dict)
    histograms: dict[str, dict[str, int]] = field(default_factory=dict)
    latency: float | None = None
    chances: dict[str, float | None] = field(default_factory=dict)


def plain(exam: Exam) -> dict[str, Any]:
    """An exam as JSON gives it back."""
    return dict(json.loads(json.dumps(asdict(exam))))


def composer(exam: Exam) -> Callable[..., Composed]:
    """What composes an experiment for an exam: a component that trains alone answers no questions."""
    from vlmloom.pipelines.loading import compose_experiment, compose_training

    return compose_experiment if isinstance(exam, Items) else compose_training


def examine(experiment: Any, exam: Exam, folder: Path, design: str, seed: int, console: Console) -> Outcome:
    """Ask a trained run.

    Args:
        experiment: with its trained weights, in evaluation mode.
        exam: what is asked.
        folder: of the run, where answers are kept.
        design: the name in the report.
        seed: of the training.
        console: for one line of result.
    """
    if isinstance(exam, Items):
        return questions(experiment, exam, folder, design, seed, console)
    return probes(experiment, exam, folder, design, seed, console)


def questions(
    experiment: Any, items: Items, folder: Path, design: str, seed: int, console: Console
) -> Outcome:
    """Ask every category of the suite, with an oracle's perception too where the design perceives first."""
    from vlmloom.pipelines.answering import Answerer
    from vlmloom.pipelines.evaluate import answers_file, evaluate
    from vlmloom.pipelines.measures import BATCHES, measure
    from vlmloom.pipelines.summary import active_parameters

    suite, routes = experiment.data.suite, {design: Answerer(experiment)}
    if routes[design].perceives:
        routes[ORACLE] = Answerer(experiment, oracle=True)
    kept: dict[str, int] = {}
    for name, answerer in routes.items():
        clock = time.perf_counter()
        answers = evaluate(answerer, folder, design=name, seed=seed, items=items)
        for split, count in Counter(answer.split for answer in answers).items():
            kept[answers_file(folder, name, split, items).name] = count
        visual = {category for category, task in suite.tasks.items() if task.visual}
        scores = [
            answer.correct for answer in answers if answer.split == "test" and answer.category in visual
        ]
        console.print(
            f"{name}: {sum(scores) / max(len(scores), 1):.1%} of {len(scores)} visual test items "
            f"({time.perf_counter() - clock:.0f} s)"
        )
    samples = [task.plan("test", index) for task in suite.tasks.values() for index in range(2)]
    measured = measure(routes[design], min(BATCHES, items.test))
    parts = experiment.assembly.parts()
    answering = {name: part for name, part in parts.items() if name not in ("text", "align")}
    return Outcome(
        kept,
        answering,
        sum(active_parameters(part) for part in answering.values()),
        measured.values,
        measured.histograms,
        routes[design].latency(samples[:LATENCY_ITEMS]),
    )


def probes(
    experiment: Training, plan: Probes, folder: Path, design: str, seed: int, console: Console
) -> Outcome:
    """Show the trained tower the pictures of `vlmloom evaluate-vision`."""
    from vlmloom.pipelines.evaluate_vision.compare import NAMES, tower
    from vlmloom.pipelines.evaluate_vision.pictures import draw_all
    from vlmloom.pipelines.evaluate_vision.report import answers
    from vlmloom.pipelines.evaluate_vision.score import score

    clock = time.perf_counter()
    found = list(score(tower(str(folder), plan.seed), draw_all(plan), NAMES))
    kept: dict[str, int] = {}
    for split in dict.fromkeys(one.split for one in found):
        given = answers(design, [one for one in found if one.split == split], seed)
        name = f"answers-{design}-{split.replace(' ', '')}.jsonl"
        write_answers(folder / name, given)
        kept[name] = len(given)
    means = ", ".join(f"{one.probe} {one.values.mean():.3f}" for one in found if one.split == "test")
    console.print(f"{design}: {means} ({time.perf_counter() - clock:.0f} s)")
    subject: Any = experiment.subject
    own = getattr(subject, "vision", subject)
    total = sum(parameter.numel() for parameter in own.parameters())
    return Outcome(kept, {"vision": own}, total, chances={one.probe: one.chance for one in found})
