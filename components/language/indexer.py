"""`Indexer`: DeepSeek Sparse Attention's lightning indexer, which scores keys so that few are attended to."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlmloom.components.language.rotary import Angles, Rotation, rotate


class Indexer(nn.Module):
    """Scores `sum_h w_h * relu(q_h . k)` with small heads of queries, one key a token, and weights a head.

    Args:
        width: D, of the hidden states.
        query_rank: of the latent queries, which the indexer shares with the attention.
        heads: I.
        size: E, of a head and of a key; its first components are rotated.
        rotation: how components are paired.
        init_std: of the weights.

    Reference: arXiv 2512.02556, 2.1; transformers, models/glm_moe_dsa/modeling_glm_moe_dsa.py
    (GlmMoeDsaIndexer).
    """

    def __init__(
        self, *, width: int, query_rank: int, heads: int, size: int, rotation: Rotation, init_std: float
    ) -> None:
        super().__init__()
        self.heads, self.size, self.rotation = heads, size, rotation
        self.query = nn.Linear(query_rank, heads * size, bias=False)
        self.key = nn.Linear(width, size, bias=False)
        self.key_norm = nn.LayerNorm(size, eps=1e-6)
        self.weight = nn.Linear(width, heads, bias=False)
        for matrix in (self.query, self.key, self.weight):
            nn.init.normal_(matrix.weight, std=init_std)

    def keys(self, hidden: Float[Tensor, "tokens width"], angles: Angles) -> Float[Tensor, "tokens size"]:
        """The key of each token."""
        return rotate(self.key_norm(self.key(hidden))[:, None], angles, 1, self.rotation)[:, 0]

    def queries(
        self, hidden: Float[Tensor, "tokens width"], latent: Float[Tensor, "tokens rank"], angles: Angles
    ) -> tuple[Float[Tensor, "tokens heads size"], Float[Tensor, "tokens heads"]]:
        """The queries of each token, and the weights of its heads in fp32, both scales included."""
        query = self.query(latent).unflatten(-1, (self.heads, self.size))
        with torch.autocast(hidden.device.type, enabled=False):
            weight = nn.functional.linear(hidden.float(), self.weight.weight.float())
        return rotate(query, angles, self.heads, self.rotation), weight * (self.heads * self.size) ** -0.5

    @staticmethod
    def scores(
        query: Float[Tensor, "*batch queries heads size"],
        weight: Float[Tensor, "*batch queries heads"],
        key: Float[Tensor, "*batch keys size"],
    ) -> Float[Tensor, "*batch queries keys"]:
        """The score of each key for each query, in fp32."""
        heads = query.shape[-2]
        with torch.autocast(query.device.type, enabled=False):
            products = query.flatten(-3, -2).float() @ key.transpose(-1, -2).float()
            products = products.relu_().unflatten(-2, (-1, heads))
            return (weight[..., None, :] @ products).squeeze(-2)

    def flops(self, tokens: int, compared: int) -> int:
        """Forward FLOPs: the projections of so many tokens, and the comparison of so many pairs."""
        width, rank = self.key.in_features, self.query.in_features
        projections = rank * self.heads * self.size + width * (self.size + self.heads)
        return 2 * tokens * projections + 2 * compared * self.heads * (self.size + 1)
