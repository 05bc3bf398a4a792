"""Which blocks of keys a block of queries visits, from the lengths alone: `rows_and_columns`.

A token sees keys within one run, `[first, last)`, of the flat axis. A block of queries visits what the runs
of its tokens cover, and need not look at the mask where a block of keys lies within the run of each of them.

Two segments of 3 and 5, causal, blocks of 2; `*` looks at the mask, `#` does not, `.` is not visited:

    A0 A1    * . . .
    A2 B0    * * . .
    B1 B2    . * * .
    B3 B4    . * # *
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vlmloom.components.contracts.mask import (
    Bidirectional,
    BlockCausal,
    CausalWithImages,
    Mask,
    MessageTree,
    SlidingWindow,
)

BLOCK = 128
"""Tokens of a block."""

Blocks = tuple[np.ndarray, np.ndarray]
"""How many blocks of keys each block of queries visits `[R]`, and which, first of all `[R, C]` (int32)."""


def runs(mask: Mask, lengths: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The run of keys that each token may see, and where what it sees for certain ends, `[T]` each.

    What depends on tensors (pictures, branches) is not looked at: the run then holds all that might be seen.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    ends = np.repeat(np.cumsum(sizes), sizes)
    first = ends - np.repeat(sizes, sizes)
    place = np.arange(len(ends))
    if isinstance(mask, Bidirectional):
        return first, ends, ends
    if isinstance(mask, BlockCausal):
        last = np.minimum(ends, first + ((place - first) // mask.block + 1) * mask.block)
        return first, last, last
    if isinstance(mask, SlidingWindow):
        first = np.maximum(first, place - mask.window + 1)
    if isinstance(mask, CausalWithImages):
        return first, ends, place + 1
    if isinstance(mask, MessageTree):
        return first, place + 1, first
    return first, place + 1, place + 1


def rows_and_columns(mask: Mask, lengths: Sequence[int], block: int = BLOCK) -> tuple[Blocks, Blocks]:
    """The blocks that are visited with a look at the mask, and those without.

    Args:
        mask: who sees whom.
        lengths: of the segments, zeros allowed.
        block: tokens of a block.
    """
    first, last, certain = runs(mask, lengths)
    starts = np.arange(0, len(first), block)
    columns = np.arange(len(starts))
    visited = (columns >= (np.minimum.reduceat(first, starts) // block)[:, None]) & (
        columns < -(-np.maximum.reduceat(last, starts) // block)[:, None]
    )
    full = (columns >= -(-np.maximum.reduceat(first, starts) // block)[:, None]) & (
        columns < (np.minimum.reduceat(certain, starts) // block)[:, None]
    )
    return _listed(visited & ~full), _listed(visited & full)


def _listed(chosen: np.ndarray) -> Blocks:
    order = np.argsort(~chosen, axis=1, kind="stable")
    return chosen.sum(1).astype(np.int32), order.astype(np.int32)
