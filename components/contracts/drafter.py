"""A head that guesses tokens ahead of the language part: `Drafter`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

from torch import Tensor

from vlmloom.components.contracts.cache import Cache
from vlmloom.components.contracts.packed import Packed

Pick = Callable[[Tensor, int], Tensor]
"""`(logits [batch, vocab], number of the draft) -> ids [batch]`: chooses a draft."""


class Drafter(Cache):
    """What a head keeps of a batch of sequences in order to draft for them; made by `Head.drafter`.

    It reads what the language part has read, token by token the same, and forgets with it: `lengths` are
    those of the language part's cache, and `keep`, `roll_back` and `reserve` are called beside it.
    """

    @abstractmethod
    def read(self, hidden: Tensor, batch: Packed) -> None:
        """Take note of prompts, or of turns that are appended.

        Args:
            hidden: `[T, width]`, final states of the language part.
            batch: what it has read, with the positions at which it stands.
        """

    @abstractmethod
    def read_on(self, hidden: Tensor, ids: Tensor, positions: Tensor, lengths: list[int]) -> None:
        """Take note of text that goes on.

        Args:
            hidden: `[T, width]`, final states of the language part.
            ids: `[T]`.
            positions: `[3, T]`.
            lengths: the new tokens of each sequence.
        """

    @abstractmethod
    def draft(self, ids: Tensor, pick: Pick) -> None:
        """Draft after `ids [batch]`, the next token of each sequence, which has not been read yet.

        Drafts are what `pick` returns, one call a depth.
        """
