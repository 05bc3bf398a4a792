"""An experiment's YAML to an experiment, and a run's folder back to the model that it trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import seed_everything

from vlmloom.pipelines.checkpoints import load_weights
from vlmloom.pipelines.experiment import Experiment
from vlmloom.registry.build import build_as, saved
from vlmloom.registry.compose import Composed, compose
from vlmloom.registry.errors import UserError
from vlmloom.registry.walk import check

WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
CONFIG = "config.yaml"


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
