"""`PaddedCache`, `KVCache`: what a language part has read, with places for `capacity` tokens a sequence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from vlmloom.components.contracts.kinds import Cache
from vlmloom.components.contracts.mask import Causal, CausalWithImages, Mask


class Step(NamedTuple):
    """Where the new tokens of one forward pass go; the same for every layer.

    Attributes:
        row: `[T]` the sequence of each new token.
        column: `[T]` its place in the cache.
        slot: `[T]` its place among the new tokens of its sequence.
        query: the most new tokens of any sequence.
        read: how much of the cache has to be read.
        even: the column of the one new token, where every sequence gets one at the same column.
        seen: `[batch, 1, query, read]` which places a new token sees; None where it sees all.
        packed: nothing had been read before, so the new tokens attend among themselves.
    """

    row: Tensor
    column: Tensor
    slot: Tensor
    query: int
    read: int
    even: int | None
    seen: Tensor | None
    packed: bool


class PaddedCache(Cache):
    """A cache whose tensors hold `capacity` places a sequence.

    Sequences may differ in length. The prompt is read packed; later each forward pass adds any number of
    tokens to each sequence.

    Args:
        stores: names of the attributes that hold tensors `[layers, batch, heads, capacity, size]`.
        batch: sequences.
        capacity: the most tokens of a sequence.
        device: of the tensors.
    """

    def __init__(self, *, stores: Sequence[str], batch: int, capacity: int, device: torch.device) -> None:
        super().__init__(batch=batch, capacity=capacity, device=device)
        self._stores = tuple(stores)

    def _keep(self, rows: Tensor) -> None:
        for name in self._stores:
            setattr(self, name, getattr(self, name).index_select(1, rows))

    def _reserve(self, capacity: int) -> None:
        read = max(self.lengths, default=0)
        for name in self._stores:
            store = getattr(self, name)
            larger = store.new_zeros(*store.shape[:3], capacity, store.shape[4])
            larger[:, :, :, :read] = store[:, :, :, :read]
            setattr(self, name, larger)

    def plan(self, lengths: Sequence[int], mask: Mask) -> Step:
        """Where `lengths` new tokens of each sequence go.

        Raises:
            ValueError: the number of lengths is not the batch, the capacity is exceeded, or the mask cannot
                be continued from a cache.
        """
        if len(lengths) != self.batch:
            raise ValueError(f"the cache holds {self.batch} sequences, but {len(lengths)} lengths were given")
        after = [old + new for old, new in zip(self.lengths, lengths, strict=True)]
        if max(after, default=0) > self.capacity:
            raise ValueError(
                f"the cache holds {self.capacity} tokens a sequence, but {max(after)} are needed"
            )
        device = self.device
        query, read = max(lengths, default=0), max(after, default=0)
        packed = not any(self.lengths)
        if query == 1 and min(lengths) == 1 and len(set(after)) == 1 and not packed:
            empty = torch.empty(0, dtype=torch.long, device=device)
            return Step(empty, empty, empty, 1, read, read - 1, None, False)
        rows = [row for row, new in enumerate(lengths) for _ in range(new)]
        slots = [slot for new in lengths for slot in range(new)]
        row, slot = torch.tensor([rows, slots], dtype=torch.long, device=device).view(2, -1)
        old = torch.tensor(self.lengths, dtype=torch.long, device=device)
        seen = None
        if not packed:
            if not isinstance(mask, Causal | CausalWithImages):
                raise ValueError(f"{type(mask).__name__} cannot go on from a cache that has been read into")
            last = old[:, None] + torch.arange(query, device=device)
            seen = torch.arange(read, device=device) <= last[:, :, None]
            if isinstance(mask, CausalWithImages):
                seen = seen | self._pictures(mask, row, slot, old, query, read)
            seen = seen[:, None]
        return Step(row, old[row] + slot, slot, query, read, None, seen, packed)

    @staticmethod
    def _pictures(
        mask: CausalWithImages, row: Tensor, slot: Tensor, old: Tensor, query: int, read: int
    ) -> Tensor:
        """Which new tokens share a picture; a picture that is half in the cache stays causal to that half."""
        table = mask.picture.new_full((len(old), read + query), -1)
        table[row, old[row] + slot] = mask.picture
        own = table.gather(1, old[:, None] + torch.arange(query, device=old.device))[:, :, None]
        all_of = table[:, None, :read]
        return (
            (own >= 0)
            & (all_of >= 0)
            & (torch.ones_like(own, dtype=torch.bool) if mask.everywhere else own == all_of)
        )


class KVCache(PaddedCache):
    """Preallocated keys and values: one tensor `[layers, batch, 2 * kv_heads, capacity, size]`.

    Args:
        layers: number of layers.
        batch: sequences.
        capacity: tokens a sequence.
        kv_heads: heads of keys, and of values.
        size: of a head.
        device: of the tensor.
        dtype: of the tensor.
    """

    def __init__(
        self,
        *,
        layers: int,
        batch: int,
        capacity: int,
        kv_heads: int,
        size: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(stores=["both"], batch=batch, capacity=capacity, device=device)
        self.kv_heads = kv_heads
        self.both = torch.zeros(layers, batch, 2 * kv_heads, capacity, size, device=device, dtype=dtype)

    def write(self, layer: int, step: Step, both: Tensor) -> None:
        """Store the keys and then the values, `[T, 2 * kv_heads, size]`, of one layer's new tokens."""
        store = self.both[layer]
        if step.even is not None:
            store[:, :, step.even] = both
        else:
            store[step.row, :, step.column] = both.to(store.dtype)

    def attend(self, layer: int, step: Step, query: Tensor) -> Tensor:
        """What new tokens `[T, heads, size]` read from the cache.

        Query heads that share a kv head become rows of one product, so that the cache is never repeated.
        """
        heads, size = query.shape[1:]
        kv_heads = self.kv_heads
        keys, values = self.both[layer, :, :, : step.read].split(kv_heads, dim=1)
        if step.even is not None:
            grouped = query.view(self.batch, kv_heads, heads // kv_heads, size)
            return F.scaled_dot_product_attention(grouped, keys, values).view(-1, heads, size)
        padded = query.new_zeros(self.batch, step.query, heads, size)
        padded[step.row, step.slot] = query
        grouped = padded.view(self.batch, step.query, kv_heads, -1, size).permute(0, 2, 3, 1, 4)
        share = grouped.shape[2]
        seen = None if step.seen is None else step.seen.repeat(1, 1, share, 1)
        out = F.scaled_dot_product_attention(grouped.flatten(2, 3), keys, values, attn_mask=seen)
        out = out.unflatten(2, (share, step.query)).permute(0, 3, 1, 2, 4).flatten(2, 3)
        return out[step.row, step.slot]
