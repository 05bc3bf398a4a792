"""What a language part has read, so that it reads on without reading it again: `Cache`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor


class Cache(ABC):
    """The state of a batch of sequences that a language part has read; made by `Language.cache`.

    The book of what has been read is kept here, on the host, and is the same for every cache. Subclasses hold
    tensors in which every token has a place of its own, so that what is forgotten need not be erased.

    Two prompts, the second with a picture of 1 x 3 tokens, are read; then a token each, then the first
    sequence is done:

        read of 4 and 6 tokens     lengths [4, 6]  following [4, 6]
        advance([1, 1])            lengths [5, 7]  following [5, 7]
        roll_back([4, 7])          lengths [4, 7]  following [4, 7]
        keep([1])                  lengths [7]     following [7]

    (Text counts on by one; a picture may take fewer positions than tokens, see `Language.positions`.)

    Args:
        batch: sequences.
        capacity: the most tokens of a sequence.
        device: of the tensors.

    Attributes:
        lengths: the tokens of each sequence that have been read.
        following: the rotary position of the next text token of each sequence.
        capacity: as above; `reserve` raises it.
    """

    def __init__(self, *, batch: int, capacity: int, device: torch.device) -> None:
        self.lengths = [0] * batch
        self.following = [0] * batch
        self.capacity = capacity
        self.device = device

    @property
    def batch(self) -> int:
        """The number of sequences."""
        return len(self.lengths)

    def positions(self, lengths: Sequence[int]) -> Tensor:
        """Positions `[3, sum(lengths)]` of the next so many text tokens of each sequence."""
        places = [
            start + step for start, new in zip(self.following, lengths, strict=True) for step in range(new)
        ]
        return torch.tensor(places, dtype=torch.long, device=self.device).expand(3, -1)

    def advance(self, lengths: Sequence[int], positions: Tensor | None = None) -> None:
        """Count new tokens as read, once every layer has stored them.

        Args:
            lengths: the new tokens of each sequence.
            positions: theirs, `[3, sum(lengths)]`; None where they are text that goes on, which spares a look
                at the device.
        """
        start = 0
        highest = None if positions is None else positions.amax(0).tolist()
        for row, new in enumerate(lengths):
            if new:
                self.lengths[row] += new
                self.following[row] = (
                    self.following[row] + new if highest is None else max(highest[start : start + new]) + 1
                )
                start += new

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these sequences only, in this order.

        Finished sequences are dropped so; a row that is named several times goes on in several ways.
        """
        if list(rows) == list(range(self.batch)):
            return
        self._keep(torch.tensor(rows, dtype=torch.long, device=self.device))
        self.lengths = [self.lengths[row] for row in rows]
        self.following = [self.following[row] for row in rows]

    def roll_back(self, lengths: Sequence[int], following: Sequence[int] | None = None) -> None:
        """Forget all but the first so many tokens of each sequence.

        Args:
            lengths: what remains of each sequence.
            following: the positions of what comes next; None where all that is forgotten is text.

        Raises:
            ValueError: more would remain than has been read.
        """
        for row, (held, left) in enumerate(zip(self.lengths, lengths, strict=True)):
            if not 0 <= left <= held:
                raise ValueError(f"sequence {row} holds {held} tokens; it cannot be rolled back to {left}")
        if following is None:
            gone = (held - left for held, left in zip(self.lengths, lengths, strict=True))
            following = [place - less for place, less in zip(self.following, gone, strict=True)]
        self.lengths, self.following = list(lengths), list(following)

    def reserve(self, capacity: int) -> None:
        """Make room for so many tokens a sequence; what has been read stays."""
        if capacity > self.capacity:
            self._reserve(capacity)
            self.capacity = capacity

    @abstractmethod
    def _keep(self, rows: Tensor) -> None:
        """Select sequences in every tensor."""

    @abstractmethod
    def _reserve(self, capacity: int) -> None:
        """Enlarge every tensor."""
