"""`PaddedCache`, `KVCache`: what a language part has read, with places for `capacity` tokens a sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from vlmloom.components.contracts.cache import Cache
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
        single: every sequence gets one new token, and has been read before.
    """

    row: Tensor
    column: Tensor
    slot: Tensor
    query: int
    read: int
    even: int | None
    seen: Tensor | None
    packed: bool
    single: bool = False


class PaddedCache(Cache):
    """A cache whose tensors hold `capacity` places a sequence.

    Sequences may differ in length. The prompt is read packed; later each forward pass adds any number of
    tokens to each sequence.

    Args:
        stores: names of the attributes that hold tensors `[batch, heads, capacity, size]`, one a layer.
        batch: sequences.
        capacity: the most tokens of a sequence.
        device: of the tensors.
    """

    def __init__(self, *, stores: Sequence[str], batch: int, capacity: int, device: torch.device) -> None:
        super().__init__(batch=batch, capacity=capacity, device=device)
        self._stores = tuple(stores)

    def _each(self) -> Iterator[list[Tensor]]:
        return (getattr(self, name) for name in self._stores)

    def _keep(self, rows: Tensor) -> None:
        for store in self._each():
            store[:] = [layer.index_select(0, rows) for layer in store]

    def _reserve(self, capacity: int) -> None:
        read = max(self.lengths, default=0)
        for store in self._each():
            for number, layer in enumerate(store):
                store[number] = layer.new_zeros(*layer.shape[:2], capacity, layer.shape[3])
                store[number][:, :, :read] = layer[:, :, :read]

    def plan(self, lengths: Sequence[int], mask: Mask) -> Step:
        """Where `lengths` new tokens of each sequence go.

        Raises:
            ValueError: the number of lengths is not the batch, the capacity is exceeded, or the mask cannot
                be continued from a cache.
        """
        if len(lengths) != self.batch:
            raise ValueError(f"the cache holds {self.batch} sequences, but {len(lengths)} lengths were given")
        after = [old + new for old, new in zip(self.lengths, lengths, strict=True)]
        device = self.device
        query, read = max(lengths, default=0), max(after, default=0)
        self._need(read)
        packed = not any(self.lengths)
        single = not packed and query == 1 and min(lengths) == 1
        if single and len(set(after)) == 1:
            empty = torch.empty(0, dtype=torch.long, device=device)
            return Step(empty, empty, empty, 1, read, read - 1, None, False, single=True)
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
        return Step(row, old[row] + slot, slot, query, read, None, seen, packed, single)

    def plan_one(self) -> Step:
        """Where one new token of text of each sequence goes.

        All that changes from step to step is in tensors, so that one compiled program serves every step;
        what is read is as wide as `seen`.

        Raises:
            ValueError: the cache is full.
        """
        row = torch.arange(self.batch, device=self.device)
        column = torch.tensor(self.lengths, dtype=torch.long, device=self.device)
        read = max(self.lengths) + 1
        self._need(read)
        seen = torch.arange(read, device=self.device) <= column[:, None, None, None]
        torch._dynamo.mark_dynamic(seen, 3)
        for store in self._each():
            for layer in store:
                torch._dynamo.mark_dynamic(layer, 2)
        return Step(row, column, torch.zeros_like(row), 1, 0, None, seen, packed=False, single=True)

    def _need(self, tokens: int) -> None:
        if tokens > self.capacity:
            raise ValueError(f"the cache holds {self.capacity} tokens a sequence, but {tokens} are needed")

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
    """Preallocated keys and values: a tensor `[batch, 2 * kv_heads, capacity, size]` for each layer.

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
        shape = (batch, 2 * kv_heads, capacity, size)
        self.both = [torch.zeros(shape, device=device, dtype=dtype) for _ in range(layers)]

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
        read = step.read if step.seen is None else step.seen.shape[-1]
        keys, values = self.both[layer][:, :, :read].split(kv_heads, dim=1)
        if step.single:
            grouped = query.view(len(query), kv_heads, heads // kv_heads, size)
            out = F.scaled_dot_product_attention(grouped, keys, values, attn_mask=step.seen)
            return out.reshape(-1, heads, size)
        padded = query.new_zeros(self.batch, step.query, heads, size)
        padded[step.row, step.slot] = query
        grouped = padded.view(self.batch, step.query, kv_heads, -1, size).permute(0, 2, 3, 1, 4)
        share = grouped.shape[2]
        seen = None if step.seen is None else step.seen.repeat(1, 1, share, 1)
        out = F.scaled_dot_product_attention(grouped.flatten(2, 3), keys, values, attn_mask=seen)
        out = out.unflatten(2, (share, step.query)).permute(0, 3, 1, 2, 4).flatten(2, 3)
        return out[step.row, step.slot]
