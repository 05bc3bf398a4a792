"""Trained runs as components: `trunk/run`, on whose states a part trains, `teacher/run`, `language/run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, overload

import torch

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.frozen import Frozen, Trunk
from vlmloom.components.contracts.language import Language
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.contracts.vision import SharedSpace, Teacher, Vision
from vlmloom.components.contracts.visuals import Grid, VisualFeatures, Visuals
from vlmloom.pipelines.experiment import Experiment, Training
from vlmloom.pipelines.folders import CONFIG, TOKENIZER, words_folder
from vlmloom.pipelines.loading import finished_run, read_weights, shape_of, whole
from vlmloom.pipelines.shared_space import space_of
from vlmloom.pipelines.weights.starting import pretrained
from vlmloom.registry import build_as, compose, register
from vlmloom.registry.errors import UserError


@register("trunk/run")
class RunTrunk(Trunk):
    """The model of a finished run, frozen; what is trained on it reads the run's own data.

    After `vlmloom fit -c nano/native --out runs/native`:

    >>> trunk = RunTrunk(folder="runs/native")  # doctest: +SKIP
    >>> any(part.requires_grad for part in trunk.module.parameters())  # doctest: +SKIP
    False
    >>> list(trunk.module.parts())  # doctest: +SKIP
    ['vision', 'projector', 'language', 'head.lm', 'head.mmtp']
    """

    def __init__(self, *, folder: str) -> None:
        """Load the run.

        Args:
            folder: of the run.

        Raises:
            ValueError: it holds no finished run of an assembly.
        """
        self.folder, experiment = load(folder, alone=False)
        super().__init__(experiment.assembly)
        self.data = experiment.data
        self.pretrained = behind(f"the model of {folder}, frozen", experiment, self.folder)
        self.tokenizer = words_folder(self.folder) / TOKENIZER


@register("teacher/run")
class RunTeacher(Teacher):
    """The vision tower of a finished run, of an assembly or of a tower alone, frozen.

    After `vlmloom fit -c nano/native --out runs/native`:

    >>> from vlmloom.components.contracts.visuals import Visuals
    >>> teacher = RunTeacher(folder="runs/native")  # doctest: +SKIP
    >>> features, _ = teacher(Visuals.noise([(1, 2, 3)], patch=16))  # doctest: +SKIP
    >>> tuple(features.tokens.shape), features.tokens.requires_grad  # doctest: +SKIP
    ((6, 128), False)
    """

    def __init__(self, *, folder: str) -> None:
        """Load the run.

        Args:
            folder: of the run.

        Raises:
            ValueError: it holds no finished run, or one without a tower.
        """
        super().__init__()
        path, training = load(folder)
        subject = training.subject
        tower = subject if isinstance(subject, Vision) else getattr(subject, "vision", None)
        if tower is None:
            raise ValueError(f"{path}: its {type(subject).__name__} has no vision tower")
        self.tower, self.space = Frozen(tower), space_of(training)
        self.config = path / CONFIG
        self.pretrained = behind(f"the tower of {folder}, the frozen teacher", training, path)
        self.out_width, self.patch_spec = tower.out_width, tower.patch_spec

    def forward(self, visuals: Visuals, taps: Sequence[int] = ()) -> tuple[VisualFeatures, Metrics]:
        """The tower's features."""
        return self.tower.module(visuals, taps)

    def weights(self) -> dict[str, torch.Tensor]:
        """See `Teacher.weights`."""
        return self.tower.module.state_dict()

    def options(self) -> dict[str, Any]:
        """See `Teacher.options`."""
        config = compose(self.config).root.plain()
        return {"tower": config.get("model") or config["assembly"].get("vision", config["assembly"])}

    def token_grids(self, grids: Sequence[Grid]) -> list[Grid]:
        """The tower's grids."""
        return self.tower.module.token_grids(grids)

    def flops(self, grids: Sequence[Grid]) -> int:
        """The tower's forward FLOPs."""
        return self.tower.module.flops(grids)

    def shared_space(self) -> SharedSpace | None:
        """That of a run with the parts `vision`, `text` and `align`."""
        return self.space

    def shapes(self, spec: Spec) -> Spec:
        """The tower's shapes."""
        return self.tower.module.shapes(spec)


@register("language/run")
class RunLanguage(Language):
    """The language part of a finished run or an import, with its weights, to be trained on.

    What is built is that part itself, a `language/glm` for instance, and this class has no instances. The
    folder stays needed: a configuration that names it reads it whenever it is built.

    After `vlmloom fit -c nano/native --out runs/native`:

    >>> language = RunLanguage(folder="runs/native")  # doctest: +SKIP
    >>> type(language).__name__, language.width, language.training  # doctest: +SKIP
    ('GLM', 128, True)
    """

    def __init__(self, *, folder: str) -> None:
        """Load the run.

        Args:
            folder: of the run or the import.

        Raises:
            ValueError: it holds no finished run, or one without a language part.
        """

    def __new__(cls, *, folder: str) -> Language:  # type: ignore[misc]
        """The part, so that it and its state are named as anywhere else."""
        path, training = load(folder)
        subject = training.subject
        language = subject if isinstance(subject, Language) else getattr(subject, "language", None)
        if language is None:
            raise ValueError(f"{path}: its {type(subject).__name__} has no language part")
        language.pretrained = behind(f"the language part of {folder}", training, path)
        return language.train()


def behind(what: str, training: Training, folder: Path) -> list[str]:
    """What a run is declared as where it is used, and what it was made with itself."""
    return [what, *(f"{what}: {line}" for line in pretrained(training, folder))]


@overload
def load(folder: str, alone: Literal[False]) -> tuple[Path, Experiment]: ...
@overload
def load(folder: str) -> tuple[Path, Training]: ...
def load(folder: str, alone: bool = True) -> tuple[Path, Training]:
    """A run with its weights; on the meta device its shapes alone. Random draws outside are not disturbed.

    Args:
        folder: of the run.
        alone: whether it may have trained a component by itself.
    """
    try:
        path = finished_run(Path(folder))
        composed = compose(path / CONFIG)
        if not alone:
            whole(composed)
        with torch.random.fork_rng():
            training = build_as(composed, shape_of(composed))
            if not torch.empty(0).is_meta:
                read_weights(training, path)
    except UserError as error:
        raise ValueError("; ".join(error.lines)) from error
    return path, training
