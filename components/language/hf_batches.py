"""Models of transformers that cannot be packed: batches of samples of like length, and a cache a sequence."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from vlmloom.components.contracts.cache import Cache

SLACK = 1.25
"""How much longer the longest sample of a batch may be than its shortest."""


def batches_of(lengths: Sequence[int]) -> list[list[int]]:
    """Samples that run together, those of no tokens left out.

    >>> batches_of([5, 0, 9, 4, 10])
    [[3, 0], [2, 4]]
    """
    batches: list[list[int]] = []
    for row in sorted((row for row, length in enumerate(lengths) if length), key=lengths.__getitem__):
        if batches and lengths[row] <= SLACK * lengths[batches[-1][0]]:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def pad(parts: Sequence[Tensor]) -> Tensor:
    """Samples `[L, ...]` as `[B, longest, ...]`, the last of each repeated on the right."""
    longest = max(map(len, parts))
    return torch.stack(
        [torch.cat([part, part[-1:].expand(longest - len(part), *part.shape[1:])]) for part in parts]
    )


def unpad(batch: Tensor, lengths: Sequence[int]) -> list[Tensor]:
    """The samples of a batch again."""
    return [own[:length] for own, length in zip(batch, lengths, strict=True)]


class RowCaches(Cache):
    """One cache of transformers a sequence, so that sequences may differ in length without padding.

    Args:
        make: an empty cache of transformers.
        recurrent: whether what is kept is a state, from which nothing can be taken back.
        batch: sequences.
        capacity: tokens a sequence.
        device: of positions.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        *,
        recurrent: bool,
        batch: int,
        capacity: int,
        device: torch.device,
    ) -> None:
        super().__init__(batch=batch, capacity=capacity, device=device)
        self.make, self.recurrent = make, recurrent
        self.rows = [make() for _ in range(batch)]

    def check(self, lengths: Sequence[int]) -> None:
        """Refuse what does not fit.

        Raises:
            ValueError: the number of lengths is not the batch, or the capacity is exceeded.
        """
        if len(lengths) != self.batch:
            raise ValueError(f"the cache holds {self.batch} sequences, but {len(lengths)} lengths were given")
        most = max((old + new for old, new in zip(self.lengths, lengths, strict=True)), default=0)
        if most > self.capacity:
            raise ValueError(f"the cache holds {self.capacity} tokens a sequence, but {most} are needed")

    def roll_back(self, lengths: Sequence[int], following: Sequence[int] | None = None) -> None:
        """Forget all but the first so many tokens of each sequence (see `Cache.roll_back`).

        Raises:
            ValueError: more would remain than has been read, or a recurrent model would forget a part.
        """
        before = list(self.lengths)
        if self.recurrent and any(0 < left < held for held, left in zip(before, lengths, strict=True)):
            raise ValueError("language/hf: the state of a recurrent model cannot be rolled back")
        super().roll_back(lengths, following)
        for row, (held, left) in enumerate(zip(before, lengths, strict=True)):
            if not left:
                self.rows[row] = self.make()
            elif left < held:
                self.rows[row].crop(left - held)

    def _keep(self, rows: Tensor) -> None:
        chosen = rows.tolist()
        # A row that goes on in several ways is copied, since each of them writes into its own.
        self.rows = [
            copy.deepcopy(self.rows[row]) if row in chosen[:place] else self.rows[row]
            for place, row in enumerate(chosen)
        ]

    def _reserve(self, capacity: int) -> None:
        """These caches grow by themselves."""
