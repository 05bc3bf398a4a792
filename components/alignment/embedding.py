"""Alignment of projected pictures with the word embeddings of their captions, in the language's own space."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from vlmloom.components.alignment.sigmoid import SigmoidAlignment
from vlmloom.components.contracts.component import Component, Metrics
from vlmloom.components.contracts.visuals import VisualFeatures
from vlmloom.registry import register


@register("alignment/embedding")
class EmbeddingAlignment(Component):
    """Pairwise sigmoid loss between the means of a picture's tokens and of its caption's word embeddings.

    Nothing but a scale and a bias is learned, so whatever comes closer comes closer in the space of the
    embeddings themselves. They start at SigLIP's values, log 10 and -10.

    >>> import torch
    >>> from vlmloom.components.contracts.visuals import VisualFeatures
    >>> align, words = EmbeddingAlignment(vision_width=4, text_width=4), torch.eye(4)
    >>> pictures = VisualFeatures(words[[0, 0, 1]], [(1, 1, 2), (1, 1, 1)])
    >>> captions, boundaries = words[[0, 1, 1]], torch.tensor([0, 1, 3])
    >>> loss, parts = align(pictures, captions, boundaries, torch.arange(2))
    >>> round(loss.item(), 3), float(parts["retrieval"])  # cosines of 1: log 2 a pair
    (0.693, 1.0)

    Reference: SigLIP, arXiv 2303.15343 (the loss).
    """

    def __init__(self, *, vision_width: int, text_width: int) -> None:
        """Make scale and bias.

        Args:
            vision_width: of the picture's tokens.
            text_width: of the caption's embeddings.

        Raises:
            ValueError: the widths differ.
        """
        super().__init__()
        if vision_width != text_width:
            raise ValueError(
                f"alignment/embedding: vision_width {vision_width} and text_width {text_width}; "
                "equal widths, or alignment/sigmoid, would be right"
            )
        self.width = vision_width
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.bias = nn.Parameter(torch.tensor(-10.0))

    def forward(
        self,
        features: VisualFeatures,
        hidden: Float[Tensor, "tokens width"],
        boundaries: Int[Tensor, "edges"],
        pairs: Int[Tensor, "items"],
        lost: int = 0,
    ) -> tuple[Tensor, Metrics]:
        """The loss, and how often a picture's best caption is one of its own.

        Args:
            features: one item a caption.
            hidden: the embeddings of the captions' tokens.
            boundaries: of the captions.
            pairs: equal numbers are the same caption.
            lost: pairs that were left out, their pictures being corrupt.
        """
        sizes = [frames * rows * columns for frames, rows, columns in features.shapes]
        x = _means(features.tokens, torch.tensor(sizes, device=hidden.device))
        z = _means(hidden, (boundaries[1:] - boundaries[:-1]).long())
        # A batch without captions has one blank picture.
        pictures, captions = F.normalize(x, dim=-1)[: len(z)], F.normalize(z, dim=-1)
        # Compared as there, over all ranks, by this scale and this bias.
        return SigmoidAlignment.compare(self, pictures, captions, pairs, lost)  # type: ignore[arg-type]

    def flops(self, items: int) -> int:
        """Forward FLOPs of comparing so many pairs."""
        return 2 * items * items * self.width


def _means(tokens: Tensor, sizes: Tensor) -> Tensor:
    """The mean of each run of `sizes` tokens, `[items, width]`."""
    item = torch.repeat_interleave(
        torch.arange(len(sizes), device=tokens.device), sizes, output_size=len(tokens)
    )
    sums = tokens.new_zeros(len(sizes), tokens.shape[1]).index_add(0, item, tokens)
    return sums / sizes.clamp(min=1)[:, None]
