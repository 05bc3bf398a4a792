"""Trained runs as components: `trunk/run`, on whose states a part trains, and `teacher/run`, its tower."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.frozen import Frozen, Trunk
from vlmloom.components.contracts.kinds import Teacher
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.contracts.visuals import Grid, VisualFeatures, Visuals
from vlmloom.pipelines.experiment import Experiment
from vlmloom.pipelines.folders import CONFIG, TOKENIZER, words_folder
from vlmloom.pipelines.loading import finished_run, read_weights, whole
from vlmloom.registry import build_as, compose, register
from vlmloom.registry.errors import UserError


@register("trunk/run")
class RunTrunk(Trunk):
    """The model of a finished run, frozen; what is trained on it reads the run's own data."""

    def __init__(self, *, folder: str) -> None:
        """Load the run.

        Args:
            folder: of the run.

        Raises:
            ValueError: it holds no finished run of an assembly.
        """
        self.folder, experiment = _load(folder)
        super().__init__(experiment.assembly)
        self.data = experiment.data
        self.tokenizer = words_folder(self.folder) / TOKENIZER


@register("teacher/run")
class RunTeacher(Teacher):
    """The vision tower of a finished run, frozen."""

    def __init__(self, *, folder: str) -> None:
        """Load the run.

        Args:
            folder: of the run.

        Raises:
            ValueError: it holds no finished run of an assembly, or one without a tower.
        """
        super().__init__()
        path, experiment = _load(folder)
        tower = getattr(experiment.assembly, "vision", None)
        if tower is None:
            raise ValueError(f"{path}: its {type(experiment.assembly).__name__} has no vision tower")
        self.tower = Frozen(tower)
        self.out_width, self.patch_spec = tower.out_width, tower.patch_spec

    def forward(self, visuals: Visuals, taps: Sequence[int] = ()) -> tuple[VisualFeatures, Metrics]:
        """The tower's features."""
        return self.tower.module(visuals, taps)

    def weights(self) -> dict[str, torch.Tensor]:
        """See `Teacher.weights`."""
        return self.tower.module.state_dict()

    def token_grids(self, grids: Sequence[Grid]) -> list[Grid]:
        """The tower's grids."""
        return self.tower.module.token_grids(grids)

    def flops(self, grids: Sequence[Grid]) -> int:
        """The tower's forward FLOPs."""
        return self.tower.module.flops(grids)

    def shapes(self, spec: Spec) -> Spec:
        """The tower's shapes."""
        return self.tower.module.shapes(spec)


def _load(folder: str) -> tuple[Path, Experiment]:
    """A run with its weights; on the meta device its shapes alone. Random draws outside are not disturbed."""
    try:
        path = finished_run(Path(folder))
        composed = compose(path / CONFIG)
        whole(composed)
        with torch.random.fork_rng():
            experiment = build_as(composed, Experiment)
            if not torch.empty(0).is_meta:
                read_weights(experiment, path)
    except UserError as error:
        raise ValueError("; ".join(error.lines)) from error
    return path, experiment
