"""What the runs of a comparison have written, as the report takes it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmloom.pipelines.exams import ORACLE
from vlmloom.pipelines.job import read_record
from vlmloom.pipelines.report.record import Answer, Category, Comparison, Example, Run, read_answers
from vlmloom.registry.errors import UserError

if TYPE_CHECKING:
    from vlmloom.pipelines.compare import Plan

BLIND = "blind"
EXAMPLES_A_CATEGORY = 1


def gather(plan: Plan, designs: Sequence[str]) -> Comparison:
    """Everything that is finished, as the report takes it."""
    from vlmloom.pipelines.machine import machine, versions

    runs, answers, pretrained = [], [], []
    cascades: list[str] = []
    chances: dict[str, float | None] = {}
    for seed in range(plan.seeds):
        for design in designs:
            folder = plan.out / "runs" / f"{design}-seed{seed}"
            record = read_record(folder)
            if record is None:
                continue
            runs.append(Run.from_dict(record))
            chances |= record["chances"]
            pretrained += [{"design": design, "weights": line} for line in record["pretrained"] if seed == 0]
            for name, count in record["answers"].items():
                found = kept_answers(folder / name, design, seed, count)
                if found[0].design == ORACLE and design not in cascades:
                    cascades.append(design)
                answers += found
    asked = _probed(chances) if chances else _questioned(plan, answers)
    oracles = {answer.design for answer in answers} & {ORACLE}
    assert plan.budget is not None
    kind, value = plan.budget
    return Comparison(
        budget={"kind": kind, "value": value},
        designs=[*designs, *oracles],
        seeds=list(range(plan.seeds)),
        runs=runs,
        answers=answers,
        categories=asked.categories,
        reference=BLIND if BLIND in designs else None,
        base=plan.base,
        oracles={design: ORACLE for design in cascades},
        examples=asked.examples,
        machine=machine(),
        versions=versions(),
        pretrained=pretrained,
        absent_splits=asked.absent,
        command=plan.command,
    )


@dataclass(frozen=True)
class _Asked:
    """What the report is told of an exam."""

    categories: list[Category]
    examples: list[Example] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)


def _probed(chances: dict[str, float | None]) -> _Asked:
    return _Asked([Category(name, "probes", True, chance) for name, chance in chances.items()])


def _questioned(plan: Plan, answers: Sequence[Answer]) -> _Asked:
    from vlmloom.pipelines.evaluate import categories, evaluated_splits
    from vlmloom.pipelines.loading import compose_experiment
    from vlmloom.registry.build import build

    composed = compose_experiment(
        next(iter(plan.designs.values())), sets=plan.sets, swaps=plan.swaps, scale=plan.scale
    )
    # The data alone: this process makes no weights, so that its children start with untouched thread pools.
    suite = build(composed.root.value["data"]).suite
    suite.prepare()
    there = evaluated_splits(suite)
    absent = {
        split: "; ".join(line for line in suite.availability().values() if line != "ready")
        or "this suite has none"
        for split in ("test", "shift", "compositional")
        if split not in there
    }
    return _Asked(categories(suite), examples(suite, answers), absent)


def kept_answers(path: Path, design: str, seed: int, count: int) -> list[Answer]:
    """The answers in a file of a run.

    Raises:
        UserError: they are not the ones that the run has given.
    """
    found = read_answers(path)
    items = {(answer.category, answer.item) for answer in found}
    own = all(answer.seed == seed and answer.design in (design, ORACLE) for answer in found)
    if not own or len(found) != count or len(items) != count:
        raise UserError(
            f"{path}: found {len(found)} answers, not the {count} of {design}, seed {seed}; without the file "
            "they are given again"
        )
    return found


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
