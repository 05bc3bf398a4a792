"""Next-token prediction by an assembly's own heads."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.objective import Objective
from vlmloom.components.contracts.packed import IGNORE, Packed
from vlmloom.registry import register


@register("objective/next_token")
class NextToken(Objective):
    """Next-token loss of all heads over a packed batch (LM, MTP, MMTP and what routers add).

    >>> import math
    >>> from vlmloom.components.contracts.packed import Packed
    >>> from vlmloom.registry import build, compose
    >>> model = build(compose("native"))
    >>> loss, parts = NextToken()(model, Packed.texts([[5, 3, 8], [7, 2, 4]]))
    >>> abs(float(parts["lm/loss"]) - math.log(model.language.vocab)) < 0.5  # nothing is known yet
    True
    """

    views = ("question", "withheld", "described")

    def forward(self, module: Any, batch: Packed) -> tuple[Tensor, Metrics]:
        """The assembly's own loss.

        Args:
            module: anything with `loss(batch)`.
            batch: packed samples with labels.
        """
        return module.loss(batch)

    def flops(self, module: Any, batch: Packed) -> dict[str, int]:
        """See `Objective.flops`."""
        visuals = batch.visuals.get("vision")
        grids = visuals.shapes if visuals is not None and visuals.weight else []
        return module.forward_flops(batch.lengths, grids, int((batch.labels != IGNORE).sum()))
