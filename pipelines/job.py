"""One run of a comparison: train a design with one seed, answer every split, note what it took.

A run is a process of its own, so that its memory is its own and a fault stops nothing else.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from vlmloom.pipelines.evaluate import Items
from vlmloom.pipelines.exams import Exam, composer, examine, plain
from vlmloom.pipelines.files import write_text
from vlmloom.pipelines.report.record import CurvePoint, Run, Stage
from vlmloom.registry.errors import UserError, one_line, told
from vlmloom.registry.marked import Node

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
        exam: what is asked afterwards.
    """

    design: str
    source: str | Node
    seed: int
    folder: Path
    sets: tuple[str, ...] = ()
    swaps: tuple[str, ...] = ()
    scale: str = "nano"
    exam: Exam = field(default_factory=Items)


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


def end_with_parent() -> None:
    """Interrupt this process, as by Ctrl-C, once the one that started it has ended, whatever ended it."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    # Not by SIGINT, which is ignored by all that a shell has put into the background.
    signal.signal(signal.SIGUSR1, signal.default_int_handler)

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGUSR1)

    threading.Thread(target=watch, daemon=True).start()


def _enter(job: Job) -> None:
    from vlmloom.pipelines.quiet import plain_console, quiet

    end_with_parent()
    quiet()
    console = plain_console()
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
    from lightning.pytorch import Callback

    from vlmloom.pipelines.checkpoints import load_weights
    from vlmloom.pipelines.experiment import Experiment
    from vlmloom.pipelines.loading import build_training
    from vlmloom.pipelines.machine import peak_memory
    from vlmloom.pipelines.measures import declared
    from vlmloom.pipelines.run import train
    from vlmloom.pipelines.validation import ValidationCurve
    from vlmloom.pipelines.weights.starting import pretrained

    composed = composer(job.exam)(job.source, sets=job.sets, swaps=job.swaps, scale=job.scale)
    experiment, resolved = build_training(composed)
    curve: list[Callback] = []
    if isinstance(job.exam, Items) and isinstance(experiment, Experiment):
        curve.append(ValidationCurve(experiment))
    ledger = train(experiment, job.folder, resolved=resolved, console=console, callbacks=curve)
    load_weights(experiment.subject, job.folder / "model.safetensors")
    experiment.subject.eval()
    found = examine(experiment, job.exam, job.folder, job.design, job.seed, console)
    record = Run(
        design=job.design,
        seed=job.seed,
        parameters_total=sum(parameter.numel() for parameter in experiment.subject.parameters()),
        parameters_active=found.active,
        flops=ledger.flops,
        samples=ledger.samples,
        seconds_training=ledger.seconds,
        latency_ms=None if found.latency is None else 1000 * found.latency,
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
        measures=found.measures,
        histograms=found.histograms,
        declared=declared(found.parts),
    )
    text = json.dumps(
        record.to_dict()
        | {"pretrained": pretrained(experiment, job.folder)}
        | {"corrupt": dict(ledger.corrupt)}
        | {"exam": plain(job.exam), "answers": found.answers, "chances": found.chances}
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
