"""A mistake that several processes of one training meet is told once: `tell`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import timedelta

PATIENCE = timedelta(seconds=20)
"""How long processes that stop wait for one another, so that what all of them met is told by the first."""
TOLD, HEARD = "vlmloom/told", "vlmloom/heard"


def tell(lines: Sequence[str]) -> None:
    """Print lines on standard error; what the first of several processes tells, the others do not repeat.

    There need not be a process group yet: a launcher says in the environment where the processes meet.
    """
    rank, world = _place()
    if not rank:
        print(*lines, sep="\n", file=sys.stderr, flush=True)
    if world > 1 and not _as_the_first(rank, world, "\n".join(lines)) and rank:
        print(*(f"process {rank}: {line}" for line in lines), sep="\n", file=sys.stderr)


def _place() -> tuple[int, int]:
    """The number of this process, and how many there are; Lightning clears the environment when it fails."""
    if distributed := sys.modules.get("torch.distributed"):
        if distributed.is_available() and distributed.is_initialized():
            return distributed.get_rank(), distributed.get_world_size()
    number = os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0
    world = int(os.environ.get("WORLD_SIZE") or 1)
    return (int(number) if world > 1 else 0), world


def _as_the_first(rank: int, world: int, text: str) -> bool:
    """Whether the first process tells the same; it stays until the others know, or are out of patience."""
    from torch.distributed import rendezvous

    try:
        store, *_ = next(rendezvous("env://", rank, world, timeout=PATIENCE))
        store.set_timeout(PATIENCE)
        if rank:
            theirs = store.get(TOLD).decode()
            store.set(f"{HEARD}/{rank}", "")
            return theirs == text
        store.set(TOLD, text)
        store.wait([f"{HEARD}/{other}" for other in range(1, world)])
    except (RuntimeError, ValueError, OSError):  # The others are not there, or have no mistake to tell.
        return rank == 0
    return True
