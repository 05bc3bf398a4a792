"""Self-speculative decoding: a head drafts several tokens, one forward pass of the model checks them all.

Greedy, a draft stands if it is the token that the model would have chosen: the output is that of plain
decoding. Drawn, a draft x with share q(x) at the head and p(x) at the model stands with probability
min(1, p(x) / q(x)), and where one falls the token is drawn from max(p - q, 0): whatever the drafts are,
tokens are distributed as p. Both p and q are shares after all processors, each at its own place, which sees
the drafts before it as if they had been read.

Reference: Leviathan et al., arXiv 2211.17192; Chen et al., arXiv 2302.01318.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from vlmloom.assemblies.generation.reading import Reading
from vlmloom.assemblies.generation.rows import Emission, Rows


@dataclass
class Acceptance:
    """How many tokens the forward passes of the model gained, the token that it adds itself included.

    One count a row and pass, of what the row kept (see `Emission.gained`): drafts behind its end are none of
    it. The pass that reads the prompts is not counted.

    Attributes:
        gained: tokens -> how often a row gained so many.
    """

    gained: Counter[int] = field(default_factory=Counter)

    def count(self, emissions: Iterable[Emission]) -> None:
        """Add what one pass gave."""
        self.gained.update(emission.gained for emission in emissions)

    @property
    def mean(self) -> float:
        """Tokens a row and forward pass; 1 is plain decoding."""
        return sum(tokens * count for tokens, count in self.gained.items()) / max(self.gained.total(), 1)

    def __str__(self) -> str:
        shares = ", ".join(
            f"{tokens}: {count / self.gained.total():.0%}" for tokens, count in sorted(self.gained.items())
        )
        return f"{self.mean:.2f} tokens a forward pass ({shares or 'none'})"


def speculate(reading: Reading, rows: Rows, acceptance: Acceptance | None = None) -> Iterator[list[Emission]]:
    """Go on with every row until it ends; gives what each open row gained, pass by pass.

    Rows may accept unequal numbers of drafts: each is rolled back to its own length. The last token of a row
    is not read.

    Args:
        reading: with a drafter, prompts read.
        rows: as open.
        acceptance: what is counted into.
    """
    newest: Tensor | None = None
    while len(rows):
        drafted = newest is not None
        emissions, newest = _one_pass(reading, rows, newest)
        if drafted and acceptance is not None:
            acceptance.count(emissions)
        yield emissions


@torch.inference_mode()
def _one_pass(reading: Reading, rows: Rows, newest: Tensor | None) -> tuple[list[Emission], Tensor]:
    """Draft after the newest token of each row and check; gives the newest of the rows that go on."""
    if newest is None:
        following = rows.choose(reading.model.logits(reading.state))
        rows.write(following)
        gained = [[token] for token in following.tolist()]
    else:
        accepted, drafts, following = _draft_and_check(reading, rows, newest)
        gained = [
            [*own[:stand], new]
            for own, stand, new in zip(drafts.tolist(), accepted.tolist(), following.tolist(), strict=True)
        ]
    emissions, kept = rows.take(gained)
    return emissions, reading.kept(kept, following)


def _draft_and_check(reading: Reading, rows: Rows, newest: Tensor) -> tuple[np.ndarray, Tensor, Tensor]:
    """How many drafts of each row stand, the drafts, and the token after those that stand."""
    assert reading.drafter is not None
    drafts = _Drafts(rows)
    reading.drafter.draft(newest, drafts.pick)
    # A row that is near its limit has no use for all drafts, and no room for them.
    counts = np.minimum(reading.depth, rows.left - 1)
    places = drafts.places(counts)
    hidden = reading.read_on(drafts.after(newest).flatten()[places], (counts + 1).tolist())
    accepted, following = drafts.check(reading.model.logits(hidden), counts)
    rows.write(following, accepted)
    reading.roll_back((np.array(reading.cache.lengths) - counts + accepted).tolist())
    return accepted, drafts.matrix(), following


class _Drafts:
    """The drafts of one pass for every row, and which of them stand."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.own = np.arange(len(rows))
        self.ids: list[Tensor] = []
        self.shares: list[Tensor] = []

    def pick(self, logits: Tensor, number: int) -> Tensor:
        """Choose a draft of every row (see `contracts.drafter.Pick`)."""
        rows, place = self.rows, self.rows.lengths + number
        scores = rows.scores(logits, self.own, place)
        if rows.sampling.greedy:
            chosen = scores.argmax(-1)
        else:
            self.shares.append(scores.softmax(-1))
            chosen = rows.draw(self.shares[-1], self.own, place, "draft")
        rows.write(chosen, number)
        self.ids.append(chosen)
        return chosen

    def matrix(self) -> Tensor:
        """`[rows, drafts]`."""
        return torch.stack(self.ids, dim=1)

    def after(self, following: Tensor) -> Tensor:
        """`[rows, 1 + drafts]`: the next token of each row, then its drafts."""
        return torch.stack([following, *self.ids], dim=1)

    def places(self, counts: np.ndarray) -> Tensor:
        """Where the tokens that are checked stand in the flattened `after`."""
        wide = np.arange(len(self.ids) + 1) <= counts[:, None]
        return self._tensor(np.flatnonzero(wide))

    def check(self, logits: Tensor, counts: np.ndarray) -> tuple[np.ndarray, Tensor]:
        """How many drafts of each row stand, and the token after them.

        Args:
            logits: of the model at the checked places, `[sum(counts + 1), V]`.
            counts: `[rows]` drafts of each row that are checked.
        """
        rows = self.rows
        row = np.repeat(self.own, counts + 1)
        first = np.cumsum(counts + 1) - (counts + 1)
        slot = np.arange(len(row)) - first[row]
        scores = rows.scores(logits, row, rows.lengths[row] + slot)
        checked = np.flatnonzero(slot < counts[row])
        row, slot = row[checked], slot[checked]
        drafts = self.matrix()[self._tensor(row), self._tensor(slot)]
        if rows.sampling.greedy:
            best = scores.argmax(-1)
            accepted = self._leading(best[self._tensor(checked)] == drafts, row, slot)
            return accepted, best[self._tensor(first + accepted)]
        shares = scores.softmax(-1)
        guessed = torch.stack(self.shares, dim=1)
        ours = shares[self._tensor(checked), drafts]
        theirs = guessed[self._tensor(row), self._tensor(slot), drafts]
        stands = rows.noise(row, rows.lengths[row] + slot, "accept") * theirs < ours
        accepted = self._leading(stands, row, slot)
        target = shares[self._tensor(first + accepted)]
        # Where a draft fell, the token comes from what the model gives more than the head did.
        fell = np.flatnonzero(accepted < counts)
        at = self._tensor(fell)
        rest = (target[at] - guessed[at, self._tensor(accepted[fell])]).clamp_(min=0)
        target[at] = torch.where(rest.sum(-1, keepdim=True) > 0, rest, target[at])
        return accepted, rows.draw(target, self.own, rows.lengths + accepted, "choose")

    def _leading(self, stands: Tensor, row: np.ndarray, slot: np.ndarray) -> np.ndarray:
        """How many of each row's drafts stand before the first that falls."""
        matrix = np.zeros((len(self.own), len(self.ids)), np.int64)
        matrix[row, slot] = stands.cpu().numpy()
        return matrix.cumprod(1).sum(1)

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self.rows.device)
