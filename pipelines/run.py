"""One experiment from random weights to `model.safetensors`, stage by stage, resumable at any point.

A run's folder holds `config.yaml` (what was run, resolved; it runs again from there), `checkpoints/` of the
stage
under way, `stages/` with the state at the end of each finished one, `logs/`, and at the end
`model.safetensors`
and `ledger.json`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from rich.console import Console

from vlmloom.pipelines.checkpoints import (
    AtomicCheckpointIO,
    latest_checkpoint,
    load_checkpoint,
    save_weights,
)
from vlmloom.pipelines.experiment import Experiment
from vlmloom.pipelines.files import write_atomically, write_text
from vlmloom.pipelines.ledger import Ledger
from vlmloom.pipelines.loom import Bookkeeping, Loom, freeze
from vlmloom.pipelines.precision import choose
from vlmloom.pipelines.progress import BudgetBar
from vlmloom.registry.errors import UserError

TrainerFactory = Callable[..., Trainer]
"""Keyword arguments to a Trainer; the command line's flags are already in it."""


def plain_trainer(**flags: Any) -> Trainer:
    """A Trainer made of the experiment's own flags, for runs that are not started by `fit`."""
    return Trainer(**flags)


def train(
    experiment: Experiment,
    folder: Path,
    *,
    resolved: str,
    make_trainer: TrainerFactory = plain_trainer,
    console: Console | None = None,
    callbacks: list[Callback] | None = None,
) -> Ledger:
    """Train all stages that are not finished yet.

    Args:
        experiment: built, its weights at random from its seed.
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
    console = console or Console(stderr=True, highlight=False)
    claim(folder, resolved)
    if finished(folder):
        console.print(f"{folder}: finished already")
        return read_ledger(folder)
    assembly, data = experiment.assembly, experiment.data
    data.connect(assembly)
    flags = dict(experiment.trainer)
    precision = choose(str(flags.pop("precision", "auto")), width=_width(assembly))
    precision.apply()
    console.print(f"{experiment.name}: {precision.why}", soft_wrap=True)
    for stage in experiment.stages:
        freeze(
            assembly, stage.train, stage.name
        )  # A pattern that matches nothing is told before any stage trains.
    shares = sum(stage.share for stage in experiment.stages)
    ledger = Ledger()
    for number, stage in enumerate(experiment.stages):
        done = folder / "stages" / f"{number}-{stage.name}.ckpt"
        if done.exists():
            state = load_checkpoint(done)
            assembly.load_state_dict(state["state_dict"])
            ledger = Ledger.from_state(state["ledger"])
            continue
        limit = experiment.budget.amount * stage.share / shares
        loom = Loom(assembly, stage, experiment.budget, limit=limit, ledger=ledger)
        console.print(
            f"{experiment.name}: stage {stage.name} ({stage.view}), {limit:.3g} {experiment.budget.unit}"
        )
        for part, (trains, total) in loom.trained.items():
            what = "frozen" if not trains else "trains" if trains == total else f"trains {trains:,} of its"
            console.print(f"  {part:<12} {what} {total:,} parameters")
        checkpoints = folder / "checkpoints" / f"{number}-{stage.name}"
        before = (ledger.flops, ledger.seconds, ledger.samples, ledger.steps)
        trainer = make_trainer(
            **_flags(
                flags,
                experiment.checkpoint_every_n_steps,
                precision.trainer,
                folder,
                checkpoints,
                f"{number}-{stage.name}",
                callbacks,
            )
        )
        loader = data.loader(
            stage,
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
        state = {"state_dict": assembly.state_dict(), "ledger": ledger.state_dict()}
        write_atomically(done, lambda part, state=state: torch.save(state, part))  # type: ignore[misc]
        shutil.rmtree(checkpoints, ignore_errors=True)
    save_weights(assembly, folder / "model.safetensors")
    text = json.dumps(ledger.state_dict(), indent=1)
    write_text(folder / "ledger.json", text)
    return ledger


def claim(folder: Path, resolved: str) -> None:
    """Write `config.yaml` into a fresh folder, or see that the folder holds the same experiment.

    Raises:
        UserError: it holds another one.
    """
    config = folder / "config.yaml"
    if config.exists() and config.read_text() != resolved:
        old, new = config.read_text().splitlines(), resolved.splitlines()
        at = next(
            (n for n, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]),
            min(len(old), len(new)),
        )
        was = old[at].strip() if at < len(old) else "nothing"
        now = new[at].strip() if at < len(new) else "nothing"
        raise UserError(
            f"{config}:{at + 1}: holds another experiment ({was!r}, now {now!r}); "
            "another --out would be right"
        )
    if not config.exists():
        write_text(config, resolved)


def finished(folder: Path) -> bool:
    """Whether a run has reached its end."""
    return (folder / "model.safetensors").exists() and (folder / "ledger.json").exists()


def read_ledger(folder: Path) -> Ledger:
    """What a finished run has spent.

    Raises:
        UserError: it is not finished.
    """
    try:
        return Ledger.from_state(json.loads((folder / "ledger.json").read_text()))
    except FileNotFoundError:
        raise UserError(f"{folder}: is no finished run (it has no ledger.json)") from None


def _flags(
    flags: dict[str, Any],
    every: int,
    precision: str,
    folder: Path,
    checkpoints: Path,
    name: str,
    callbacks: list[Callback] | None,
) -> dict[str, Any]:
    """The Trainer's flags: the experiment's over our defaults."""
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
        CSVLogger(folder / "logs", name="csv", version=name),
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
            "callbacks": [Bookkeeping(), *(callbacks or []), BudgetBar(), saver],
            "plugins": [AtomicCheckpointIO()],
        }
    )


def _resume_from(checkpoints: Path) -> str | None:
    found = latest_checkpoint(checkpoints)
    return None if found is None else str(found)


def _width(assembly: Any) -> int:
    return int(getattr(getattr(assembly, "language", None), "width", 256))
