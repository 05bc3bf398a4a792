"""`divergence`: what trains an indexer, its distance from the attention that it selects for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from vlmloom.components.contracts.mask import Mask
from vlmloom.components.language.indexer import Indexer
from vlmloom.components.language.latent import LatentAttention
from vlmloom.components.language.selection import Chosen, Chunk, Rows, cut, visible


def divergence(
    attention: LatentAttention,
    query: Tensor,
    memory: Tensor,
    index: tuple[Tensor, Tensor, Tensor],
    mask: Mask,
    rows: Rows,
    chosen: list[list[Chosen]],
) -> Tensor:
    """The mean over tokens of KL(attention || softmax(index scores)), over the keys that a token attends to.

    The target is the attention of the layer, summed over its heads and normalised; it is a constant, and so
    is all that the indexer reads. With every row dense this is the warm-up's loss, else sparse training's.

    Args:
        attention: of the layer.
        query: its queries, `[T, H, N + R]`.
        memory: its memories, `[T, M]`.
        index: the indexer's queries `[T, I, E]`, weights `[T, I]` and keys `[T, E]`, with gradients.
        mask: who sees whom.
        rows: which rows are dense, and which are chunks.
        chosen: the keys of each chunk.

    Reference: arXiv 2512.02556, 2.1.1 (equations 3 and 4).
    """
    total = torch.stack([part.sum() for part in index]).sum() * 0.0
    with torch.no_grad():
        key, _ = attention.expand(memory)

    def dense(chunk: Chunk, queries: Tensor, weights: Tensor, keys: Tensor) -> Tensor:
        seen = visible(mask, chunk, query.device)
        with torch.no_grad():
            products = torch.einsum(
                "qhs,khs->qhk", query[chunk.first : chunk.last], key[chunk.start : chunk.reach]
            )
        return _distance(products * attention.scale, Indexer.scores(queries, weights, keys), seen)

    def selected(chunk: Chunk, keys_of: Chosen, queries: Tensor, weights: Tensor, keys: Tensor) -> Tensor:
        places = keys_of.places + chunk.start
        with torch.no_grad():
            products = torch.einsum("qhs,qkhs->qhk", query[chunk.first : chunk.last], key[places])
        scores = Indexer.scores(queries[:, None], weights[:, None], keys[keys_of.places]).squeeze(1)
        return _distance(products * attention.scale, scores, keys_of.seen)

    per_key = max(attention.heads, index[0].shape[1])
    for sample, chunks, keys in zip(rows.dense, rows.chunks, chosen or [[]] * len(rows.dense), strict=True):
        head = cut(sample, sample.start, sample.start + sample.rows, mask, 0, per_key)
        for chunk in head:
            total = total + _again(dense, chunk, *_inputs(index, chunk))
        for chunk, own in zip(chunks, keys, strict=True):
            total = total + _again(selected, chunk, own, *_inputs(index, chunk))
    return total / max(len(query), 1)


def _inputs(index: tuple[Tensor, Tensor, Tensor], chunk: Chunk) -> tuple[Tensor, Tensor, Tensor]:
    queries, weights, keys = index
    own = slice(chunk.first, chunk.last)
    return queries[own], weights[own], keys[chunk.start : chunk.reach]


def _again(function: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """Call, and call again on the way back instead of keeping scores of every pair."""
    return checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)


def _distance(products: Tensor, scores: Tensor, seen: Tensor) -> Tensor:
    """The sum over rows of KL(mean over heads of softmax(products) || softmax(scores)).

    Args:
        products: `[Q, H, K]`.
        scores: `[Q, K]`.
        seen: `[Q, K]`.
    """
    with torch.no_grad():
        hidden = ~seen
        target = products.float().masked_fill(hidden[:, None], -torch.inf).softmax(-1).mean(1)
        entropy = torch.xlogy(target, target).sum()
    guess = scores.masked_fill(hidden, -torch.inf).log_softmax(-1)
    return entropy - (target * guess.masked_fill(hidden, 0.0)).sum()
