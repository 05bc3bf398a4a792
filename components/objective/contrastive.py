"""Contrastive alignment of a vision part with a text part."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.kinds import Objective
from vlmloom.components.contracts.packed import Packed
from vlmloom.registry import register


@register("objective/contrastive")
class Contrastive(Objective):
    """Image-text alignment over a batch of pictures and captions, by the module's `align` part."""

    views = ("captions",)

    def check(self, module: Any) -> None:
        """See `Objective.check`."""
        lacks = [part for part in ("vision", "text", "align") if getattr(module, part, None) is None]
        if lacks:
            raise ValueError(
                f"objective/contrastive aligns vision with text, but {type(module).__name__} has no part "
                f"{', '.join(lacks)}; assembly/adapter has them"
            )

    def forward(self, module: Any, batch: Packed) -> tuple[Tensor, Metrics]:
        """Align pictures with their captions.

        Args:
            module: an assembly with the parts `vision`, `text` and `align`.
            batch: captions packed as text, with one picture a caption in `visuals["vision"]` and the
                captions' identities in `extras["pairs"]` (equal numbers are the same caption).
        """
        features, seen = module.vision(batch.visuals["vision"])
        hidden, read = module.text(module.text.embed(batch.ids), batch.positions, batch.lengths)
        loss, parts = module.align(features, hidden, batch.boundaries, batch.extras["pairs"])
        return loss, seen | read | parts

    def flops(self, module: Any, batch: Packed) -> dict[str, int]:
        """See `Objective.flops`."""
        grids = batch.visuals["vision"].shapes
        return {
            "vision": module.vision.flops(grids),
            "text": module.text.flops(batch.lengths),
            "align": module.align.flops(module.vision.token_grids(grids)),
        }
