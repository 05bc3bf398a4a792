"""`SelectiveAttention`: latent attention to the keys that an indexer selects (DeepSeek Sparse Attention)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.mask import Mask
from vlmloom.components.language.cache import Step
from vlmloom.components.language.indexer import Indexer
from vlmloom.components.language.indexer_loss import divergence
from vlmloom.components.language.latent import LatentAttention
from vlmloom.components.language.latent_cache import LatentCache
from vlmloom.components.language.rotary import Angles
from vlmloom.components.language.selection import WORK, Chosen, Rows, choose, divide, pairs, visible


class Selected(NamedTuple):
    """What a layer hands to the next, which may reuse it.

    Attributes:
        rows: how the rows of a pack are divided; nothing where a cache is read.
        chosen: the keys of each chunk of each sample; where a cache is read, of each slice of new tokens.
        slices: new tokens of all sequences that are taken at once where a cache is read.
    """

    rows: Rows
    chosen: list[list[Chosen]]
    slices: list[slice] | None = None


class SelectiveAttention(LatentAttention):
    """Latent attention whose keys an indexer of its own selects, or the last indexer before it.

    Args:
        indexer: template of the indexer, called without arguments; None reuses an earlier layer's selection.
        top_k: keys that a query attends to; None is all, and the indexer only learns.
        indexer_loss: coefficient of the indexer's own loss; at 0 it is not trained.
        sizes: arguments of `LatentAttention`.
    """

    def __init__(
        self,
        *,
        indexer: Callable[[], Indexer] | None,
        top_k: int | None,
        indexer_loss: float,
        **sizes: Any,
    ) -> None:
        super().__init__(**sizes)
        self.top_k, self.indexer_loss = top_k, indexer_loss
        self.indexer = None if indexer is None else indexer()
        if self.indexer is not None and not indexer_loss:
            # Nothing differentiable leads from a selection to the loss.
            for parameter in self.indexer.parameters():
                parameter.requires_grad_(False)
                parameter.untrainable = True  # type: ignore[attr-defined]

    def forward(
        self,
        hidden: Tensor,
        angles: Angles,
        lengths: Sequence[int],
        mask: Mask,
        attention: Attention,
        before: Selected | None,
        cache: tuple[LatentCache, int, Step] | None = None,
    ) -> tuple[Tensor, Metrics, Selected]:
        """Attend; `[T, D] -> [T, D]`.

        Args:
            hidden: `[T, D]`.
            angles: cosines and sines of the rotary positions.
            lengths: of the samples, or of the new tokens of each sequence.
            mask: who sees whom.
            attention: the backend of rows that attend to all they see.
            before: the selection of the layer before.
            cache: the cache, the number of this layer in it and where new tokens go.

        Returns:
            `[T, D]`; `loss/indexer` where the indexer is trained; the selection.
        """
        latent = self.latents(hidden)
        query, memory = self.queries(latent, angles), self.memory(hidden, angles)
        if cache is not None:
            store, layer, step = cache
            store.write_memory(layer, step, memory)
            if self.indexer is not None and self.top_k is not None:
                store.write_index(layer, step, self.indexer.keys(hidden, angles))
            if not step.packed:
                found, selected = self._read_cache(hidden, latent, query, angles, cache, before)
                return self.out(found.flatten(1)), {}, selected
        selected = self._select(hidden, latent, angles, lengths, mask, before)
        metrics: Metrics = {}
        if self.indexer is not None and self.indexer_loss and self.training:
            still = hidden.detach()
            index = (*self.indexer.queries(still, latent.detach(), angles), self.indexer.keys(still, angles))
            distance = divergence(
                self, query.detach(), memory.detach(), index, mask, selected.rows, selected.chosen
            )
            metrics["loss/indexer"] = self.indexer_loss * distance
        found = self.attend(query, memory, lengths, mask, attention, selected.rows, selected.chosen)
        return self.out(found.flatten(1)), metrics, selected

    @torch.no_grad()
    def _select(
        self,
        hidden: Tensor,
        latent: Tensor,
        angles: Angles,
        lengths: Sequence[int],
        mask: Mask,
        before: Selected | None,
    ) -> Selected:
        """Select keys for the rows of a pack that could see more than `top_k`."""
        if self.indexer is None:
            assert before is not None, "the first layer has an indexer"
            return before
        rows = None if before is None else before.rows
        if rows is None:
            per_row = (self.top_k or 0) * max(self.kv_rank + self.rope_size, self.heads)
            rows = divide(lengths, mask, self.top_k, per_row, self.indexer.heads)
        if rows.all_dense or self.top_k is None:
            return Selected(rows, [[] for _ in rows.chunks])
        keys = self.indexer.keys(hidden, angles)
        queries, weights = self.indexer.queries(hidden, latent, angles)
        chosen: list[list[Chosen]] = []
        for chunks in rows.chunks:
            chosen.append([])
            for chunk in chunks:
                own = slice(chunk.first, chunk.last)
                scores = self.indexer.scores(queries[own], weights[own], keys[chunk.start : chunk.reach])
                chosen[-1].append(choose(scores, visible(mask, chunk, hidden.device), self.top_k))
        return Selected(rows, chosen)

    @torch.no_grad()
    def _select_cached(
        self,
        hidden: Tensor,
        latent: Tensor,
        angles: Angles,
        cache: tuple[LatentCache, int, Step],
        before: Selected | None,
    ) -> Selected:
        """Select keys from the cache for new tokens."""
        store, layer, step = cache
        if self.indexer is None:
            assert before is not None, "the first layer has an indexer"
            return before
        slices = None if before is None else before.slices
        if slices is None:
            size = max(1, WORK // (store.batch * step.read * max(self.heads, self.indexer.heads)))
            slices = [slice(start, start + size) for start in range(0, step.query, size)]
        if self.top_k is None or step.read <= self.top_k:
            return Selected(Rows([], []), [], slices)
        queries, weights = (
            _pad(part, store.batch, step) for part in self.indexer.queries(hidden, latent, angles)
        )
        keys, chosen = store.index_keys(layer, step), []
        for part in slices:
            scores = self.indexer.scores(queries[:, part], weights[:, part], keys)
            chosen.append(choose(scores, None if step.seen is None else step.seen[:, 0, part], self.top_k))
        return Selected(Rows([], []), [chosen], slices)

    def _read_cache(
        self,
        hidden: Tensor,
        latent: Tensor,
        query: Tensor,
        angles: Angles,
        cache: tuple[LatentCache, int, Step],
        before: Selected | None,
    ) -> tuple[Tensor, Selected]:
        """What new tokens read from the cache."""
        store, layer, step = cache
        selected = self._select_cached(hidden, latent, angles, cache, before)
        assert selected.slices is not None
        query, pieces = _pad(query, store.batch, step), []
        for number, part in enumerate(selected.slices):
            own = query[:, part]
            if not selected.chosen:
                seen = None if step.seen is None else step.seen[:, 0, part]
                pieces.append(self.read(own, store.memories(layer, step), seen))
                continue
            keys = selected.chosen[0][number]
            found = self.read(
                own.flatten(0, 1), store.gather(layer, keys.places), keys.seen.flatten(0, 1)[:, None]
            )
            pieces.append(found.view(store.batch, -1, *found.shape[1:]))
        found = torch.cat(pieces, dim=1)
        return found[:, 0] if step.even is not None else found[step.row, step.slot], selected

    def flops(self, lengths: Sequence[int]) -> int:
        """Forward FLOPs for samples of these lengths; causal attention counts half, a selection its top_k.

        An indexer's own loss, where there is one, is counted with it.
        """
        tokens, both = sum(lengths), sum(pairs(length, self.top_k) for length in lengths)
        total = self.matrix_flops(tokens, both)
        if self.indexer is not None and self.top_k is not None:
            long = [length for length in lengths if length > self.top_k]
            compared = sum(length**2 - self.top_k**2 for length in long) // 2
            total += self.indexer.flops(sum(long), compared)
        if self.indexer is not None and self.indexer_loss:
            expanded = 2 * tokens * self.kv_up.weight.numel()
            total += self.indexer.flops(tokens, both // 2) + expanded + both * self.heads * self.size
        return total


def _pad(values: Tensor, batch: int, step: Step) -> Tensor:
    """New tokens `[T, ...]` as `[batch, query, ...]`."""
    if step.even is not None:
        return values[:, None]
    padded = values.new_zeros(batch, step.query, *values.shape[1:])
    padded[step.row, step.slot] = values
    return padded
