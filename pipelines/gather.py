"""What the runs of a comparison have written, as the report takes it."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vlmloom.pipelines.job import ORACLE
from vlmloom.pipelines.report.record import Answer, Comparison, Example, Run

if TYPE_CHECKING:
    from vlmloom.pipelines.compare import Plan

BLIND = "blind"
EXAMPLES_A_CATEGORY = 1


def gather(plan: Plan, designs: Sequence[str]) -> Comparison:
    """Everything that is finished, as the report takes it."""
    from vlmloom.pipelines.evaluate import categories, evaluated_splits
    from vlmloom.pipelines.loading import build_experiment, compose_experiment
    from vlmloom.pipelines.machine import machine, versions
    from vlmloom.pipelines.report.record import read_answers

    runs, answers, pretrained = [], [], []
    for seed in range(plan.seeds):
        for design in designs:
            folder = plan.out / "runs" / f"{design}-seed{seed}"
            if not (folder / "run.json").exists():
                continue
            data = json.loads((folder / "run.json").read_text())
            runs.append(Run.from_dict(data))
            pretrained += [{"design": design, "weights": line} for line in data["pretrained"] if seed == 0]
            for path in sorted(folder.glob("answers-*.jsonl")):
                answers += read_answers(path)
    experiment, _ = build_experiment(
        compose_experiment(next(iter(plan.designs.values())), sets=plan.sets, scale=plan.scale)
    )
    suite = experiment.data.suite
    suite.prepare()
    there = evaluated_splits(suite)
    absent = {
        split: "; ".join(line for line in suite.availability().values() if line != "ready")
        or "this suite has none"
        for split in ("test", "shift", "compositional")
        if split not in there
    }
    oracles = {answer.design for answer in answers} & {ORACLE}
    cascades = [
        design for design in designs if any((plan.out / "runs").glob(f"{design}-seed*/answers-{ORACLE}-*"))
    ]
    kind, value = plan.budget or (experiment.budget.unit, experiment.budget.amount)
    return Comparison(
        budget={"kind": kind, "value": value},
        designs=[*designs, *oracles],
        seeds=list(range(plan.seeds)),
        runs=runs,
        answers=answers,
        categories=categories(suite),
        reference=BLIND if BLIND in designs else None,
        oracles={design: ORACLE for design in cascades},
        examples=examples(suite, answers),
        machine=machine(),
        versions=versions(),
        pretrained=pretrained,
        absent_splits=absent,
        command=plan.command,
    )


def examples(suite: Any, answers: Sequence[Answer]) -> list[Example]:
    """The first test items of each visual category, with what every design answered (first seed)."""
    from PIL import Image

    by_item: dict[tuple[str, int], list[Answer]] = {}
    for answer in answers:
        if answer.split == "test" and answer.seed == 0 and answer.item < EXAMPLES_A_CATEGORY:
            by_item.setdefault((answer.category, answer.item), []).append(answer)
    found = []
    for (category, item), given in by_item.items():
        sample = suite.tasks[category].plan("test", item)
        pictures = []
        for picture in sample.pictures:
            for frame in picture.render():
                buffer = io.BytesIO()
                Image.fromarray(frame).save(buffer, "png")
                pictures.append(buffer.getvalue())
        question = " ".join(part.strip() for part in sample.prompt if isinstance(part, str))
        found.append(
            Example(
                category,
                question,
                sample.answer,
                pictures,
                {answer.design: answer.response for answer in given},
                {answer.design: answer.correct for answer in given},
            )
        )
    return found
