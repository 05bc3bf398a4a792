"""SigLIP's pairwise sigmoid alignment."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vlmloom.components.alignment.exchange import counts, world
from vlmloom.components.alignment.pairs import sigmoid_pairs
from vlmloom.components.alignment.two_tower import TwoTower, nothing_to_tell
from vlmloom.components.contracts.component import Metrics
from vlmloom.registry import register


@register("alignment/sigmoid")
class SigmoidAlignment(TwoTower):
    """Pairwise sigmoid loss between pooled pictures and pooled captions (SigLIP).

    `-(1/N) sum_ij log sigmoid(y_ij (t <x_i, z_j> + b))` with y = 1 for a pair and -1 otherwise, t = exp(t'),
    t' starting at log 10 and b at -10. Captions that are equal count as pairs of each other's pictures.

    Over several ranks N counts the pairs of all of them: captions are passed from neighbour to neighbour in
    both directions, and the mean of the ranks' losses, and of their gradients, is that of one process.

    >>> import torch
    >>> align, unit = SigmoidAlignment(vision_width=8, text_width=16, width=4), torch.eye(4)
    >>> loss, parts = align.compare(unit, unit, torch.arange(4))
    >>> round(loss.item(), 3), float(parts["retrieval"])  # cosines of 1: log 2 a pair
    (0.693, 1.0)

    Reference: SigLIP, arXiv 2303.15343; SigLIP 2, arXiv 2502.14786 (attention pooling).
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
            vision_width=vision_width, text_width=text_width, width=width, heads=heads, scale=10.0
        )
        self.bias = nn.Parameter(torch.tensor(-10.0))

    def compare(
        self,
        pictures: Float[Tensor, "items width"],
        captions: Float[Tensor, "items width"],
        labels: Int[Tensor, "items"],
        lost: int = 0,
    ) -> tuple[Tensor, Metrics]:
        """The loss, `retrieval` (how often the best caption of all ranks is a picture's own) and `scale`.

        Raises:
            BadInput: there are fewer than two pairs in all, and not because of pairs that were lost.
        """
        _, ranks = world()
        total = sum(counts(len(labels), labels.device))
        if total < 2:
            return nothing_to_tell(self, pictures, captions, lost, total)
        scale = self.log_scale.exp()
        loss, _, found = sigmoid_pairs(pictures, captions, scale, self.bias, labels, labels)
        own = found == labels
        return loss * (ranks / total), {"retrieval": own.float().mean(), "scale": scale.detach()}
