"""`Reading`: what a model has read of a batch of sequences, and how it reads on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from vlmloom.components.contracts.drafter import Drafter
from vlmloom.components.contracts.head import Head
from vlmloom.components.contracts.language import Language
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.language.glm import GLM
from vlmloom.registry.errors import BadInput

if TYPE_CHECKING:
    from vlmloom.assemblies.spliced import Spliced


class Reading:
    """A cache, the drafter beside it where tokens are drafted, and the state after each last token.

    Args:
        model: an assembly, in evaluation mode.
        batch: sequences.
        capacity: the most tokens of a sequence.
        depth: how many tokens are drafted; 0 drafts none.
        compiled: new tokens are read one by one by a compiled program (see `GLM.read_one`).

    Attributes:
        state: `[batch, width]` the final hidden state of the last token of each sequence.

    Raises:
        ValueError: there is no head that drafts, or it cannot draft so far; drafts are asked for together
            with a compiled program, or the language part has none.
    """

    state: Tensor

    def __init__(
        self, model: Spliced, *, batch: int, capacity: int, depth: int = 0, compiled: bool = False
    ) -> None:
        self.model, self.depth, self.compiled = model, depth, compiled
        if compiled and depth:
            raise ValueError(
                "compiled: found speculative too, which reads several tokens at once; one would be right"
            )
        if compiled and not isinstance(model.language, GLM):
            raise ValueError(f"compiled: found {model.language.registered_name}; language/glm would be right")
        self.drafter: Drafter | None = None
        with _memory(batch, capacity):
            self.cache = model.language.cache(batch, capacity)
            if depth:
                self.drafter = drafting_head(model).drafter(batch=batch, capacity=capacity, depth=depth)

    def read(self, batch: Packed) -> Tensor:
        """Read prompts, or turns that are appended to what was read; gives all final hidden states.

        Args:
            batch: with the positions at which it stands in its sequences.
        """
        hidden, _ = self.model.hidden(batch, self.cache)
        if self.drafter is not None:
            self.drafter.read(hidden, batch)
        self.state = hidden[batch.boundaries[1:].long() - 1]
        return hidden

    def read_on(self, ids: Tensor, lengths: list[int]) -> Tensor:
        """Read so many new tokens of text of each sequence; gives their final hidden states."""
        language = self.model.language
        if self.compiled and isinstance(language, GLM):
            return language.read_one(language.embed(ids), self.cache)
        positions = None if self.drafter is None else self.cache.positions(lengths)
        hidden, _ = language(language.embed(ids), None, lengths, cache=self.cache)
        if self.drafter is not None and positions is not None:
            self.drafter.read_on(hidden, ids, positions, lengths)
        return hidden

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these sequences only."""
        self.cache.keep(rows)
        if self.drafter is not None:
            self.drafter.keep(rows)
        self.state = self.state[torch.tensor(rows, dtype=torch.long, device=self.state.device)]

    def kept(self, rows: Sequence[int], newest: Tensor) -> Tensor:
        """Drop the rows that ended; gives what is left of their newest tokens.

        Where none is left all that was read stays, for a session that goes on with it.
        """
        if rows and len(rows) < len(newest):
            self.keep(rows)
        return newest if len(rows) == len(newest) else newest[torch.tensor(rows, device=newest.device).long()]

    def roll_back(self, lengths: Sequence[int], following: Sequence[int] | None = None) -> None:
        """Forget all but the first so many tokens (see `Cache.roll_back`); `state` is the caller's to set."""
        self.cache.roll_back(lengths, following)
        if self.drafter is not None:
            self.drafter.roll_back(lengths, following)

    def reserve(self, capacity: int) -> None:
        """Make room for so many tokens a sequence."""
        with _memory(self.cache.batch, capacity):
            self.cache.reserve(capacity)
            if self.drafter is not None:
                self.drafter.reserve(capacity)


def within_reach(language: Language, batch: Packed, limits: Sequence[int]) -> list[int]:
    """The limits of answers to these prompts, none longer than the positions allow.

    The last token of an answer is not read, so it needs no position.

    Args:
        language: whose `max_positions` bounds them.
        batch: the prompts.
        limits: of each answer; all answers to a prompt stand together, as many to each.
    """
    if language.max_positions is None:
        return list(limits)
    ends = [int(part.max()) + 1 for part in batch.positions.split(batch.lengths, dim=1)]
    copies = len(limits) // len(ends)
    return [
        min(limit, max(0, language.max_positions - ends[row // copies] + 1))
        for row, limit in enumerate(limits)
    ]


@contextmanager
def _memory(batch: int, capacity: int) -> Iterator[None]:
    """Tell in one line that there is no memory for a cache."""
    try:
        yield
    except RuntimeError as error:
        if "allocate" not in str(error) and not isinstance(error, torch.OutOfMemoryError):
            raise
        raise BadInput(
            f"generation: no memory for {batch} sequences of {capacity:,} tokens, prompt and answer; "
            "a lower limit of the answer would be right"
        ) from None


def drafting_head(model: Spliced) -> Head:
    """The first head that drafts.

    Raises:
        ValueError: there is none.
    """
    for head in model.heads().values():
        if head.drafts:
            return head
    raise ValueError(
        f"speculative decoding needs a head that drafts, such as head/mtp or head/mmtp; "
        f"found {', '.join(model.heads())}"
    )
