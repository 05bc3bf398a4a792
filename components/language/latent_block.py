"""`LatentBlock`: one decoder layer of the GLM-5 line, latent attention and a feed-forward part."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.ffn import FFN
from vlmloom.components.contracts.mask import Mask
from vlmloom.components.kernels import RMSNorm
from vlmloom.components.language.cache import Step
from vlmloom.components.language.latent_cache import LatentCache
from vlmloom.components.language.rotary import Angles
from vlmloom.components.language.selective import Selected, SelectiveAttention


class LatentBlock(nn.Module):
    """Pre-norm decoder layer whose attention is latent and selective.

    Args:
        width: D.
        attention: template of the attention, called without arguments.
        ffn: template of the feed-forward part, called with `width`.
        norm_eps: of the two norms.

    Reference: transformers, models/glm_moe_dsa/modeling_glm_moe_dsa.py (GlmMoeDsaDecoderLayer).
    """

    def __init__(
        self,
        *,
        width: int,
        attention: Callable[[], SelectiveAttention],
        ffn: Callable[..., FFN],
        norm_eps: float,
    ) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(width, eps=norm_eps)
        self.attention = attention()
        self.ffn_norm = RMSNorm(width, eps=norm_eps)
        self.ffn = ffn(width=width)

    def forward(
        self,
        hidden: Tensor,
        angles: Angles,
        lengths: Sequence[int],
        mask: Mask,
        attention: Attention,
        before: Selected | None = None,
        cache: tuple[LatentCache, int, Step] | None = None,
    ) -> tuple[Tensor, Metrics, Selected]:
        """Run the layer (see `SelectiveAttention.forward`)."""
        branch, metrics, selected = self.attention(
            self.attention_norm(hidden), angles, lengths, mask, attention, before, cache
        )
        hidden = hidden + branch
        branch, inside = self.ffn(self.ffn_norm(hidden), lengths)
        return hidden + branch, metrics | inside, selected

    def flops(self, lengths: Sequence[int]) -> int:
        """Forward FLOPs for samples of these lengths."""
        return self.attention.flops(lengths) + self.ffn.flops(sum(lengths))

    def active_parameters(self) -> int:
        """The parameters that one token uses."""
        own = sum(parameter.numel() for parameter in self.parameters())
        return (
            own - sum(parameter.numel() for parameter in self.ffn.parameters()) + self.ffn.active_parameters()
        )
