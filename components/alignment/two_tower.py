"""`TwoTower`: pooled pictures and captions in one space; what its losses share."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from vlmloom.components.alignment.exchange import counts
from vlmloom.components.alignment.pool import AttentionPool
from vlmloom.components.contracts.component import Component, Metrics
from vlmloom.components.contracts.visuals import Grid, VisualFeatures
from vlmloom.registry import name_of
from vlmloom.registry.errors import BadInput


class TwoTower(Component):
    """Pools and projects both sides to unit vectors; a subclass compares them.

    Args:
        vision_width: of the picture's tokens.
        text_width: of the caption's hidden states.
        width: of the shared space.
        heads: of the attention pooling.
        scale: the first factor on cosines, learned as its logarithm.
    """

    def __init__(self, *, vision_width: int, text_width: int, width: int, heads: int, scale: float) -> None:
        super().__init__()
        self.vision_width, self.text_width, self.width = vision_width, text_width, width
        self.pool = AttentionPool(width=vision_width, heads=heads)
        self.picture = nn.Linear(vision_width, width, bias=False)
        self.caption = nn.Linear(text_width, width, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))

    @abstractmethod
    def compare(
        self,
        pictures: Float[Tensor, "items width"],
        captions: Float[Tensor, "items width"],
        labels: Int[Tensor, "items"],
        lost: int = 0,
    ) -> tuple[Tensor, Metrics]:
        """The loss over the pairs of all ranks (its mean over ranks is that of one process), and metrics.

        Args:
            pictures: unit vectors.
            captions: unit vectors, one a picture.
            labels: equal numbers are the same caption, on all ranks.
            lost: pairs of this rank that were left out, their pictures being corrupt.
        """

    def embed_pictures(self, features: VisualFeatures) -> Float[Tensor, "items width"]:
        """Unit vectors of pictures."""
        lengths = [frames * rows * columns for frames, rows, columns in features.shapes]
        return F.normalize(self.picture(self.pool(features.tokens, lengths)), dim=-1)

    def embed_captions(
        self, hidden: Float[Tensor, "tokens text_width"], boundaries: Int[Tensor, "edges"]
    ) -> Float[Tensor, "captions width"]:
        """Unit vectors of captions; the last token of each stands for it."""
        return F.normalize(self.caption(hidden[boundaries[1:].long() - 1]), dim=-1)

    def forward(
        self,
        features: VisualFeatures,
        hidden: Float[Tensor, "tokens text_width"],
        boundaries: Int[Tensor, "edges"],
        pairs: Int[Tensor, "items"],
        lost: int = 0,
    ) -> tuple[Tensor, Metrics]:
        """The loss, and how often a picture's best caption is one of its own.

        Args:
            features: one item a caption.
            hidden: the captions' hidden states.
            boundaries: of the captions.
            pairs: equal numbers are the same caption, on all ranks.
            lost: see `compare`.
        """
        # A batch without captions has one blank picture.
        pictures = self.embed_pictures(features)[: len(pairs)]
        return self.compare(pictures, self.embed_captions(hidden, boundaries), pairs, lost)

    def flops(self, grids: Sequence[Grid]) -> int:
        """Forward FLOPs of pooling, projecting and comparing pairs whose pictures have these grids."""
        items, tokens = len(grids), sum(frames * rows * columns for frames, rows, columns in grids)
        joint = 2 * items * self.width * (self.vision_width + self.text_width + items)
        return self.pool.flops(items, tokens) + joint


def nothing_to_tell(
    align: TwoTower, pictures: Tensor, captions: Tensor, lost: int, found: int
) -> tuple[Tensor, Metrics]:
    """A loss of 0, and gradients of 0, where corrupt pictures have left fewer than two pairs on all ranks.

    Raises:
        BadInput: none was lost, so that no batch has two.
    """
    if not sum(counts(lost, pictures.device)):
        raise BadInput(
            f"{name_of(align)}: found {found} pair; at least 2 are needed to tell apart, so a larger "
            "pack_tokens would be right"
        )
    loss = 0.0 * sum((one.sum() for one in (captions, *align.parameters())), pictures.sum())
    return loss, {"retrieval": loss.detach(), "scale": align.log_scale.detach().exp()}
