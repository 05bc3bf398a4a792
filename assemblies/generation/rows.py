"""`Rows`: the sequences of a batch that are still being written, and how their next tokens are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from vlmloom.assemblies.generation.noise import streams, uniform
from vlmloom.assemblies.generation.processors import Prefixes, Sampling


class Emission(NamedTuple):
    """New tokens of one row.

    Attributes:
        row: its number in the batch that was asked.
        ids: what it gained; the id that ended it is not among them.
        end: how the row ended with these, None while it goes on.
    """

    row: int
    ids: list[int]
    end: Literal["stop", "limit"] | None

    @property
    def gained(self) -> int:
        """Tokens that the model gave the row, the one that ended it included."""
        return len(self.ids) + (self.end == "stop")


class Rows:
    """What is known of each open row besides what the model has read.

    Args:
        prompts: `[T]` ids of the prompts, packed.
        lengths: of the prompts.
        copies: rows that answer each prompt.
        sampling: how tokens are chosen.
        stops: ids that end a row.
        limits: the most tokens of each row.
        keys: of the rows' draws.
        drafts: the most tokens that are noted before they are certain.

    Attributes:
        numbers: `[rows]` the number of each open row in the batch that was asked.
        lengths: `[rows]` tokens known, prompt and answer.
        left: `[rows]` tokens that it may still gain.
    """

    def __init__(
        self,
        prompts: Tensor,
        lengths: Sequence[int],
        *,
        copies: int = 1,
        sampling: Sampling,
        stops: Sequence[int],
        limits: Sequence[int],
        keys: Sequence[int],
        drafts: int = 0,
    ) -> None:
        self.sampling, self.stops = sampling, frozenset(stops)
        self.processors = sampling.processors()
        self.device = prompts.device
        self.lengths, self.left = np.repeat(np.array(lengths, np.int64), copies), np.array(limits, np.int64)
        self.numbers = np.arange(len(self.lengths))
        self.streams = streams(sampling.seed, keys)
        # Ids are written down only where somebody looks at them.
        self.ids: Tensor | None = None
        if self.processors:
            longest = int((self.lengths + self.left).max(initial=0))
            self.ids = prompts.new_zeros(len(self), longest + drafts)
            for prompt, own in enumerate(prompts.split(list(lengths))):
                self.ids[prompt * copies : (prompt + 1) * copies, : len(own)] = own

    def __len__(self) -> int:
        return len(self.numbers)

    def scores(
        self, logits: Tensor, row: np.ndarray | None = None, length: np.ndarray | None = None
    ) -> Tensor:
        """Logits after all processors, in fp32.

        Args:
            logits: `[N, V]`.
            row: `[N]` the row of each place; None is one place a row.
            length: `[N]` how many of its ids come before it; None is all that are known.
        """
        scores = logits.float()
        if self.ids is None:
            return scores
        row = np.arange(len(self)) if row is None else row
        length = self.lengths if length is None else length
        prefixes = Prefixes(self.ids, self._tensor(row), self._tensor(length), int(length.max(initial=1)))
        for processor in self.processors:
            scores = processor(scores, prefixes)
        return scores

    def choose(self, logits: Tensor) -> Tensor:
        """The next token of every row, from logits `[rows, V]`."""
        scores = self.scores(logits)
        if self.sampling.greedy:
            return scores.argmax(-1)
        return self.draw(scores.softmax(-1), np.arange(len(self)), self.lengths, "choose")

    def draw(self, shares: Tensor, row: np.ndarray, place: np.ndarray, purpose: str) -> Tensor:
        """Draw from shares `[N, V]`, which need not sum to 1, with the numbers of these rows and places."""
        total = shares.double().cumsum(-1)
        number = self.noise(row, place, purpose)[:, None] * total[:, -1:]
        # The first token whose cumulated share is above the number; it has a share of its own.
        return torch.searchsorted(total, number, right=True).squeeze(1).clamp_(max=shares.shape[1] - 1)

    def noise(self, row: np.ndarray, place: np.ndarray, purpose: str) -> Tensor:
        """Numbers in [0, 1), one for each of these places of these rows."""
        return self._tensor(uniform(self.streams[row], place, purpose))

    def write(self, ids: Tensor, ahead: int | np.ndarray = 0) -> None:
        """Note tokens `[rows]` that stand `ahead` places after the known ones, certain or not."""
        if self.ids is not None:
            self.ids[torch.arange(len(self), device=self.device), self._tensor(self.lengths + ahead)] = ids

    def take(self, gained: Sequence[list[int]]) -> tuple[list[Emission], list[int]]:
        """Add tokens to every row and close those that ended.

        The first of a row's tokens that is a stop, or that fills it, ends it; the rest is dropped.

        Returns:
            What each row gained, and which rows go on, as places among those that were open.
        """
        emissions: list[Emission] = []
        kept: list[int] = []
        for place, (number, left, new) in enumerate(
            zip(self.numbers.tolist(), self.left.tolist(), gained, strict=True)
        ):
            stop = next((at for at, token in enumerate(new) if token in self.stops), None)
            if stop is not None and stop < left:
                emissions.append(Emission(number, new[:stop], "stop"))
            elif len(new) >= left:
                emissions.append(Emission(number, new[:left], "limit"))
            else:
                emissions.append(Emission(number, new, None))
                kept.append(place)
        counts = np.array([len(new) for new in gained], dtype=np.int64)
        self.lengths, self.left = self.lengths + counts, self.left - counts
        if len(kept) < len(self):
            self.keep(kept)
        return emissions, kept

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows only."""
        chosen = np.array(rows, dtype=np.int64)
        self.numbers, self.lengths, self.left, self.streams = (
            values[chosen] for values in (self.numbers, self.lengths, self.left, self.streams)
        )
        if self.ids is not None:
            self.ids = self.ids.index_select(0, self._tensor(chosen))

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self.device)
