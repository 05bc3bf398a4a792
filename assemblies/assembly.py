"""`Assembly`: a whole model made of components."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from vlmloom.components.contracts.component import Component, Metrics
from vlmloom.components.contracts.intake import Intake
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.contracts.visuals import Grid


class Assembly(Component, Intake):
    """A model of several parts that turns a packed batch into a loss, and a prompt into an answer.

    The collator is built from it: it asks for `patch_specs`, `merged_grids` and `positions` (see `Intake`),
    so that a swapped patch size, merge factor or resampler changes placeholders and rotary positions by
    itself.
    """

    def parts(self) -> dict[str, nn.Module]:
        """The direct parts by name, in the order in which data flows through them."""
        return dict(self.named_children())

    @abstractmethod
    def loss(self, batch: Packed) -> tuple[Tensor, Metrics]:
        """The training loss of a packed batch and its named parts."""

    @abstractmethod
    def forward_flops(self, lengths: Sequence[int], grids: Sequence[Grid], targets: int) -> dict[str, int]:
        """Forward FLOPs of each part, in the order of the flow.

        Args:
            lengths: of the packed samples, visual tokens included.
            grids: the patch grids of the items that the vision part sees.
            targets: how many tokens are supervised.
        """

    @abstractmethod
    def dry_run(self) -> None:
        """Chain `shapes` through all parts without a tensor.

        Raises:
            ShapeMismatch: two neighbours do not fit.
        """
