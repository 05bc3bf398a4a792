"""Two towers and their alignment: what SigLIP and CLIP are, and CogViT's second stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from torch import Tensor, nn

from vlmloom.assemblies.assembly import Assembly
from vlmloom.assemblies.recompute import Policy, compute_again
from vlmloom.components.contracts.component import Component, Metrics
from vlmloom.components.contracts.language import Language
from vlmloom.components.contracts.packed import Layout, Packed
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.contracts.vision import Vision
from vlmloom.components.contracts.visuals import Grid, PatchSpec
from vlmloom.registry import register

EXAMPLE_GRID = 4
"""Rows and columns of the picture that a dry run pretends to see."""


@register("assembly/two_tower")
class TwoTower(Assembly):
    """A vision tower and a text tower, brought into one space by an alignment.

    It is trained on captions (`objective/contrastive`, `objective/siglip2`) and answers no questions.

    Reference: SigLIP, arXiv 2303.15343; GLM-5V-Turbo, arXiv 2604.26752 (CogViT's second stage).
    """

    def __init__(
        self,
        *,
        vision: Vision,
        text: Language,
        align: Callable[..., Component],
        recompute: Mapping[str, Policy] | None = None,
    ) -> None:
        """Wire the parts.

        Args:
            vision: the tower of pictures.
            text: the tower of captions.
            align: a template of the alignment; its widths are those of both towers.
            recompute: part (vision, text) -> none, selective or full; what its blocks keep for the way back
                (see `assemblies.recompute`).
        """
        super().__init__()
        self.vision, self.text = vision, text
        self.align = align(vision_width=vision.out_width, text_width=text.width)
        compute_again(self, recompute)

    def parts(self) -> dict[str, nn.Module]:
        """See `Assembly.parts`."""
        return {"vision": self.vision, "text": self.text, "align": self.align}

    def reads(self) -> dict[str, tuple[str, ...]]:
        """See `Component.reads`: the towers stand beside each other."""
        return {"text": (), "align": ("vision", "text")}

    def patch_specs(self) -> dict[str, PatchSpec]:
        """See `Intake.patch_specs`."""
        return {"vision": self.vision.patch_spec}

    def merged_grids(self, grids: Sequence[Grid]) -> list[Grid]:
        """See `Intake.merged_grids`: in packs, a picture counts as many tokens as the tower gives."""
        return self.vision.token_grids(grids)

    def positions(self, layout: Layout) -> np.ndarray:
        """See `Intake.positions`: those of the text tower."""
        return self.text.positions(layout)

    def loss(self, batch: Packed) -> tuple[Tensor, Metrics]:
        """The alignment of captions with one picture each in `visuals["vision"]` (see `extras["pairs"]`)."""
        features, seen = self.vision(batch.visuals["vision"])
        hidden, read = self.text(self.text.embed(batch.ids), batch.positions, batch.lengths)
        loss, found = self.align(features, hidden, batch.boundaries, batch.extras["pairs"])
        return loss, seen | read | found

    def forward_flops(self, lengths: Sequence[int], grids: Sequence[Grid], targets: int) -> dict[str, int]:
        """See `Assembly.forward_flops`."""
        align: Callable[[Sequence[Grid]], int] = self.align.flops  # type: ignore[assignment]
        return {
            "vision": self.vision.flops(grids),
            "text": self.text.flops(lengths),
            "align": align(self.vision.token_grids(grids)),
        }

    def dry_run(self) -> None:
        """See `Assembly.dry_run`."""
        side = EXAMPLE_GRID * self.vision.patch_spec.block
        self.vision.shapes(Spec("patches", 3 * self.vision.patch_spec.patch**2, ((1, side, side),)))
        self.text.shapes(Spec("hidden", self.text.width))
