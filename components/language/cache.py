"""`KVCache`: keys and values of what a language part has read, padded per sequence."""

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


class KVCache(Cache):
    """Preallocated keys and values: `[layers, batch, kv_heads, capacity, size]` each.

    Sequences may differ in length. The prompt is read packed; later each forward pass adds any number of
    tokens to each sequence.

    Attributes:
        lengths: how much of each sequence has been read.
        following: the rotary position of the next text token of each sequence (a picture takes more tokens
            than positions).
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
        shape = (layers, batch, kv_heads, capacity, size)
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self.capacity = capacity
        self.lengths = [0] * batch
        self.following = [0] * batch

    @property
    def batch(self) -> int:
        """The number of sequences."""
        return len(self.lengths)

    def positions(self, lengths: Sequence[int]) -> Tensor:
        """Positions `[3, sum(lengths)]` of the next so many text tokens of each sequence."""
        places = [
            start + step for start, new in zip(self.following, lengths, strict=True) for step in range(new)
        ]
        return torch.tensor(places, dtype=torch.long, device=self.keys.device).expand(3, -1)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these sequences only, in this order (finished ones are dropped)."""
        index = torch.tensor(rows, dtype=torch.long, device=self.keys.device)
        self.keys, self.values = self.keys.index_select(1, index), self.values.index_select(1, index)
        self.lengths = [self.lengths[row] for row in rows]
        self.following = [self.following[row] for row in rows]

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
        device = self.keys.device
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

    def write(self, layer: int, step: Step, key: Tensor, value: Tensor) -> None:
        """Store the keys and values `[T, kv_heads, size]` of one layer's new tokens."""
        for store, new in ((self.keys[layer], key), (self.values[layer], value)):
            if step.even is not None:
                store[:, :, step.even] = new
            else:
                store[step.row, :, step.column] = new.to(store.dtype)

    def attend(self, layer: int, step: Step, query: Tensor) -> Tensor:
        """What new tokens `[T, heads, size]` read from the cache.

        Query heads that share a kv head become rows of one product, so that the cache is never repeated.
        """
        keys, values = self.keys[layer, :, :, : step.read], self.values[layer, :, :, : step.read]
        heads, size = query.shape[1:]
        kv_heads = keys.shape[1]
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

    def advance(self, lengths: Sequence[int], positions: Tensor) -> None:
        """Count the new tokens as read, once all layers have stored them."""
        highest = positions.amax(0).tolist()
        start = 0
        for row, new in enumerate(lengths):
            if new:
                self.following[row] = max(highest[start : start + new]) + 1
                self.lengths[row] += new
                start += new
