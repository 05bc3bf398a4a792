"""Logits processors: small callables that change the scores of the next token before it is chosen.

Each means what the processor of the same name means in transformers, prompt ids included in the repetition
penalty; the order of `Sampling.processors` is theirs too.

Shapes: N places of which the next token is wanted, V tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Prefixes(NamedTuple):
    """What comes before each place: the first `length[n]` ids of `ids[row[n]]`.

    Several places of one row, as drafts make them, so share one line of ids.

    Attributes:
        ids: `[rows, L]`.
        row: `[N]`.
        length: `[N]`, at least 1 each.
        longest: the greatest of them, on the host.
    """

    ids: Tensor
    row: Tensor
    length: Tensor
    longest: int


Processor = Callable[[Tensor, Prefixes], Tensor]
"""`(scores [N, V] in fp32, prefixes) -> scores [N, V]`; may work in place."""


@dataclass(frozen=True)
class RepetitionPenalty:
    """Scores of ids that stand in the prefix are divided by `penalty` where positive, else multiplied.

    Reference: arXiv 1909.05858; transformers, RepetitionPenaltyLogitsProcessor.
    """

    penalty: float

    def __call__(self, scores: Tensor, prefixes: Prefixes) -> Tensor:
        """See `Processor`."""
        ids = prefixes.ids[prefixes.row, : prefixes.longest]
        inside = torch.arange(ids.shape[1], device=ids.device) < prefixes.length[:, None]
        # Beyond the prefix the first id stands in: writing one score twice changes nothing.
        ids = torch.where(inside, ids, ids[:, :1])
        found = scores.gather(1, ids)
        return scores.scatter_(1, ids, torch.where(found < 0, found * self.penalty, found / self.penalty))


@dataclass(frozen=True)
class Forbid:
    """Ids that are never produced, such as the placeholder of visual tokens."""

    ids: tuple[int, ...]

    def __call__(self, scores: Tensor, prefixes: Prefixes) -> Tensor:
        """See `Processor`."""
        for token in self.ids:
            scores[:, token] = -torch.inf
        return scores


@dataclass(frozen=True)
class Temperature:
    """Scores divided by a temperature; transformers, TemperatureLogitsWarper."""

    temperature: float

    def __call__(self, scores: Tensor, prefixes: Prefixes) -> Tensor:
        """See `Processor`."""
        return scores.div_(self.temperature)


@dataclass(frozen=True)
class TopK:
    """All but the k best are shut out, ties with the last of them stay; transformers, TopKLogitsWarper."""

    k: int

    def __call__(self, scores: Tensor, prefixes: Prefixes) -> Tensor:
        """See `Processor`."""
        least = scores.topk(min(self.k, scores.shape[1])).values[:, -1:]
        return scores.masked_fill_(scores < least, -torch.inf)


@dataclass(frozen=True)
class TopP:
    """The fewest best tokens whose probabilities sum to p stay; transformers, TopPLogitsWarper."""

    p: float

    def __call__(self, scores: Tensor, prefixes: Prefixes) -> Tensor:
        """See `Processor`."""
        ascending, order = scores.sort(descending=False)
        out = ascending.softmax(-1).cumsum(-1) <= 1 - self.p
        out[:, -1] = False
        return scores.masked_fill_(torch.zeros_like(out).scatter_(1, order, out), -torch.inf)


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Attributes:
        temperature: 0 takes the best token; above 0 tokens are drawn.
        top_p: the share of probability that is drawn from.
        top_k: how many tokens are drawn from; 0 is all.
        repetition_penalty: see `RepetitionPenalty`; 1 is none.
        seed: of the draws; each row has draws of its own (see `noise`).
        forbidden: ids that are never produced.
        further: processors that run before all others.

    Raises:
        ValueError: a number is out of its range.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    seed: int = 0
    forbidden: tuple[int, ...] = ()
    further: tuple[Processor, ...] = ()

    def __post_init__(self) -> None:
        for name, value, right, rule in (
            ("temperature", self.temperature, self.temperature >= 0, "0 or more"),
            ("top_p", self.top_p, 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("top_k", self.top_k, self.top_k >= 0, "0 or more"),
            ("repetition_penalty", self.repetition_penalty, self.repetition_penalty > 0, "above 0"),
        ):
            if not right:
                raise ValueError(f"{name} is {value}; it must be {rule}")

    @property
    def greedy(self) -> bool:
        """Whether the best token is taken."""
        return self.temperature == 0

    def processors(self) -> list[Processor]:
        """In the order in which they run; those that only shape a draw are left out where none is made."""
        found: list[Processor] = list(self.further)
        if self.repetition_penalty != 1:
            found.append(RepetitionPenalty(self.repetition_penalty))
        if self.forbidden:
            found.append(Forbid(self.forbidden))
        if not self.greedy:
            if self.temperature != 1:
                found.append(Temperature(self.temperature))
            if self.top_k:
                found.append(TopK(self.top_k))
            if self.top_p < 1:
                found.append(TopP(self.top_p))
        return found
