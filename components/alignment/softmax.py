"""CLIP's softmax alignment."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from vlmloom.components.alignment.exchange import counts, world
from vlmloom.components.alignment.pairs import softmax_pairs
from vlmloom.components.alignment.two_tower import TwoTower, nothing_to_tell
from vlmloom.components.contracts.component import Metrics
from vlmloom.registry import register

MAX_SCALE = 100.0
"""CLIP clips its factor on cosines here."""


@register("alignment/softmax")
class SoftmaxAlignment(TwoTower):
    """Softmax (InfoNCE) loss both ways between pooled pictures and pooled captions (CLIP).

    Each picture is to tell its caption from all others, and each caption its picture; the factor on cosines
    starts at 1 / 0.07 and is clipped at 100. Where captions are equal, each of their pictures is right, and
    the mean of their log-probabilities is taken (UniCL).

    Over several ranks the pairs of all of them take part, as in `alignment/sigmoid`.

    >>> import torch
    >>> align, unit = SoftmaxAlignment(vision_width=8, text_width=16, width=4), torch.eye(4)
    >>> [float(align.compare(unit, other, torch.arange(4))[1]["retrieval"]) for other in (unit, unit.flip(0))]
    [1.0, 0.0]

    Reference: CLIP, arXiv 2103.00020; UniCL, arXiv 2204.03610 (equal captions).
    """

    def __init__(self, *, vision_width: int, text_width: int, width: int = 128, heads: int = 4) -> None:
        """Make the poolings and projections.

        Args:
            vision_width: of the picture's tokens.
            text_width: of the caption's hidden states.
            width: of the shared space.
            heads: of the attention pooling.
        """
        super().__init__(
            vision_width=vision_width, text_width=text_width, width=width, heads=heads, scale=1 / 0.07
        )

    def compare(
        self,
        pictures: Float[Tensor, "items width"],
        captions: Float[Tensor, "items width"],
        labels: Int[Tensor, "items"],
        lost: int = 0,
    ) -> tuple[Tensor, Metrics]:
        """The mean of both ways, `retrieval` and `scale` (see `alignment/sigmoid`).

        Raises:
            BadInput: there are fewer than two pairs in all, and not because of pairs that were lost.
        """
        _, ranks = world()
        total = sum(counts(len(labels), labels.device))
        if total < 2:
            return nothing_to_tell(self, pictures, captions, lost, total)
        scale = self.log_scale.exp().clamp(max=MAX_SCALE)
        loss, _, found = softmax_pairs(pictures, captions, scale, labels, labels)
        own = found == labels
        return loss * (ranks / total / 2), {"retrieval": own.float().mean(), "scale": scale.detach()}
