"""SigLIP's pairwise sigmoid alignment."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from vlmloom.components.contracts.component import Component, Metrics
from vlmloom.components.contracts.visuals import VisualFeatures
from vlmloom.registry import register


class AttentionPool(nn.Module):
    """Multi-head attention pooling: one learned query over the tokens of an item (SigLIP's MAP head)."""

    def __init__(self, *, width: int, heads: int) -> None:
        """Make the query, the attention and the residual MLP.

        Raises:
            ValueError: heads do not divide the width.
        """
        super().__init__()
        if width % heads:
            raise ValueError(f"heads must divide the width: {heads} does not divide {width}")
        self.query = nn.Parameter(torch.randn(1, 1, width) * width**-0.5)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, tokens: Float[Tensor, "tokens width"], lengths: list[int]) -> Tensor:
        """Pool each run of `lengths` tokens into one row: `[items, width]`."""
        items = nn.utils.rnn.pad_sequence(list(tokens.split(lengths)), batch_first=True)
        sizes = torch.tensor(lengths, device=tokens.device)
        padding = torch.arange(items.shape[1], device=tokens.device)[None] >= sizes[:, None]
        ragged = padding if len(set(lengths)) > 1 else None
        query = self.query.expand(items.shape[0], -1, -1)
        pooled, _ = self.attention(query, items, items, key_padding_mask=ragged, need_weights=False)
        pooled = pooled[:, 0]
        return pooled + self.mlp(self.norm(pooled))


@register("alignment/sigmoid")
class SigmoidAlignment(Component):
    """Pairwise sigmoid loss between pooled pictures and pooled captions (SigLIP).

    `-(1/N) sum_ij log sigmoid(y_ij (t <x_i, z_j> + b))` with y = 1 for a pair and -1 otherwise, t = exp(t'),
    t' starting at log 10 and b at -10. Captions that are equal count as pairs of each other's pictures.

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
        super().__init__()
        self.vision_width, self.text_width, self.width = vision_width, text_width, width
        self.pool = AttentionPool(width=vision_width, heads=heads)
        self.picture = nn.Linear(vision_width, width, bias=False)
        self.caption = nn.Linear(text_width, width, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))
        self.bias = nn.Parameter(torch.tensor(-10.0))

    def forward(
        self,
        features: VisualFeatures,
        hidden: Float[Tensor, "tokens width"],
        boundaries: Int[Tensor, "edges"],
        pairs: Int[Tensor, "items"],
    ) -> tuple[Tensor, Metrics]:
        """The loss, and how often a picture's best caption is one of its own.

        Args:
            features: one item a caption.
            hidden: the captions' hidden states; the last token of each stands for it.
            boundaries: of the captions.
            pairs: equal numbers are the same caption.
        """
        lengths = [frames * rows * columns for frames, rows, columns in features.shapes]
        x = F.normalize(self.picture(self.pool(features.tokens, lengths)), dim=-1)
        z = F.normalize(self.caption(hidden[boundaries[1:].long() - 1]), dim=-1)
        logits = self.log_scale.exp() * x @ z.T + self.bias
        same = pairs[:, None] == pairs[None]
        sign = torch.where(same, 1.0, -1.0)
        loss = -F.logsigmoid(sign * logits).sum() / logits.shape[0]
        best = logits.detach().argmax(1)
        hit = same[torch.arange(len(best), device=best.device), best].float().mean()
        return loss, {"retrieval": hit, "scale": self.log_scale.detach().exp()}

    def flops(self, items: int) -> int:
        """Forward FLOPs of pooling, projecting and comparing so many pairs (16 tokens a picture counted)."""
        pooling = items * 2 * self.vision_width**2 * (2 * 16 + 2 + 4)
        joint = 2 * items * self.width * (self.vision_width + self.text_width + items)
        return pooling + joint
