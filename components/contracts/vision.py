"""The contracts of the kinds `vision` and `teacher`: pictures to features."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

from jaxtyping import Float
from torch import Tensor

from vlmloom.components.contracts.component import Component, Metrics
from vlmloom.components.contracts.visuals import Grid, PatchSpec, VisualFeatures, Visuals


class SharedSpace(Protocol):
    """Where pictures and texts that belong together lie near each other."""

    def embed_pictures(self, features: VisualFeatures) -> Float[Tensor, "pictures width"]:
        """Unit vectors of pictures that the tower has seen."""

    def embed_texts(self, texts: Sequence[str]) -> Float[Tensor, "texts width"]:
        """Unit vectors of texts."""


class Vision(Component):
    """Pictures to features: `Visuals -> VisualFeatures` of `out_width`.

    Attributes:
        out_width: the width of the features.
        patch_spec: how pictures are to be cut for it.
    """

    out_width: int
    patch_spec: PatchSpec

    @abstractmethod
    def forward(self, visuals: Visuals, taps: Sequence[int] = ()) -> tuple[VisualFeatures, Metrics]:
        """Encode; `taps` names the layers whose outputs are wanted beside the last."""

    @abstractmethod
    def token_grids(self, grids: Sequence[Grid]) -> list[Grid]:
        """The grids of the features for items of these (stored) patch grids. Pure and tensor-free."""

    @abstractmethod
    def flops(self, grids: Sequence[Grid]) -> int:
        """Forward FLOPs for items of these patch grids."""

    def shared_space(self) -> SharedSpace | None:
        """The space that the tower shares with text, None where it was trained without any."""
        return None


class Teacher(Vision):
    """A frozen tower whose features are learned from, with a `pooled` embedding where the model has one."""

    def weights(self) -> dict[str, Tensor]:
        """All that its features depend on beside the pictures, so that they can be kept under its name."""
        return self.state_dict()

    def options(self) -> dict[str, Any]:
        """What else they depend on: options that show neither in the weights nor in `patch_spec`."""
        return {}
