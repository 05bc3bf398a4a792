"""`MTPDrafter`: multi-token modules draft for a batch of sequences, as they were trained.

The module of depth j reads, at place t, what the depth before gave there (the trunk at depth 0) and token
t + 1 + j, and attends to all its earlier places. So each depth has a cache of its own. Of n tokens that were
read and the next token x_n, three depths draft a, b, c; `.` was read in an earlier round:

    depth 0   reads   . . x_n          gives at place n - 1  a
    depth 1   reads   . x_n a          gives at place n - 1  b
    depth 2   reads   x_n a b          gives at place n - 1  c

Places that read a draft hold only if it is accepted. When r tokens stand, place t of every depth up to k - 1
has read nothing else where t < r - k; all later places are read again in the next round, max(k, a + 1) of
them after a drafts were accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from vlmloom.components.contracts.drafter import Drafter, Pick
from vlmloom.components.contracts.packed import Packed

if TYPE_CHECKING:
    from vlmloom.components.head.mtp import MTPHead

STORES = ("hidden", "inputs", "places")


class MTPDrafter(Drafter):
    """Drafts of a multi-token head.

    What the trunk gave is kept for every token: two rows a token, whatever the depth (modules with tables of
    their own need an embedding each).

    Args:
        head: the head, bound.
        batch: sequences.
        capacity: the most tokens of a sequence.
        depth: k, how many tokens are drafted.
    """

    def __init__(self, head: MTPHead, *, batch: int, capacity: int, depth: int) -> None:
        language, _ = head.bound
        weight = next(head.parameters())
        super().__init__(batch=batch, capacity=capacity, device=weight.device)
        self.head, self.depth = head, depth
        self.done = [0] * batch
        self.caches = [language.block_cache(batch, capacity) for _ in range(depth)]
        self.hidden = weight.new_zeros(batch, capacity, head.width)
        # Tables differ only between modules that have their own.
        self.tables = depth if head.own_tables and not head.shared else 1
        self.inputs = weight.new_zeros(batch, capacity, self.tables, head.width)
        self.places = torch.zeros(batch, capacity, 3, dtype=torch.long, device=weight.device)
        # Visual tokens that the head leaves out; the host counts them.
        self.left_out = np.zeros((batch, capacity), bool)

    def read(self, hidden: Tensor, batch: Packed) -> None:
        """See `Drafter.read`."""
        visual, _ = self.head.visual_tokens(batch)
        inputs = torch.stack([self.head.inputs(batch, visual, table) for table in range(self.tables)], dim=1)
        left_out = batch.modality.cpu().numpy() != 0 if self.head.leaves_visual_out else None
        self._read(hidden, inputs, batch.positions, batch.lengths, left_out)

    def read_on(self, hidden: Tensor, ids: Tensor, positions: Tensor, lengths: list[int]) -> None:
        """See `Drafter.read_on`."""
        self._read(hidden, self._embed(ids), positions, lengths, None)

    def _embed(self, ids: Tensor) -> Tensor:
        """What stands for tokens of text: `[tokens, tables, width]`."""
        return torch.stack([self.head.embed(ids, table) for table in range(self.tables)], dim=1)

    def _read(
        self,
        hidden: Tensor,
        inputs: Tensor,
        positions: Tensor,
        lengths: list[int],
        left_out: np.ndarray | None,
    ) -> None:
        row, column = _spread(self.lengths, lengths)
        if left_out is not None:
            self.left_out[row, column] = left_out
        at = torch.from_numpy(row).to(self.device), torch.from_numpy(column).to(self.device)
        self.hidden[at], self.inputs[at], self.places[at] = hidden, inputs, positions.t()
        self.advance(lengths, positions)

    def draft(self, ids: Tensor, pick: Pick) -> None:
        """See `Drafter.draft`."""
        lengths = [held - done for held, done in zip(self.lengths, self.done, strict=True)]
        row, column = _spread(self.done, lengths)
        ends = np.cumsum(lengths) - 1
        ahead = np.arange(len(row)) + 1
        ahead[ends] = ends
        skipped = self.left_out[row, column]
        at = torch.from_numpy(row).to(self.device), torch.from_numpy(column).to(self.device)
        last, onward = (torch.from_numpy(index).to(self.device) for index in (ends, ahead))
        state, inputs, places = self.hidden[at], self.inputs[at], self.places[at]
        following = torch.tensor(self.following, device=self.device)
        for depth in range(self.depth):
            # Every place moves one token on; the last one of a sequence reads the newest.
            inputs, places = inputs.index_select(0, onward), places.index_select(0, onward)
            inputs[last] = self._embed(ids).to(inputs.dtype)
            places[last] = (following + depth)[:, None]
            skipped = skipped[ahead]
            skipped[ends] = False
            table = inputs[:, min(depth, self.tables - 1)]
            state = self._advance(state, table, places.t(), lengths, skipped, depth)
            ids = pick(self.head.logits(state.index_select(0, last), depth), depth)
        self.done = list(self.lengths)

    def _advance(
        self,
        state: Tensor,
        inputs: Tensor,
        places: Tensor,
        lengths: list[int],
        skipped: np.ndarray,
        depth: int,
    ) -> Tensor:
        """The states after one depth; places whose token is left out carry theirs on."""
        cache = self.caches[depth]
        if not skipped.any():
            return self.head.step(inputs, state, places, lengths, depth, cache)[0]
        kept = np.flatnonzero(~skipped)
        counts = [int((~part).sum()) for part in np.split(skipped, np.cumsum(lengths)[:-1])]
        at = torch.from_numpy(kept).to(self.device)
        out, _ = self.head.step(inputs[at], state[at], places[:, at], counts, depth, cache)
        return state.index_copy(0, at, out)

    def roll_back(self, lengths: Sequence[int], following: Sequence[int] | None = None) -> None:
        """See `Cache.roll_back`; after drafts it is called whether or not any of them was refused."""
        super().roll_back(lengths, following)
        done = [max(0, min(held, left - self.depth)) for held, left in zip(self.done, lengths, strict=True)]
        for depth, cache in enumerate(self.caches):
            # What was read at this depth is one row a place, less the tokens that were left out.
            gone = [
                was - now - int(self.left_out[row, now + 1 + depth : was + 1 + depth].sum())
                for row, (was, now) in enumerate(zip(self.done, done, strict=True))
            ]
            cache.roll_back([held - less for held, less in zip(cache.lengths, gone, strict=True)])
        for row, left in enumerate(lengths):
            self.left_out[row, left:] = False
        self.done = done

    def _keep(self, rows: Tensor) -> None:
        chosen = rows.tolist()
        for name in STORES:
            setattr(self, name, getattr(self, name).index_select(0, rows))
        self.left_out = self.left_out[chosen]
        self.done = [self.done[row] for row in chosen]
        for cache in self.caches:
            cache.keep(chosen)

    def _reserve(self, capacity: int) -> None:
        more = capacity - self.capacity
        for name in STORES:
            store = getattr(self, name)
            setattr(
                self, name, torch.cat([store, store.new_zeros(len(store), more, *store.shape[2:])], dim=1)
            )
        self.left_out = np.pad(self.left_out, ((0, 0), (0, more)))
        for cache in self.caches:
            cache.reserve(capacity)


def _spread(starts: Sequence[int], lengths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each of `lengths` places from `starts` on.

    >>> _spread([4, 0], [1, 2])
    (array([0, 1, 1]), array([4, 0, 1]))
    """
    counts = np.asarray(lengths)
    row = np.repeat(np.arange(len(counts)), counts)
    first = np.repeat(np.asarray(starts) - (np.cumsum(counts) - counts), counts)
    return row, np.arange(len(row)) + first
