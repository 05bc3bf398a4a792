"""Which keys each query attends to: rows that see all there is, and chunks of rows whose keys are selected.

With `top_k` = 2, two samples of 4 and 2 tokens, causal: rows 0 and 1 of the first and all of the second have
no more than two keys to see, so they are *dense*; rows 2 and 3 of the first are one *chunk*, whose keys reach
from the sample's first token to row 3.

    A0 1 . . .          dense   [A0, A1], [B0, B1]
    A1 1 1 . .          chunk   rows A2 to A3, keys A0 to A3, of which each row selects two
    A2 ? ? ? .
    A3 ? ? ? ?   B0 1 .
                 B1 1 1
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vlmloom.components.contracts.mask import (
    Bidirectional,
    BlockCausal,
    Causal,
    CausalWithImages,
    Mask,
    MessageTree,
    SlidingWindow,
)

WORK = 2**25
"""How many numbers a chunk's largest intermediate holds: 128 MB in fp32."""


class Chunk(NamedTuple):
    """Rows `[first, last)` of the flat axis, in the sample that begins at `start`; keys `[start, reach)`."""

    start: int
    first: int
    last: int
    reach: int


class Dense(NamedTuple):
    """The first `rows` rows of the sample that begins at `start` and is `length` long."""

    start: int
    rows: int
    length: int


class Rows(NamedTuple):
    """The rows of a pack in order.

    Attributes:
        dense: of each sample, rows that see no more than `top_k` keys, and attend to all they see.
        chunks: of each sample, rows whose keys are selected.
    """

    dense: list[Dense]
    chunks: list[list[Chunk]]

    @property
    def all_dense(self) -> bool:
        """Whether nothing has to be selected."""
        return not any(self.chunks)


class Chosen(NamedTuple):
    """The keys that queries attend to.

    Attributes:
        places: `[Q, K]` keys, counted from the first that the queries could see.
        seen: `[Q, K]` whether there was such a key; a query that sees fewer than K has places left over.
    """

    places: Tensor
    seen: Tensor


def divide(lengths: Sequence[int], mask: Mask, top_k: int | None, per_row: int, per_key: int) -> Rows:
    """Divide the rows of a pack.

    Args:
        lengths: of the samples.
        mask: who sees whom.
        top_k: how many keys a row selects; None selects none, and all rows are dense.
        per_row: numbers that a row of a chunk needs.
        per_key: numbers that a row needs for each token of its sample.
    """
    dense, chunks, start = [], [], 0
    for length in lengths:
        head = length if top_k is None or length <= top_k else top_k if backward(mask) else 0
        dense.append(Dense(start, head, length))
        chunks.append(cut(dense[-1], start + head, start + length, mask, per_row, per_key))
        start += length
    return Rows(dense, chunks)


def cut(sample: Dense, first: int, end: int, mask: Mask, per_row: int, per_key: int) -> list[Chunk]:
    """Cut rows `[first, end)` of a sample into chunks of no more than `WORK` numbers (see `divide`)."""
    step = max(1, WORK // max(per_row, per_key * sample.length, 1))
    return [
        Chunk(
            sample.start,
            row,
            min(row + step, end),
            min(row + step, end) if backward(mask) else sample.start + sample.length,
        )
        for row in range(first, end, step)
    ]


def backward(mask: Mask) -> bool:
    """Whether nobody sees forward: the first rows of a long sample then have nothing to select from."""
    return isinstance(mask, Causal | SlidingWindow | MessageTree)


def part_of(mask: Mask, rows: Tensor) -> Mask:
    """The mask of some rows of a pack, for masks that name tokens."""
    if isinstance(mask, CausalWithImages):
        return CausalWithImages(mask.picture[rows], mask.everywhere)
    return MessageTree(mask.branch[rows]) if isinstance(mask, MessageTree) else mask


def visible(mask: Mask, chunk: Chunk, device: torch.device) -> Bool[Tensor, "rows keys"]:
    """Which keys of its sample each row of a chunk sees.

    Raises:
        TypeError: no such mask.
    """
    row = torch.arange(chunk.first - chunk.start, chunk.last - chunk.start, device=device)[:, None]
    key = torch.arange(chunk.reach - chunk.start, device=device)
    causal = key <= row
    if isinstance(mask, Causal):
        return causal
    if isinstance(mask, Bidirectional):
        return torch.ones_like(causal)
    if isinstance(mask, SlidingWindow):
        return causal & (key > row - mask.window)
    if isinstance(mask, BlockCausal):
        return key // mask.block <= row // mask.block
    if isinstance(mask, MessageTree):
        own, others = mask.branch[chunk.first : chunk.last, None], mask.branch[chunk.start : chunk.reach]
        return causal & ((others == 0) | (others == own))
    if isinstance(mask, CausalWithImages):
        own, others = mask.picture[chunk.first : chunk.last, None], mask.picture[chunk.start : chunk.reach]
        shared = (others >= 0) & (own >= 0)
        return causal | (shared if mask.everywhere else shared & (own == others))
    raise TypeError(f"language/glm_dsa: {type(mask).__name__} is not a mask of contracts.mask")


def choose(
    scores: Float[Tensor, "*queries keys"], seen: Bool[Tensor, "*queries keys"] | None, top_k: int
) -> Chosen:
    """The `top_k` keys of highest score among those that a query sees.

    Which of several equal scores are among them is `torch.topk`'s affair, as in transformers, and may differ
    between a token that is read alone and one in a batch: heads so few that none looks at a key give it a 0.
    """
    if seen is not None:
        scores = scores.masked_fill(~seen, -torch.inf)
    best = scores.topk(top_k, dim=-1)
    return Chosen(best.indices, best.values > -torch.inf)


def pairs(length: int, top_k: int | None) -> int:
    """Twice the pairs of query and key in a causal sample, by the convention that causal is half the square.

    Rows before `top_k` count half of its square, the others `top_k` keys each.
    """
    head = length if top_k is None else min(length, top_k)
    return head * head + 2 * (length - head) * head


def gathered(memory: Float[Tensor, "keys size"], places: Int[Tensor, "rows chosen"]) -> Tensor:
    """The rows of a memory that were chosen, `[rows, chosen, size]`."""
    return memory.index_select(0, places.flatten()).view(*places.shape, -1)
