"""Rows of every rank, passed from neighbour to neighbour in both directions at once.

No rank ever gathers by broadcast. With four ranks, rank 0 receives the blocks of ranks 3 and 1, then that of
rank 2 by way of rank 3. What a rank finds of a block travels on with it and home at the end; none is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

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


class Sum(NamedTuple):
    """What grows with a block on its way.

    Attributes:
        own: `[n, ...]` for this rank's block, changed in place.
        neutral: where the sums of other blocks start.
        join: adds what the others have found, as `torch.add`.
    """

    own: Tensor
    neutral: float = 0.0
    join: Callable[..., Tensor] = torch.add


def carried(parts: Sequence[Tensor], sums: Sequence[Sum], group: Group = None) -> Iterator[list[Tensor]]:
    """Every rank's rows, this rank's first, each with the sums that belong to them; no autograd.

    What is added to a sum goes on with its block and home at the end: once all blocks are drawn, `Sum.own`
    holds what all ranks have added for this one. Two blocks and their sums are held at a time, however many
    ranks there are. Every rank has to draw all blocks.

    Args:
        parts: each `[n, ...]`; n may differ between ranks.
        sums: of this rank's rows.
        group: the process group.

    Yields:
        The parts of a rank, then the sums, to be changed in place.
    """
    rank, ranks = world(group)
    yield [*parts, *(one.own for one in sums)]
    if ranks == 1:
        return
    held = counts(len(parts[0]), parts[0].device, group)
    blocks = {hop: [part.contiguous() for part in parts] for hop in (1, -1)}
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
                rows = len(blocks[hop][0])
                blocks[hop] += [one.own.new_full((rows, *one.own.shape[1:]), one.neutral) for one in sums]
            yield blocks[hop]
    far = {1: ranks // 2, -1: (ranks - 1) // 2}
    returned = {hop: [torch.empty_like(one.own) for one in sums] for hop, steps in far.items() if steps}
    outgoing, incoming = [], []
    for hop, back in returned.items():
        outgoing += [(part, (rank - hop * far[hop]) % ranks) for part in blocks[hop][len(parts) :]]
        incoming += [(part, (rank + hop * far[hop]) % ranks) for part in back]
    _swap(outgoing, incoming, group)
    for back in returned.values():
        for one, part in zip(sums, back, strict=True):
            one.join(one.own, part, out=one.own)
