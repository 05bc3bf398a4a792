"""Blocks of embeddings from every rank, passed from neighbour to neighbour in both directions at once.

No rank ever gathers by broadcast, and each block's gradient travels back along the way it came. With four
ranks, rank 0 receives the blocks of ranks 3 and 1, then that of rank 2 by way of rank 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, distributed

Group = Any
"""A process group; None is the default one."""


def world(group: Group = None) -> tuple[int, int]:
    """This rank and the number of ranks; (0, 1) where nothing is distributed."""
    if not distributed.is_available() or not distributed.is_initialized():
        return 0, 1
    return distributed.get_rank(group), distributed.get_world_size(group)


def counts(own: int, device: torch.device, group: Group = None) -> list[int]:
    """How many rows each rank holds."""
    _, ranks = world(group)
    if ranks == 1:
        return [own]
    found = [torch.zeros(1, dtype=torch.long, device=device) for _ in range(ranks)]
    distributed.all_gather(found, torch.tensor([own], device=device), group=group)
    return [int(count) for count in found]


def _swap(outgoing: list[tuple[Tensor, int]], incoming: list[tuple[Tensor, int]], group: Group) -> None:
    """Send and receive `(tensor, rank)` pairs, all at once."""
    if group is not None:
        outgoing = [(part, distributed.get_global_rank(group, rank)) for part, rank in outgoing]
        incoming = [(part, distributed.get_global_rank(group, rank)) for part, rank in incoming]
    operations = [distributed.P2POp(distributed.isend, part, rank, group) for part, rank in outgoing]
    operations += [distributed.P2POp(distributed.irecv, part, rank, group) for part, rank in incoming]
    for request in distributed.batch_isend_irecv(operations):
        request.wait()


class _PassOn(torch.autograd.Function):
    """Hand blocks to neighbours and take theirs; on the way back, hand back the gradients.

    `moves` are `(hop, rows)` pairs: a block goes to rank + hop, and one of `rows` rows comes from rank - hop.
    """

    @staticmethod
    def forward(ctx: Any, group: Group, moves: tuple[tuple[int, int], ...], *blocks: Tensor) -> tuple:
        rank, ranks = world(group)
        ctx.group, ctx.moves, ctx.rows = group, moves, [len(block) for block in blocks]
        received = []
        outgoing, incoming = [], []
        for block, (hop, rows) in zip(blocks, moves, strict=True):
            received.append(block.new_empty(rows, *block.shape[1:]))
            outgoing.append((block.contiguous(), (rank + hop) % ranks))
            incoming.append((received[-1], (rank - hop) % ranks))
        _swap(outgoing, incoming, group)
        return tuple(received)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple:
        rank, ranks = world(ctx.group)
        returned = []
        outgoing, incoming = [], []
        for gradient, rows, (hop, _) in zip(gradients, ctx.rows, ctx.moves, strict=True):
            returned.append(gradient.new_empty(rows, *gradient.shape[1:]))
            outgoing.append((gradient.contiguous(), (rank - hop) % ranks))
            incoming.append((returned[-1], (rank + hop) % ranks))
        _swap(outgoing, incoming, ctx.group)
        return None, None, *returned


def blocks(embeddings: Tensor, labels: Tensor, group: Group = None) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Every rank's embeddings and labels, this rank's first.

    Gradients with respect to a block are returned to its rank. Every rank has to draw all blocks.

    Args:
        embeddings: `[n, D]`; n may differ between ranks.
        labels: `[n]` whole numbers that travel along.
        group: the process group.

    Yields:
        The rank that a block comes from, its embeddings and its labels.
    """
    rank, ranks = world(group)
    yield rank, embeddings, labels
    if ranks == 1:
        return
    held = counts(len(embeddings), embeddings.device, group)
    # What moves right comes from the left, and the other way round.
    right = left = (embeddings, labels)
    for step in range(1, ranks // 2 + 1):
        last = 2 * step == ranks
        hops = (1,) if last else (1, -1)
        moves = tuple((hop, held[(rank - hop * step) % ranks]) for hop in hops)
        sent = (right,) if last else (right, left)
        features = _PassOn.apply(group, moves, *(features for features, _ in sent))
        tags = _PassOn.apply(group, moves, *(tags for _, tags in sent))
        right = (features[0], tags[0])
        yield (rank - step) % ranks, *right
        if not last:
            left = (features[1], tags[1])
            yield (rank + step) % ranks, *left
