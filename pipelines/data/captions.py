"""`CaptionView`: pictures and what is said of them, in one language or several."""

from __future__ import annotations

import hashlib
from bisect import bisect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

import torch

from vlmloom.components.contracts.chance import chance
from vlmloom.components.contracts.intake import Intake
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.contracts.processor import Encoded, Processor
from vlmloom.components.contracts.resizing import Resolution
from vlmloom.components.contracts.sample import CorruptPicture, Sample, Scene, describe
from vlmloom.components.contracts.suite import Suite
from vlmloom.pipelines.data.packing import Size
from vlmloom.pipelines.data.views import CORRUPT, Drawn, View
from vlmloom.registry.errors import UserError

ENGLISH = {"en": 1.0}


class CaptionView(View):
    """A picture (or clip) and its caption, for contrastive stages: the first of every sample that has one.

    The caption is what somebody wrote, or the scene in words. Where it can be had in several languages, one
    is drawn by their shares, the same for a run that was resumed.

    The batch is `Packed` captions; `visuals` holds one item a caption, and `extras["pairs"]` numbers the
    captions, equal numbers for equal captions.
    """

    def __init__(
        self,
        suite: Suite,
        processor: Processor,
        intake: Intake,
        *,
        split: str,
        resolution: Resolution | None = None,
        languages: Mapping[str, float] = ENGLISH,
    ) -> None:
        super().__init__(suite, processor, intake, split=split, resolution=resolution)
        self.words = {language: suite.words(language) for language in languages}
        self.languages = languages
        self.longest = getattr(getattr(intake, "text", None), "max_positions", None)

    def _language(self, sample: Sample, known: Collection[str]) -> str:
        """One of the known languages, by their shares."""
        shares = {language: share for language, share in self.languages.items() if language in known}
        drawn = chance("language", sample.task, sample.split, sample.index)
        point = drawn / 2**64 * sum(shares.values())
        edges = list(accumulate(shares.values()))
        return list(shares)[min(bisect(edges, point), len(edges) - 1)]

    def _caption(self, sample: Sample) -> str:
        """What somebody wrote about the first picture.

        Raises:
            UserError: there is nothing in a language that is asked for.
        """
        known = [language for language in sample.captions if language in self.languages]
        if not known:
            found = f"captions in {', '.join(sample.captions)}" if sample.captions else "no caption"
            raise UserError(
                f"{sample.scene.key}: has {found}; one in {' or '.join(self.languages)} would be right"
            )
        return sample.captions[self._language(sample, known)]

    def _plan(self, index: int) -> Sample:
        sample = self.suite.plan(self.split, index)
        if sample.pictures and (sample.captions or not sample.caption):
            return replace(sample, prompt=list(sample.pictures[:1]), caption=self._caption(sample))
        frames = sample.pictures[0].frames if sample.pictures else 0
        things = tuple(thing for thing in sample.scene.things if thing.frame < frames)
        scene = Scene(sample.scene.key, things)
        words = self.words[self._language(sample, self.languages)]
        return replace(sample, prompt=list(sample.pictures[:1]), scene=scene, caption=describe(scene, words))

    def encoded(self, sample: Sample) -> Encoded:
        """The caption as an answer without a question; its end token stands for the whole."""
        return self.processor.encode(replace(sample, prompt=[], answer=sample.caption), [])

    def size(self, index: int) -> Size:
        """See `Size`: the caption and the visual tokens; samples without a picture are left out.

        Raises:
            UserError: a caption is longer than the text tower reads, or a picture has none.
        """
        sample = self.plan(index)
        if not sample.pictures:
            return Size(0)
        words = len(self.encoded(sample))
        if self.longest is not None and words > self.longest:
            raise UserError(
                f"{sample.scene.key or f'{sample.task}#{sample.index}'}: its caption has {words} tokens, but "
                f"text.max_positions is {self.longest}; a shorter caption, or {words}, would be right"
            )
        try:
            visual = sum(frames * rows * columns for frames, rows, columns in self.grids(sample))
        except CorruptPicture:
            return CORRUPT
        return Size(words + visual, 1.0)

    def collate(self, items: Sequence[Drawn]) -> Packed:
        """See the class."""
        batch = super().collate(items)
        digests = [
            hashlib.blake2b(item.sample.caption.encode(), digest_size=7).digest()
            for item in items
            if item.corrupt is None
        ]
        batch.extras["pairs"] = torch.tensor(
            [int.from_bytes(digest) for digest in digests], dtype=torch.int64
        )
        return batch
