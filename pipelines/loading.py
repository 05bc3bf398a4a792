"""An experiment's YAML to an experiment, and a run's folder back to the model that it trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from lightning.pytorch import seed_everything

from vlmloom.assemblies.assembly import Assembly
from vlmloom.components.contracts.component import Component
from vlmloom.pipelines.alone import ComponentExperiment
from vlmloom.pipelines.checkpoints import load_weights
from vlmloom.pipelines.deferred import deferred
from vlmloom.pipelines.experiment import Experiment, StartingWeights, Training
from vlmloom.pipelines.folders import (
    CARRIED,
    CONFIG,
    INDEX,
    TOKENIZER,
    WEIGHTS,
    assembly_file,
    missing,
    words_folder,
)
from vlmloom.pipelines.patterns import matches
from vlmloom.pipelines.weights.filling import fill, without_memory
from vlmloom.pipelines.weights.folder import open_shards
from vlmloom.pipelines.weights.sources import need_weights, owner_of
from vlmloom.registry.build import build, build_as, saved
from vlmloom.registry.compose import Composed, compose
from vlmloom.registry.errors import Problem, UserError, one_line
from vlmloom.registry.marked import Node
from vlmloom.registry.walk import MISSING, check


def compose_experiment(
    source: str | Path | Node, *, sets: Sequence[str] = (), swaps: Sequence[str] = (), scale: str = "nano"
) -> Composed:
    """Compose an experiment and check all of it, shapes included, before anything is built.

    Raises:
        ConfigError: what is wrong, all of it at once.
        UserError: it trains a component alone.
    """
    composed = compose(source, scale=scale, sets=sets, swaps=swaps, lenient=True)
    whole(composed)
    check(composed, Experiment)
    return composed


def compose_training(
    source: str | Path | Node, *, sets: Sequence[str] = (), swaps: Sequence[str] = (), scale: str = "nano"
) -> Composed:
    """As `compose_experiment`, for a component that trains alone as well.

    Raises:
        ConfigError: what is wrong, all of it at once.
    """
    composed = compose(source, scale=scale, sets=sets, swaps=swaps, lenient=True)
    check(composed, shape_of(composed))
    return composed


def shape_of(composed: Composed) -> type[Training]:
    """What the keys of an experiment are those of.

    Raises:
        UserError: it has both `assembly` and `model`.
    """
    keys = composed.root.value
    if "model" in keys and "assembly" in keys:
        raise UserError(
            f"{keys['model'].mark}: model: found beside `assembly`; an experiment trains one of them"
        )
    return ComponentExperiment if "model" in keys else Experiment


def whole(composed: Composed) -> None:
    """See that an experiment trains an assembly.

    Raises:
        UserError: it trains a component alone, which answers no questions.
    """
    if shape_of(composed) is ComponentExperiment:
        use = composed.root.value["model"].plain()
        name = use.get("use", "a component") if isinstance(use, dict) else "a component"
        raise UserError(
            f"{composed.source}: trains {name} by itself, which answers nothing; an experiment with "
            "`assembly:` would be right"
        )


def build_experiment(composed: Composed, *, in_shards: bool = False) -> tuple[Experiment, str]:
    """The experiment with weights at random from its seed, and the YAML that makes it again.

    Args:
        composed: the experiment.
        in_shards: whether `train` is to share the model out, so that it need not be whole here; its
            parameters have no memory until then.
    """
    _seed(composed)
    through = {"assembly": deferred} if in_shards else {}
    return build_as(composed, Experiment, **through), saved(composed)


def build_training(composed: Composed, *, in_shards: bool = False) -> tuple[Training, str]:
    """As `build_experiment`, for a component that trains alone as well; that one is always built whole."""
    if shape_of(composed) is Experiment:
        return build_experiment(composed, in_shards=in_shards)
    _seed(composed)
    return build_as(composed, ComponentExperiment), saved(composed)


def _seed(composed: Composed) -> None:
    seed_everything(int(composed.root.plain().get("seed", 0)), verbose=False)


WORDLESS = ("vision.", "projector.")
"""Parts of assemblies that read no words."""


def connect(training: Training, folder: Path | None) -> None:
    """Bring data and model together, and write nothing; a run's tokenizer lies in its folder.

    What stands on a trained model, or starts from its weights, reads with that model's tokenizer.
    """
    own = None if folder is None else folder / TOKENIZER
    file = own if own is not None and own.exists() else next(_lent(training), None)
    training.data.connect(training.intake(training.stages[0]), file)


def _lent(training: Training) -> Iterator[Path]:
    """The tokenizers of the trained models that a training stands on."""
    trunks = [getattr(stage.objective, "trunk", None) for stage in training.stages]
    yield from (trunk.tokenizer for trunk in trunks if trunk is not None and trunk.tokenizer.exists())
    weights = training.weights if isinstance(training, Experiment) else None
    # A tokenizer that was trained elsewhere has been named in the data, and stays.
    if weights is not None and _untrained(training):
        file = _words_of(weights, training)
        if file is not None and file.exists():
            yield file


def _untrained(training: Training) -> bool:
    """Whether the data's tokenizer knows no words before a run has trained it."""
    return not getattr(training.data.tokenizer, "trained", True)


def _words_of(weights: StartingWeights, training: Training) -> Path | None:
    """The tokenizer of the run that weights are of; None where none of what is taken reads words.

    Raises:
        UserError: they are an import's, which has a tokenizer of its own, and what reads words is taken.
    """
    folder = owner_of(Path(weights.folder))
    if trained_alone(folder) is not None:
        return None
    own = folder / CARRIED
    names = [name for name, _ in training.subject.named_parameters() if not name.startswith(WORDLESS)]
    if not any(matches(name, pattern) for name in names for pattern in weights.take):
        return None
    if (own / TOKENIZER).is_file():
        raise UserError(
            f"weights.folder: {weights.folder}: its words have the ids of {own / TOKENIZER}; "
            f"data.tokenizer: {{use: tokenizer/hf, folder: {own}}} would be right"
        )
    return folder / TOKENIZER


def lost_weights(composed: Composed) -> Iterator[Problem]:
    """What is wrong with the folder that an experiment's `weights` names, nothing of it opened.

    Asked by `validate` alone: a run that has begun may have outlived it, and one that begins opens it anyway.
    """
    weights = composed.root.value.get("weights")
    folder = weights.value.get("folder") if weights is not None and isinstance(weights.value, dict) else None
    if folder is None or not isinstance(folder.value, str) or folder.value == MISSING:
        return
    try:
        need_weights(Path(folder.value))
    except UserError as fault:
        yield Problem(folder.mark, "weights.folder", one_line(fault))


def load_run(folder: Path) -> Experiment:
    """A trained experiment, or an imported model on the data that it is asked about; its data connected.

    Args:
        folder: of a finished run or of an import, or its `model.safetensors`.

    Raises:
        UserError: the folder holds no finished run, or its weights do not fit.
    """
    folder = finished_run(folder)
    composed = compose(folder / CONFIG)
    whole(composed)
    # What has shards may be larger than twice the memory.
    with without_memory() if (folder / INDEX).is_file() else nullcontext():
        experiment, _ = build_experiment(composed)
    read_weights(experiment, folder)
    return experiment


def load_component(folder: str | Path) -> Component:
    """The component that a run trained by itself, ready to be used; what it was bound to is bound to it.

    >>> head = load_component("runs/mtp")  # doctest: +SKIP

    Args:
        folder: of the finished run.

    Raises:
        UserError: the folder holds no finished run of a component, or its weights do not fit.
    """
    folder = finished_run(Path(folder))
    composed = compose(folder / CONFIG)
    if shape_of(composed) is not ComponentExperiment:
        raise UserError(f"{folder}: holds an assembly; load_run would be right")
    training, _ = build_training(composed)
    read_weights(training, folder)
    return training.subject


def read_weights(training: Training, folder: Path) -> None:
    """Connect what a run trained with its data, and give it the weights of the run.

    Raises:
        UserError: its tokenizer is not there, or the weights do not fit.
    """
    words = words_folder(folder)
    if not (words / TOKENIZER).exists():
        if words != folder:
            raise UserError(
                f"{words}: lacks {TOKENIZER}, without which ids are no words; the file that belongs to the "
                "released checkpoint would be right there"
            )
        if _untrained(training):
            raise UserError(
                f"{folder}: lacks {TOKENIZER}, and one trained anew might give words other ids than the "
                "model has learned; the folder of a finished run would be right"
            )
    connect(training, words)
    if (folder / INDEX).is_file():
        with open_shards(folder) as shards:
            fill(training.subject, shards, folder)
    else:
        load_weights(training.subject, folder / WEIGHTS)
    training.subject.eval()


def finished_run(folder: Path) -> Path:
    """The folder of a finished run or of an import, or that of its `model.safetensors`.

    Raises:
        UserError: it holds neither.
    """
    folder = folder.parent if folder.name == WEIGHTS else folder
    weights = INDEX if (folder / INDEX).is_file() else WEIGHTS
    if lost := [name for name in (CONFIG, weights) if not (folder / name).is_file()]:
        found = f"lacks {' and '.join(lost)}" if folder.is_dir() else missing(folder)
        raise UserError(f"{folder}: {found}; the folder of a finished run or of an import would be right")
    return folder


def trained_alone(folder: Path) -> Composed | None:
    """What makes the component that a run trained by itself; None where it trained an assembly."""
    composed = compose(assembly_file(folder))
    if composed.root.names_component() or shape_of(composed) is not ComponentExperiment:
        return None
    composed.root = composed.root.value["model"]
    return composed


def compose_assembly(folder: Path) -> Composed:
    """The composed assembly of a run or an import.

    Raises:
        UserError: the folder has none.
    """
    composed = compose(assembly_file(folder))
    if not composed.root.names_component():
        whole(composed)
        composed.root = composed.root.value.get("assembly", composed.root)
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
