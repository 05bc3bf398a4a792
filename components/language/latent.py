"""`LatentAttention`: multi-head latent attention whose keys an indexer selects.

Shapes: T tokens, H heads, N and R the parts of a query that do not turn and that turn, V the size of a value,
C the latent keys and values of a token, M = C + R its *memory*: all that a cache has to hold.

Two forms of the same arithmetic. *Expanded*, the latents become keys `[T, H, N + R]` and values `[T, H, V]`,
and any attention backend takes them: cheapest where a row sees all there is. *Absorbed*, the matrix that
would expand the keys is applied to the query instead, and the one that would expand the values to what was
read: every head reads the same memory, cheapest where each query has keys of its own, and in decoding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.mask import Mask
from vlmloom.components.kernels import Linear, RMSNorm
from vlmloom.components.language.rotary import Angles, Rotation, rotate
from vlmloom.components.language.selection import Chosen, Rows, gathered, part_of


class LatentAttention(nn.Module):
    """Projections of multi-head latent attention, and what queries read in either form.

    Args:
        width: D.
        heads: H.
        query_rank: of the latent queries.
        kv_rank: C, of the latent keys and values.
        nope_size: N.
        rope_size: R.
        value_size: V.
        rotation: how components are paired.
        bias: bias of the projections from and to the hidden states.
        norm_eps: of the norms of the latents.
        init_std: of the weights.

    Reference: arXiv 2405.04434, 2.1; transformers, models/glm_moe_dsa/modeling_glm_moe_dsa.py
    (GlmMoeDsaAttention).
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        query_rank: int,
        kv_rank: int,
        nope_size: int,
        rope_size: int,
        value_size: int,
        rotation: Rotation,
        bias: bool,
        norm_eps: float,
        init_std: float,
    ) -> None:
        super().__init__()
        self.heads, self.kv_rank, self.rotation = heads, kv_rank, rotation
        self.nope_size, self.rope_size, self.value_size = nope_size, rope_size, value_size
        self.size = nope_size + rope_size
        self.scale = self.size**-0.5
        self.query_down = Linear(width, query_rank, bias=bias)
        self.query_norm = RMSNorm(query_rank, eps=norm_eps)
        self.query_up = Linear(query_rank, heads * self.size, bias=False)
        self.kv_down = Linear(width, kv_rank + rope_size, bias=bias)
        self.kv_norm = RMSNorm(kv_rank, eps=norm_eps)
        self.kv_up = Linear(kv_rank, heads * (nope_size + value_size), bias=False)
        self.out = Linear(heads * value_size, width, bias=bias)
        for matrix in (self.query_down, self.query_up, self.kv_down, self.kv_up, self.out):
            nn.init.normal_(matrix.weight, std=init_std)
            if matrix.bias is not None:
                nn.init.zeros_(matrix.bias)
        # GLM-5 orthogonalises the matrices that lead up to the heads head by head (Muon Split).
        self.query_up.weight.muon_splits = (self.size,) * heads  # type: ignore[attr-defined]
        self.kv_up.weight.muon_splits = (nope_size + value_size,) * heads  # type: ignore[attr-defined]

    def latents(self, hidden: Float[Tensor, "tokens width"]) -> Float[Tensor, "tokens rank"]:
        """The latent queries, normed."""
        return self.query_norm(self.query_down(hidden))

    def queries(
        self, latent: Float[Tensor, "tokens rank"], angles: Angles
    ) -> Float[Tensor, "tokens heads size"]:
        """The queries, the last R components rotated."""
        query = self.query_up(latent).unflatten(-1, (self.heads, self.size))
        return rotate(query, angles, self.heads, self.rotation, skip=self.nope_size)

    def memory(self, hidden: Float[Tensor, "tokens width"], angles: Angles) -> Float[Tensor, "tokens memory"]:
        """The normed latents and the rotated key that all heads share."""
        latent, shared = self.kv_down(hidden).split([self.kv_rank, self.rope_size], dim=-1)
        shared = rotate(shared[:, None], angles, 1, self.rotation)[:, 0]
        return torch.cat([self.kv_norm(latent), shared], dim=-1)

    def expand(self, memory: Float[Tensor, "tokens memory"]) -> tuple[Tensor, Tensor]:
        """Keys `[T, H, N + R]` and values `[T, H, V]`."""
        latent, shared = memory.split([self.kv_rank, self.rope_size], dim=-1)
        both = self.kv_up(latent).unflatten(-1, (self.heads, -1))
        key, value = both.split([self.nope_size, self.value_size], dim=-1)
        return torch.cat([key, shared[:, None].expand(-1, self.heads, -1)], dim=-1), value

    def read(
        self,
        query: Float[Tensor, "*batch heads size"],
        memory: Float[Tensor, "group places memory"],
        seen: Bool[Tensor, "group queries places"] | None,
    ) -> Float[Tensor, "*batch heads value"]:
        """What queries read in the absorbed form; those of one group share a memory.

        Args:
            query: the groups one after another, the same number of queries each.
            memory: of each group.
            seen: the places that each query of a group sees, or all its queries (1); None shows all.
        """
        up = self.kv_up.weight.view(self.heads, -1, self.kv_rank).to(query.dtype)
        to_key, to_value = up.split([self.nope_size, self.value_size], dim=1)
        still, turned = query.split([self.nope_size, self.rope_size], dim=-1)
        absorbed = torch.cat([torch.einsum("...hn,hnc->...hc", still, to_key), turned], dim=-1) * self.scale
        groups = memory.shape[0]
        scores = absorbed.reshape(groups, -1, absorbed.shape[-1]) @ memory.transpose(1, 2)
        if seen is not None:
            apart = scores.unflatten(1, (-1, self.heads))
            scores = apart.masked_fill(~seen[:, :, None], -torch.inf).flatten(1, 2)
        weights = scores.softmax(-1, dtype=torch.float32).to(memory.dtype)
        found = (weights @ memory[..., : self.kv_rank]).view(*query.shape[:-1], self.kv_rank)
        return torch.einsum("...hc,hvc->...hv", found, to_value)

    def attend(
        self,
        query: Float[Tensor, "tokens heads size"],
        memory: Float[Tensor, "tokens memory"],
        lengths: Sequence[int],
        mask: Mask,
        attention: Attention,
        rows: Rows,
        chosen: list[list[Chosen]],
    ) -> Float[Tensor, "tokens heads value"]:
        """Attend within packed samples, dense rows expanded and chunks absorbed.

        Args:
            query: `[T, H, N + R]`.
            memory: `[T, M]`.
            lengths: of the samples.
            mask: who sees whom.
            attention: the backend of the dense rows.
            rows: which rows are dense, and which are chunks.
            chosen: the keys of each chunk.
        """
        if rows.all_dense:
            return self._dense(query, memory, lengths, mask, attention)
        counts = [sample.rows for sample in rows.dense]
        places = torch.cat([torch.arange(at.start, at.start + at.rows) for at in rows.dense]).to(query.device)
        dense = self._dense(query[places], memory[places], counts, part_of(mask, places), attention)
        pieces = []
        for part, chunks, keys in zip(dense.split(counts), rows.chunks, chosen, strict=True):
            pieces.append(part)
            for chunk, key in zip(chunks, keys, strict=True):
                own, reach = query[chunk.first : chunk.last], memory[chunk.start : chunk.reach]
                if torch.is_grad_enabled():
                    # What was gathered is far larger than what it was gathered from: gather it again.
                    pieces.append(
                        checkpoint(
                            self._selected, own, reach, key, use_reentrant=False, preserve_rng_state=False
                        )
                    )
                else:
                    pieces.append(self._selected(own, reach, key))
        return torch.cat(pieces)

    def _selected(self, query: Tensor, memory: Tensor, chosen: Chosen) -> Tensor:
        return self.read(query, gathered(memory, chosen.places), chosen.seen[:, None])

    def _dense(
        self, query: Tensor, memory: Tensor, lengths: Sequence[int], mask: Mask, attention: Attention
    ) -> Tensor:
        key, value = self.expand(memory)
        if not len(query):  # An empty pack reaches every matrix too, with gradients of zero.
            return value + query.sum() + key.sum()
        # A backend takes keys and values of one size; what is added is zero and adds nothing.
        size = max(self.size, self.value_size)
        query, key = (
            F.pad(part, (0, size - self.size)) if size > self.size else part for part in (query, key)
        )
        if size > self.value_size:
            value = F.pad(value, (0, size - self.value_size))
        return attention(query, key, value, lengths, mask, scale=self.scale)[..., : self.value_size]

    def matrix_flops(self, tokens: int, pairs: int) -> int:
        """Forward FLOPs: the projections of so many tokens, and twice so many pairs of query and key."""
        rank, width = self.query_up.in_features, self.out.out_features
        matrices = width * (rank + self.kv_rank + self.rope_size) + rank * self.heads * self.size
        matrices += self.heads * (self.kv_rank * (self.nope_size + self.value_size) + self.value_size * width)
        return 2 * tokens * matrices + pairs * self.heads * (self.size + self.value_size)
