"""`PreferenceView`: two answers to one question, of which the task's own verifier finds one better."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch

from vlmloom.components.contracts.chance import chance
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.contracts.processor import Encoded
from vlmloom.components.contracts.sample import CorruptPicture, Sample
from vlmloom.components.contracts.suite import Suite
from vlmloom.pipelines.data.packing import Draw, Size
from vlmloom.pipelines.data.views import CORRUPT, Drawn, View

ATTEMPTS = 8
"""How many answers are tried before an item is left out."""
OTHERS = 1 << 20
"""Among how many items of the same task and split another one's answer is drawn."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Rejected:
    """A worse answer.

    Attributes:
        answer: its text.
        kind: `choice` (another of the closed set), `other` (of another item of the task), `corrupt`, `empty`.
        gap: how much worse it is than the gold answer, by the verifier.
    """

    answer: str
    kind: str
    gap: float


def worse(suite: Suite, sample: Sample) -> Rejected | None:
    """An answer that the task's verifier finds worse than the gold one; a pure function of the sample.

    None where none was found: what nobody can tell apart teaches nothing.
    """
    for kind, answer in _candidates(suite, sample):
        reward = suite.check(sample, answer)
        if reward.value is not None and reward.error is None and reward.value < 1.0:
            return Rejected(answer, kind, 1.0 - reward.value)
    return None


def _candidates(suite: Suite, sample: Sample) -> Iterator[tuple[str, str]]:
    """Answers to try, by kind."""
    others = [choice for choice in sample.choices if choice != sample.answer]
    kinds = [*(("choice",) if others else ()), "other", "corrupt"]
    for attempt in range(ATTEMPTS):
        place = (sample.task, sample.split, sample.index, attempt)
        kind, dice = kinds[chance("rejected", *place) % len(kinds)], chance("answer", *place)
        # Without one in eight, a reward likes saying nothing better than the right answer (docs/log.md).
        if chance("empty", *place) % 8 == 0:
            yield "empty", ""
        elif kind == "choice":
            yield kind, others[dice % len(others)]
        elif kind == "other":
            yield kind, suite.tasks[sample.task].plan(sample.split, dice % OTHERS).answer
        else:
            yield kind, corrupted(sample.answer, dice)


def corrupted(answer: str, dice: int) -> str:
    """An answer with one of its digits changed, or one of its letters where it has no digit.

    >>> corrupted("[10,20]", 1), corrupted("dog", 4)
    ('[11,20]', 'dbg')
    """
    places = [found.start() for found in re.finditer(r"\d", answer)]
    signs = "0123456789" if places else LETTERS
    places = places or [place for place, sign in enumerate(answer) if sign.isalpha()]
    if not places:
        return answer + LETTERS[dice % 26]
    place = places[dice % len(places)]
    fresh = [sign for sign in signs if sign != answer[place].lower()]
    return answer[:place] + fresh[dice // len(places) % len(fresh)] + answer[place + 1 :]


@dataclass
class DrawnPair(Drawn):
    """An item with the tokens of the worse answer beside those of the better one."""

    rejected: Encoded | None = None
    gap: float = 0.0


class PreferenceView(View):
    """Every item twice, its gold answer and a worse one, one after the other; one pair weighs 1.

    Items without a worse answer are left out. Where nothing sees pictures they are withheld.
    """

    def _plan(self, index: int) -> Sample:
        sample = self.suite.plan(self.split, index)
        if "vision" in self.specs:
            return sample
        return replace(sample, prompt=[part for part in sample.prompt if isinstance(part, str)])

    @lru_cache(maxsize=8192)  # noqa: B019 (a view lives as long as its run)
    def rejected(self, index: int) -> Rejected | None:
        """The worse answer of an item."""
        return worse(self.suite, self.suite.plan(self.split, index))

    def size(self, index: int) -> Size:
        """See `Size`: both sequences."""
        sample, rejected = self.plan(index), self.rejected(index)
        if rejected is None:
            return Size(0)
        try:
            grids = self.grids(sample)
        except CorruptPicture:
            return CORRUPT
        texts = (sample, replace(sample, answer=rejected.answer))
        return Size(sum(self.processor.length(text, grids) for text in texts), 1.0)

    def draw(self, draw: Draw) -> DrawnPair:
        """Render once, encode twice."""
        drawn, rejected = super().draw(draw), self.rejected(draw.item)
        pair = DrawnPair(**vars(drawn))
        if rejected is not None and drawn.corrupt is None:
            pair.rejected = self.encoded(replace(drawn.sample, answer=rejected.answer))
            pair.gap = rejected.gap
        return pair

    def collate(self, items: Sequence[Drawn]) -> Packed:
        """See the class; `extras["gap"]` `[pairs]`."""
        sequences: list[Drawn] = []
        gaps = []
        for item in items:
            sequences.append(item)
            if isinstance(item, DrawnPair) and item.corrupt is None:
                sequences.append(replace(item, encoded=item.rejected))
                gaps.append(item.gap)
        batch = super().collate(sequences)
        batch.extras["gap"] = torch.tensor(gaps, dtype=torch.float32)
        return batch
