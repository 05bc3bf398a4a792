"""Blocks of embeddings from every rank, passed from neighbour to neighbour in both directions at once.

No rank ever gathers by broadcast. With four ranks, rank 0 receives the blocks of ranks 3 and 1, then that of
rank 2 by way of rank 3. Under `blocks` each block's gradient travels back along the way it came, for which
every block is kept; under `carried` it is known at once and travels on with the block, of which none is kept.
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


def carried(
    embeddings: Tensor, labels: Tensor, group: Group = None
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Every rank's embeddings and labels, this rank's first, each with a sum for the gradient; no autograd.

    What is added to a sum goes on with its block and home at the end: once all blocks are drawn, the first
    sum holds what all ranks have added for this one. Two blocks and their sums are held at a time, however
    many ranks there are.

    Args:
        embeddings: `[n, D]`; n may differ between ranks.
        labels: `[n]` whole numbers that travel along.
        group: the process group.

    Yields:
        The embeddings and labels of a rank, and the sum `[n, D]`, to be changed in place.
    """
    rank, ranks = world(group)
    own = torch.zeros_like(embeddings)
    yield embeddings, labels, own
    if ranks == 1:
        return
    held = counts(len(embeddings), embeddings.device, group)
    blocks = {hop: [embeddings.contiguous(), labels.contiguous()] for hop in (1, -1)}
    for step in range(1, ranks // 2 + 1):
        hops = (1,) if 2 * step == ranks else (1, -1)
        outgoing, incoming = [], []
        for hop in hops:
            rows = held[(rank - hop * step) % ranks]
            received = [part.new_empty(rows, *part.shape[1:]) for part in blocks[hop]]
            outgoing += [(part, (rank + hop) % ranks) for part in blocks[hop]]
            incoming += [(part, (rank - hop) % ranks) for part in received]
            blocks[hop] = received
        _swap(outgoing, incoming, group)
        for hop in hops:
            if step == 1:
                blocks[hop].append(torch.zeros_like(blocks[hop][0]))
            yield tuple(blocks[hop])  # type: ignore[misc]
    far = {1: ranks // 2, -1: (ranks - 1) // 2}
    returned = {hop: torch.empty_like(own) for hop, steps in far.items() if steps}
    _swap(
        [(blocks[hop][2], (rank - hop * far[hop]) % ranks) for hop in returned],
        [(part, (rank + hop * far[hop]) % ranks) for hop, part in returned.items()],
        group,
    )
    for part in returned.values():
        own += part
