"""The processes of one training: which of them this is, what they know together, and who writes.

Files are written by the first process alone. A training of one process needs no process group.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TypeVar

from lightning.pytorch.utilities import rank_zero_only
from torch import distributed

from vlmloom.registry.errors import UserError

T = TypeVar("T")

PATIENCE = 1800.0
"""Seconds that the others wait for what the first process prepares."""


def leave(status: int) -> None:
    """End a process of several, when everything is written; one that is alone goes on.

    Threads of the process group, which a device mesh may hold longer than the group is known, now and then
    abort an interpreter that shuts down (SIGABRT, status 134). So it is not shut down.
    """
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def rank() -> int:
    """The number of this process, which is known before there is a process group."""
    return int(getattr(rank_zero_only, "rank", None) or 0)


def first() -> bool:
    """Whether this is the process that writes files and prints."""
    return rank() == 0


def together() -> bool:
    """Whether there are several processes that can speak to one another."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def gathered(value: T) -> list[T]:
    """The value of every process, in the order of their numbers; all of them have to call it."""
    if not together():
        return [value]
    values: list[T | None] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values  # type: ignore[return-value]


def wait_for(path: Path, patience: float = PATIENCE) -> None:
    """Wait for a file that the first process writes, when there is no process group yet.

    Raises:
        UserError: it does not come.
    """
    end = time.monotonic() + patience
    while not path.exists():
        if time.monotonic() > end:
            raise UserError(
                f"process {rank()}: {path} did not come from process 0 in {patience:.0f} s; what process 0 "
                "printed says why"
            )
        time.sleep(0.05)
