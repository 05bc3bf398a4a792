"""One run of a comparison: train a design with one seed, answer every split, note what it took.

A run is a process of its own, so that its memory is its own and a fault stops nothing else.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
import traceback
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from vlmloom.pipelines.evaluate import Items
from vlmloom.pipelines.files import write_text
from vlmloom.pipelines.report.record import CurvePoint, Run, Stage
from vlmloom.registry.errors import UserError, one_line, told
from vlmloom.registry.marked import Node

ORACLE = "oracle"
LATENCY_ITEMS = 24
RECORD = "run.json"
"""What a run took; written last."""


@dataclass(frozen=True)
class Job:
    """One training of one design.

    Attributes:
        design: the name in the report.
        source: the experiment: its YAML, its name, or its tree.
        seed: of weights and data.
        folder: of the run.
        sets: overrides, the budget among them.
        swaps: overrides.
        scale: of what is named without one.
        items: how many are asked afterwards.
    """

    design: str
    source: str | Node
    seed: int
    folder: Path
    sets: tuple[str, ...] = ()
    swaps: tuple[str, ...] = ()
    scale: str = "nano"
    items: Items = field(default_factory=Items)


def in_process(job: Job) -> None:
    """Run a job in a process of its own.

    Raises:
        UserError: it failed; what it printed says why.
    """
    # A forked process cannot go on with gradients or a GPU that its parent has used.
    process = multiprocessing.get_context("spawn").Process(target=_enter, args=(job,))
    process.start()
    try:
        process.join()
    except KeyboardInterrupt:
        process.join()
        raise
    if process.exitcode:
        raise UserError(
            f"{job.design}, seed {job.seed}: stopped with status {process.exitcode}; "
            "the same call again goes on"
        )


def _enter(job: Job) -> None:
    from vlmloom.pipelines.quiet import quiet

    quiet()
    console = Console(stderr=True, highlight=False)
    try:
        work(job, console)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        lines = told(error)
        if lines is None:
            traceback.print_exc()
            sys.exit(1)
        print(*lines, sep="\n", file=sys.stderr)
        sys.exit(2)


def work(job: Job, console: Console) -> None:
    """Train, answer, and write `run.json` last."""
    from vlmloom.pipelines.answering import Answerer
    from vlmloom.pipelines.checkpoints import load_weights
    from vlmloom.pipelines.evaluate import answers_file, evaluate
    from vlmloom.pipelines.loading import build_experiment, compose_experiment
    from vlmloom.pipelines.machine import peak_memory
    from vlmloom.pipelines.measures import BATCHES, declared, measure
    from vlmloom.pipelines.run import train
    from vlmloom.pipelines.summary import active_parameters
    from vlmloom.pipelines.validation import ValidationCurve
    from vlmloom.pipelines.weights.starting import declarations

    composed = compose_experiment(job.source, sets=job.sets, swaps=job.swaps, scale=job.scale)
    experiment, resolved = build_experiment(composed)
    ledger = train(
        experiment, job.folder, resolved=resolved, console=console, callbacks=[ValidationCurve(experiment)]
    )
    load_weights(experiment.assembly, job.folder / "model.safetensors")
    experiment.assembly.eval()
    routes = {job.design: Answerer(experiment)}
    if routes[job.design].perceives:
        routes[ORACLE] = Answerer(experiment, oracle=True)
    kept: dict[str, int] = {}
    for name, answerer in routes.items():
        clock = time.perf_counter()
        answers = evaluate(answerer, job.folder, design=name, seed=job.seed, items=job.items)
        for split, count in Counter(answer.split for answer in answers).items():
            kept[answers_file(job.folder, name, split, job.items).name] = count
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
    measured = measure(routes[job.design], min(BATCHES, job.items.test))
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
        # A run that is gone on with has trained in another process.
        peak_memory_bytes=max(ledger.peak_memory, peak_memory()),
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
        measures=measured.values,
        histograms=measured.histograms,
        declared=declared(answering),
    )
    text = json.dumps(
        record.to_dict()
        | {"pretrained": [*experiment.pretrained, *declarations(job.folder)]}
        | {"corrupt": dict(ledger.corrupt)}
        | {"items": asdict(job.items), "answers": kept}
    )
    write_text(job.folder / RECORD, text)


def read_record(folder: Path) -> dict[str, Any] | None:
    """What `work` noted of a run; None where it has not come so far.

    Raises:
        UserError: the file is damaged.
    """
    file = folder / RECORD
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        Run.from_dict(record)
        return record
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, AttributeError) as fault:
        raise UserError(
            f"{file}: is damaged ({one_line(fault)}); without the file it is made again"
        ) from None


def _point(point: dict[str, Any]) -> CurvePoint:
    return CurvePoint(
        point["flops"],
        point["seconds"],
        point["step"],
        point.get("loss"),
        point["stage"],
        point.get("accuracy"),
        point.get("parts", {}),
    )
