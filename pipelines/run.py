"""One experiment from its first weights to `model.safetensors`, stage by stage, resumable at any point.

A run's folder holds `config.yaml` (what was run, resolved; it runs again from there), `checkpoints/` of the
stage under way, `stages/` with the state at the end of each finished one, `logs/`, and at the end
`model.safetensors` and `ledger.json`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from itertools import zip_longest
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from rich.console import Console

from vlmloom.components.contracts.component import Component
from vlmloom.pipelines import ranks
from vlmloom.pipelines.checkpoints import (
    AtomicCheckpointIO,
    latest_checkpoint,
    load_checkpoint,
    save_state,
    save_weights,
)
from vlmloom.pipelines.deferred import materialise, take, weights_of
from vlmloom.pipelines.experiment import Experiment, Training
from vlmloom.pipelines.files import restored, swept, write_text
from vlmloom.pipelines.folders import CONFIG, TOKENIZER, TOKENIZER_FILES
from vlmloom.pipelines.ledger import Ledger
from vlmloom.pipelines.loading import connect
from vlmloom.pipelines.logs import ContinuedCSV
from vlmloom.pipelines.loom import Bookkeeping, Loom
from vlmloom.pipelines.machine import peak_memory
from vlmloom.pipelines.precision import FILE as PRECISION
from vlmloom.pipelines.precision import Precision, choose
from vlmloom.pipelines.progress import BudgetBar
from vlmloom.pipelines.quiet import plain_console
from vlmloom.pipelines.sharded import FSDP2, whole_state
from vlmloom.pipelines.startable import need_backends, start
from vlmloom.pipelines.weights.starting import STARTED
from vlmloom.registry.errors import UserError, one_line

TrainerFactory = Callable[..., Trainer]
"""Keyword arguments to a Trainer; the command line's flags are already in it."""


def plain_trainer(**flags: Any) -> Trainer:
    """A Trainer made of the experiment's own flags, for runs that are not started by `fit`."""
    return Trainer(**flags)


def train(
    experiment: Training,
    folder: Path,
    *,
    resolved: str,
    make_trainer: TrainerFactory = plain_trainer,
    console: Console | None = None,
    callbacks: list[Callback] | None = None,
) -> Ledger:
    """Train all stages that are not finished yet; what fails before its first step leaves `folder` as it was.

    Args:
        experiment: built, its weights at random from its seed; `weights` are read here.
        folder: of the run; one that holds the same experiment is continued.
        resolved: the YAML it was built from.
        make_trainer: takes the trainer's keyword arguments.
        console: for what is printed.
        callbacks: more of them.

    Returns:
        What was spent.

    Raises:
        UserError: the folder holds another experiment, or the run cannot go on.
    """
    console = console or plain_console()
    model = experiment.subject
    claim(folder, resolved)
    if finished(folder):
        connect(experiment, folder)
        console.print(f"{folder}: finished already")
        return read_ledger(folder)
    flags = dict(experiment.trainer)
    precision = choose(str(flags.pop("precision", "auto")), width=_width(model), folder=folder)
    precision.apply()
    # What the Trainer refuses is told before anything is written.
    first = f"0-{experiment.stages[0].name}"
    flagged = (flags, experiment.checkpoint_every_n_steps, precision.trainer, folder)
    trainer = trainer_of(make_trainer, _flags(*flagged, folder / "checkpoints" / first, first, callbacks))
    if not isinstance(trainer.strategy, FSDP2):
        materialise(model)
    console.quiet = console.quiet or not ranks.first()
    ledger = Ledger()
    ours = (CONFIG, STARTED, PRECISION, *TOKENIZER_FILES, "logs", "checkpoints", "stages")
    kept = restored(folder, lambda: ledger.steps or begun(folder), ours)
    with kept if ranks.first() else nullcontext():
        prepare(experiment, folder, resolved, console, precision)
        console.print(f"{experiment.name}: {precision.why}")
        if isinstance(trainer.strategy, FSDP2) and not any(one.is_meta for one in model.parameters()):
            console.print(f"{experiment.name}: built whole in every process before it is cut")
        with swept(folder) if ranks.first() else nullcontext():
            return _all_stages(experiment, folder, ledger, flagged, make_trainer, console, callbacks)


def _all_stages(
    experiment: Training,
    folder: Path,
    ledger: Ledger,
    flagged: tuple[dict[str, Any], int, str, Path],
    make_trainer: TrainerFactory,
    console: Console,
    callbacks: list[Callback] | None,
) -> Ledger:
    """Train the stages that are not finished in a prepared folder; what was spent."""
    model, data = experiment.subject, experiment.data
    shares = sum(stage.share for stage in experiment.stages)
    for number, stage in enumerate(experiment.stages):
        done = folder / "stages" / f"{number}-{stage.name}.ckpt"
        if done.exists():
            ledger = read_stage(model, done)
            continue
        limit = experiment.budget.amount * stage.share / shares
        loom = Loom(model, stage, experiment.budget, limit=limit, ledger=ledger)
        console.print(
            f"{experiment.name}: stage {stage.name} ({stage.view}), {limit:.3g} {experiment.budget.unit}"
        )
        for part, (trains, total) in loom.trained.items():
            what = "frozen" if not trains else "trains" if trains == total else f"trains {trains:,} of its"
            console.print(f"  {part:<12} {what} {total:,} parameters")
        checkpoints = folder / "checkpoints" / f"{number}-{stage.name}"
        before = (ledger.flops, ledger.seconds, ledger.samples, ledger.steps)
        trainer = trainer_of(
            make_trainer,
            _flags(*flagged, checkpoints, f"{number}-{stage.name}", callbacks, took=loom.pause),
        )
        if (intake := experiment.intake(stage)) is not data.intake:
            data.connect(intake)
        loader = data.loader(
            stage,
            seed=experiment.seed,
            rank=trainer.global_rank,
            world=trainer.world_size,
            accumulate=trainer.accumulate_grad_batches,
        )
        loom.capacity = stage.pack_tokens or data.pack_tokens
        trainer.fit(loom, loader, ckpt_path=_resume_from(checkpoints), weights_only=True)
        ledger = loom.ledger
        if trainer.interrupted:
            raise UserError(
                f"{folder}: interrupted in stage {stage.name} at {loom.progress:.0%}; run it again to go on"
            )
        if loom.progress < 1.0:
            console.print(
                f"  stage {stage.name} ended at {loom.progress:.0%} of its share, by a Trainer flag"
            )
        names = ("flops", "seconds", "samples", "steps")
        spent = {name: getattr(ledger, name) - was for name, was in zip(names, before, strict=True)}
        frozen = [part for part, (trains, _) in loom.trained.items() if not trains]
        ledger.stages.append(
            {"name": stage.name, "view": stage.view, "trains": sorted(loom.trained_parts), "frozen": frozen}
            | spent
        )
        ledger.peak_memory = max(ledger.peak_memory, peak_memory())
        shared_out = loom.model is not model
        weights = whole_state(loom.model) if shared_out else model.state_dict()
        if ranks.first():
            save_state({"state_dict": weights, "ledger": ledger.state_dict()}, done)
            shutil.rmtree(checkpoints, ignore_errors=True)
        if shared_out:
            ranks.gathered(None)
            read_stage(model, done)
    if ranks.first():
        save_weights(weights_of(model), folder / "model.safetensors")
        text = json.dumps(ledger.state_dict(), indent=1)
        write_text(folder / "ledger.json", text)
    # Nobody reads what the first process has not written yet.
    ranks.gathered(None)
    return ledger


def read_stage(model: Component, done: Path) -> Ledger:
    """Give a model the state at the end of a stage; what was spent until then.

    Raises:
        UserError: the file is no such state of this model.
    """
    state = load_checkpoint(done, mapped=True)
    try:
        take(model, state["state_dict"])
        return Ledger.from_state(state["ledger"])
    except (KeyError, TypeError, RuntimeError) as fault:
        raise UserError(
            f"{done}: is no finished stage of this experiment ({one_line(fault)[:200]}); without the "
            "file the stage is trained again"
        ) from None


def prepare(
    experiment: Training, folder: Path, resolved: str, console: Console, precision: Precision
) -> None:
    """Bring data and model together, read the weights to start from, and note in a new folder what is run.

    All that can be refused is refused before a file is written. A run that has a checkpoint goes on from it,
    and does not read those weights again. The first process writes, and its last file tells the others that
    they can read what it has written.
    """
    need_backends(experiment.subject, *(stage.objective for stage in experiment.stages))
    if not ranks.first():
        ranks.wait_for(folder / CONFIG)
    # Without a configuration, what lies there is of an attempt that came to nothing.
    old = (folder / CONFIG).exists()
    connect(experiment, folder if old else None)
    started = None
    if isinstance(experiment, Experiment) and experiment.weights is not None and not begun(folder):
        started = start(experiment.assembly, experiment.weights)
        for line in started.lines():
            console.print(line, markup=False)
    if not ranks.first():
        return
    if not old:
        for name in (STARTED, PRECISION, *TOKENIZER_FILES):
            (folder / name).unlink(missing_ok=True)
    if not (folder / TOKENIZER).exists():
        experiment.data.keep_words(folder / TOKENIZER)
    if started is not None:
        started.save(folder)
    if not old:
        write_text(folder / PRECISION, json.dumps({"matmul": precision.matmul}))
        write_text(folder / CONFIG, resolved)


def trainer_of(make_trainer: TrainerFactory, flags: dict[str, Any]) -> Trainer:
    """The Trainer of a stage.

    Raises:
        UserError: Lightning refuses the flags.
    """
    try:
        return make_trainer(**flags)
    except (MisconfigurationException, ValueError, TypeError, RuntimeError, ImportError) as fault:
        raise UserError(f"trainer: {one_line(fault)}") from None


def claim(folder: Path, resolved: str) -> None:
    """See that a folder holds no other experiment than this.

    What a comment says (which file it was resolved from, seen from which folder) makes no other experiment.

    Raises:
        UserError: it holds another one.
    """
    config = folder / CONFIG
    if not config.exists():
        return
    texts = config.read_text(encoding="utf-8", errors="replace"), resolved
    old, new = (
        [(n, line) for n, line in enumerate(text.splitlines(), 1) if line[:1] != "#"] for text in texts
    )
    nothing = (len(texts[0].splitlines()), "nothing")
    for (number, was), (_, now) in zip_longest(old, new, fillvalue=nothing):
        if was != now:
            raise UserError(
                f"{config}:{number}: holds another experiment ({was.strip()!r}, now {now.strip()!r}); "
                "another --out would be right"
            )


def begun(folder: Path) -> bool:
    """Whether a run has a state to go on from."""
    return any(folder.glob("stages/*.ckpt")) or any(
        latest_checkpoint(stage) is not None for stage in folder.glob("checkpoints/*")
    )


def finished(folder: Path) -> bool:
    """Whether a run has reached its end."""
    return (folder / "model.safetensors").exists() and (folder / "ledger.json").exists()


def read_ledger(folder: Path) -> Ledger:
    """What a finished run has spent.

    Raises:
        UserError: it is not finished.
    """
    file = folder / "ledger.json"
    try:
        return Ledger.from_state(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(f"{folder}: is no finished run (it has no ledger.json)") from None
    except (ValueError, TypeError, KeyError) as fault:
        raise UserError(
            f"{file}: is damaged ({one_line(fault)}); without the file a run makes it again of its last stage"
        ) from None


def _flags(
    flags: dict[str, Any],
    every: int,
    precision: str,
    folder: Path,
    checkpoints: Path,
    name: str,
    callbacks: list[Callback] | None,
    took: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """The Trainer's flags: the experiment's over our defaults; `took` is told what each checkpoint takes."""
    saver = ModelCheckpoint(
        dirpath=checkpoints,
        filename="{step}",
        save_top_k=1,
        monitor="step",
        mode="max",
        every_n_train_steps=every,
        save_on_train_epoch_end=False,
    )
    loggers = [
        ContinuedCSV(folder / "logs", name="csv", version=name),
        TensorBoardLogger(folder / "logs", name="tensorboard", version=name),
    ]
    defaults: dict[str, Any] = {
        "accelerator": "auto",
        "devices": 1,
        "max_epochs": -1,
        "log_every_n_steps": 10,
        "num_sanity_val_steps": 0,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
        "gradient_clip_val": 1.0,
        "logger": loggers,
    }
    return (
        defaults
        | flags
        | {
            "precision": precision,
            "callbacks": [
                Bookkeeping(),
                *(callbacks or []),
                *_listed(flags.get("callbacks")),
                *([BudgetBar()] if flags.get("enable_progress_bar", True) else []),
                *([saver] if flags.get("enable_checkpointing", True) else []),
            ],
            "plugins": [AtomicCheckpointIO(took), *_listed(flags.get("plugins"))],
        }
    )


def _listed(value: Any) -> list[Any]:
    """What a flag holds that takes one or a list."""
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def _resume_from(checkpoints: Path) -> str | None:
    found = latest_checkpoint(checkpoints)
    return None if found is None else str(found)


def _width(model: Any) -> int:
    widest = getattr(getattr(model, "language", model), "width", 256)
    return widest if isinstance(widest, int) else 256
