"""Designs under one budget: train each with every seed, answer every split, and write the report.

Every run is a process of its own, so that its memory is its own and a fault stops nothing else. What is
finished
is kept under `runs/`, so that an interrupted comparison goes on where it stopped.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import resource
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from rich.console import Console

from vlmloom.pipelines.checkpoints import write_atomically
from vlmloom.pipelines.evaluate import Items
from vlmloom.pipelines.experiment import Budget
from vlmloom.pipelines.report.record import Answer, Comparison, CurvePoint, Example, Run, Stage
from vlmloom.registry.errors import UserError

BLIND = "blind"
ORACLE = "oracle"
LATENCY_ITEMS = 24
EXAMPLES_A_CATEGORY = 1


@dataclass(frozen=True)
class Job:
    """One training of one design.

    Attributes:
        design: the name in the report.
        source: the experiment's YAML or its name.
        seed: of weights and data.
        folder: of the run.
        sets: overrides, the budget among them.
        swaps: overrides.
        scale: of what is named without one.
        items: how many are asked afterwards.
    """

    design: str
    source: str
    seed: int
    folder: Path
    sets: tuple[str, ...] = ()
    swaps: tuple[str, ...] = ()
    scale: str = "nano"
    items: Items = field(default_factory=Items)


@dataclass(frozen=True)
class Plan:
    """A comparison as it was asked for.

    Attributes:
        designs: name -> the experiment's YAML or its name.
        budget: `(unit, amount)` for every design, all stages included; None takes each experiment's own.
        seeds: how many.
        out: the folder of the comparison.
        items: how many are asked.
        blind: add the first design with its pictures withheld.
        sets: overrides for every design.
        command: what was typed.
    """

    designs: dict[str, str]
    out: Path
    budget: tuple[str, float] | None = None
    seeds: int = 2
    items: Items = field(default_factory=Items)
    blind: bool = True
    sets: tuple[str, ...] = ()
    swaps: tuple[str, ...] = ()
    scale: str = "nano"
    command: str = ""


def compare(plan: Plan, console: Console) -> Path:
    """Run what is not finished yet and write the report, first after one seed, then after each.

    Returns:
        The path of `report.html`.

    Raises:
        UserError: an experiment is wrong, or a run failed.
    """
    from vlmloom.pipelines.loading import compose_experiment
    from vlmloom.pipelines.report.write import write_report

    budget_sets = () if plan.budget is None else _budget(*plan.budget)
    for source in plan.designs.values():
        compose_experiment(source, sets=[*budget_sets, *plan.sets], swaps=plan.swaps, scale=plan.scale)
    designs = [*plan.designs, *([BLIND] if plan.blind and BLIND not in plan.designs else [])]
    total, began, page = len(designs) * plan.seeds, time.monotonic(), plan.out / "report.html"
    finished = 0
    for seed in range(plan.seeds):
        for design in designs:
            job = _job(plan, design, seed, budget_sets)
            if not (job.folder / "run.json").exists():
                minutes = (time.monotonic() - began) / max(finished, 1) * (total - finished) / 60
                left = f", about {minutes:.0f} min left" if finished else ""
                console.print(f"[bold]{design}, seed {seed}[/bold] ({finished + 1} of {total}{left})")
                _in_process(job)
            finished += 1
        page = write_report(gather(plan, designs), plan.out)
        console.print(f"{page}: {seed + 1} of {plan.seeds} seeds, {(time.monotonic() - began) / 60:.1f} min")
    return page


def _budget(unit: str, amount: float) -> tuple[str, ...]:
    """Overrides that give an experiment this budget and no other."""
    units = [field.name for field in fields(Budget)]
    return tuple(f"budget.{name}={amount if name == unit else 'null'}" for name in units)


def _job(plan: Plan, design: str, seed: int, budget_sets: tuple[str, ...]) -> Job:
    folder = plan.out / "runs" / f"{design}-seed{seed}"
    sets = (*plan.sets, f"seed={seed}")
    if design != BLIND or BLIND in plan.designs:
        return Job(
            design,
            plan.designs[design],
            seed,
            folder,
            (*budget_sets, *sets),
            plan.swaps,
            plan.scale,
            plan.items,
        )
    return blind_job(plan, seed, folder, sets)


def blind_job(plan: Plan, seed: int, folder: Path, sets: tuple[str, ...]) -> Job:
    """The first design with its questions' pictures withheld, trained on as many items as that design saw."""
    from vlmloom.pipelines.loading import compose_experiment

    first, source = next(iter(plan.designs.items()))
    composed = compose_experiment(source, sets=plan.sets, swaps=plan.swaps, scale=plan.scale)
    stages = composed.root.plain()["stages"]
    seen = [number for number, stage in enumerate(stages) if stage.get("view", "question") == "question"]
    if not seen:
        raise UserError(
            f"compare: {first} trains on no questions, so it has no blind twin; --no-blind leaves it out"
        )
    samples = json.loads((plan.out / "runs" / f"{first}-seed{seed}" / "run.json").read_text())["samples"]
    withheld = tuple(f"stages.{number}.view=withheld" for number in seen)
    blind_sets = (*_budget("samples", samples), *withheld, f"name={BLIND}", *sets)
    return Job(BLIND, source, seed, folder, blind_sets, plan.swaps, plan.scale, plan.items)


def _in_process(job: Job) -> None:
    """Run a job in a process of its own.

    Raises:
        UserError: it failed; what it printed says why.
    """
    import torch

    method = "spawn" if torch.cuda.is_available() or sys.platform == "darwin" else "fork"
    process = multiprocessing.get_context(method).Process(  # type: ignore[attr-defined]
        target=_enter, args=(job,)
    )
    process.start()
    try:
        process.join()
    except KeyboardInterrupt:
        process.join()
        raise
    if process.exitcode:
        raise UserError(
            f"{job.design}, seed {job.seed}: stopped with status {process.exitcode}; run again to go on"
        )


def _enter(job: Job) -> None:
    from vlmloom.pipelines.quiet import quiet

    quiet()
    console = Console(stderr=True, highlight=False)
    try:
        work(job, console)
    except UserError as error:
        for line in error.lines:
            print(line, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def work(job: Job, console: Console) -> None:
    """Train, answer, and write `run.json` last."""
    from vlmloom.pipelines.answering import Answerer
    from vlmloom.pipelines.evaluate import evaluate
    from vlmloom.pipelines.loading import TOKENIZER, build_experiment, compose_experiment
    from vlmloom.pipelines.run import train
    from vlmloom.pipelines.validation import ValidationCurve

    composed = compose_experiment(job.source, sets=job.sets, swaps=job.swaps, scale=job.scale)
    experiment, resolved = build_experiment(composed)
    job.folder.mkdir(parents=True, exist_ok=True)
    experiment.data.connect(experiment.assembly, job.folder / TOKENIZER)
    ledger = train(
        experiment, job.folder, resolved=resolved, console=console, callbacks=[ValidationCurve(experiment)]
    )
    from vlmloom.pipelines.checkpoints import load_weights

    load_weights(experiment.assembly, job.folder / "model.safetensors")
    experiment.assembly.eval()
    routes = {job.design: Answerer(experiment)}
    if routes[job.design].perceives:
        routes[ORACLE] = Answerer(experiment, oracle=True)
    for name, answerer in routes.items():
        clock = time.perf_counter()
        answers = evaluate(answerer, job.folder, design=name, seed=job.seed, items=job.items)
        visual = {category for category, task in experiment.data.suite.tasks.items() if task.visual}
        scores = [
            answer.correct for answer in answers if answer.split == "test" and answer.category in visual
        ]
        console.print(
            f"{name}: {sum(scores) / max(len(scores), 1):.1%} of {len(scores)} visual test items "
            f"({time.perf_counter() - clock:.0f} s)"
        )
    samples = [
        task.plan("test", index) for task in experiment.data.suite.tasks.values() for index in range(2)
    ]
    latency = routes[job.design].latency(samples[:LATENCY_ITEMS])
    parts = experiment.assembly.parts()
    answering = {name: part for name, part in parts.items() if name not in ("text", "align")}
    record = Run(
        design=job.design,
        seed=job.seed,
        parameters_total=sum(p.numel() for part in parts.values() for p in part.parameters()),
        parameters_active=sum(active_parameters(part) for part in answering.values()),
        flops=ledger.flops,
        samples=ledger.samples,
        seconds_training=ledger.seconds,
        latency_ms=1000 * latency,
        peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        curve=[_point(point) for point in ledger.curve],
        labels_seen=dict(ledger.labels),
        stages=[
            Stage(
                stage["name"],
                ", ".join(stage["trains"]),
                ", ".join(stage["frozen"]),
                stage["flops"],
                stage["seconds"],
            )
            for stage in ledger.stages
        ],
        config=resolved,
    )
    text = json.dumps(
        record.to_dict() | {"pretrained": experiment.pretrained, "corrupt": dict(ledger.corrupt)}
    )
    write_atomically(job.folder / "run.json", lambda part: part.write_text(text))


def active_parameters(part: Any) -> int:
    """The parameters that one token uses: of routed experts the top k."""
    total = sum(parameter.numel() for parameter in part.parameters())
    for module in part.modules():
        if module is not part and hasattr(module, "active_parameters") and hasattr(module, "experts"):
            total += module.active_parameters() - sum(parameter.numel() for parameter in module.parameters())
    return total


def _point(point: dict[str, Any]) -> CurvePoint:
    return CurvePoint(
        point["flops"],
        point["seconds"],
        point["step"],
        point.get("loss"),
        point["stage"],
        point.get("accuracy"),
    )


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
