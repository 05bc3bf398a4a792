"""An experiment's YAML to an experiment, and a run's folder back to the model that it trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.pytorch import seed_everything

from vlmloom.assemblies.assembly import Assembly
from vlmloom.pipelines.checkpoints import load_weights
from vlmloom.pipelines.experiment import Experiment
from vlmloom.pipelines.folders import CONFIG, TOKENIZER, WEIGHTS, assembly_file
from vlmloom.pipelines.weights.filling import fill, without_memory
from vlmloom.pipelines.weights.folder import open_shards
from vlmloom.registry.build import build, build_as, saved
from vlmloom.registry.compose import Composed, compose
from vlmloom.registry.errors import UserError
from vlmloom.registry.walk import check


def compose_experiment(
    source: str | Path, *, sets: Sequence[str] = (), swaps: Sequence[str] = (), scale: str = "nano"
) -> Composed:
    """Compose an experiment and check all of it, shapes included, before anything is built.

    Raises:
        ConfigError: what is wrong, all of it at once.
    """
    composed = compose(source, scale=scale, sets=sets, swaps=swaps, lenient=True)
    check(composed, Experiment)
    return composed


def build_experiment(composed: Composed) -> tuple[Experiment, str]:
    """The experiment with weights at random from its seed, and the YAML that makes it again."""
    seed = composed.root.plain().get("seed", 0)
    seed_everything(int(seed), verbose=False)
    return build_as(composed, Experiment), saved(composed)


def load_run(folder: Path) -> Experiment:
    """A trained experiment, its data connected.

    Args:
        folder: of a finished run, or its `model.safetensors`.

    Raises:
        UserError: the folder holds no finished run, or its weights do not fit.
    """
    folder = folder.parent if folder.name == WEIGHTS else folder
    if not (folder / CONFIG).exists() or not (folder / WEIGHTS).exists():
        found = "is not there" if not folder.exists() else f"lacks {CONFIG} or {WEIGHTS}"
        raise UserError(f"{folder}: {found}; the folder of a finished run would be right")
    experiment, _ = build_experiment(compose(folder / CONFIG))
    if not (folder / TOKENIZER).exists() and not getattr(experiment.data.tokenizer, "trained", True):
        raise UserError(
            f"{folder}: lacks {TOKENIZER}, and one trained anew might give words other ids than the model "
            "has learned; the folder of a finished run would be right"
        )
    experiment.data.connect(experiment.assembly, folder / TOKENIZER)
    load_weights(experiment.assembly, folder / WEIGHTS)
    experiment.assembly.eval()
    return experiment


def compose_assembly(folder: Path) -> Composed:
    """The composed assembly of a run or an import.

    Raises:
        UserError: the folder has none.
    """
    composed = compose(assembly_file(folder))
    inner = composed.root.value.get("assembly")
    if inner is not None and not composed.root.names_component():
        composed.root = inner
    return composed


def load_assembly(folder: str | Path, *, dtype: torch.dtype | None = None) -> Assembly:
    """The model of a run or of an imported checkpoint, with its weights, ready to answer.

    No weights are drawn at random, and none but those that are just read is in memory twice.

    >>> model = load_assembly("runs/native")  # doctest: +SKIP

    Args:
        folder: of the run or the import.
        dtype: of the parameters; None keeps that of the files.

    Raises:
        UserError: the folder holds no model, or its weights are damaged or do not fit.
    """
    folder = Path(folder)
    composed = compose_assembly(folder)
    with without_memory():
        assembly = build(composed)
    with open_shards(folder) as shards:
        fill(assembly, shards, folder, dtype)
    return assembly.eval()
