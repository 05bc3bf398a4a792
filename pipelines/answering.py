"""Samples to answers by a trained assembly, in batches, along the route that its design takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch

from vlmloom.assemblies.generation import Acceptance, Sampling
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.contracts.patches import cut, join
from vlmloom.components.contracts.sample import Sample
from vlmloom.pipelines.data.views import Drawn, SceneView, View, in_words, pack, tag_of, without_pictures
from vlmloom.pipelines.experiment import Experiment
from vlmloom.pipelines.startable import need_answers

BATCH = 128


class Answerer:
    """Answers questions with a trained experiment.

    The route follows from the design: pictures as tokens; no pictures where the last stage was trained
    without;
    specialists' words in place of pictures where the assembly has specialists (or the truth, for an oracle).
    """

    def __init__(self, experiment: Experiment, *, oracle: bool = False, limit: int | None = None) -> None:
        """Note the route.

        Args:
            experiment: trained, its data connected.
            oracle: perception replaced by the truth of the scene.
            limit: the longest answer in tokens; None leaves it to the experiment.
        """
        need_answers(experiment.assembly, experiment.name)
        self.experiment, self.oracle = experiment, oracle
        self.limit = experiment.answer_tokens if limit is None else limit
        self.assembly, self.data = experiment.assembly, experiment.data
        self.withheld = experiment.stages[-1].view == "withheld"
        self.perceives = hasattr(self.assembly, "descriptions")
        self.view: View = self.data.view("question", "test")
        self.scenes = SceneView(self.data.suite, self.view.processor, self.assembly, split="test")

    def seen(self, samples: Sequence[Sample]) -> list[Sample]:
        """The samples as this design sees them."""
        if self.withheld:
            return [without_pictures(sample) for sample in samples]
        if self.oracle:
            return [in_words(sample) if sample.pictures else sample for sample in samples]
        if not self.perceives:
            return list(samples)
        drawn = [
            Drawn(tag_of(sample), sample, 1.0, pixels=[picture.render() for picture in sample.pictures])
            for sample in samples
        ]
        words = self.assembly.descriptions(self.scenes.collate(drawn))  # type: ignore[operator]
        return [
            in_words(sample, words.get(owner, "nothing")) if sample.pictures else sample
            for owner, sample in enumerate(samples)
        ]

    def taught(self, samples: Sequence[Sample]) -> Packed:
        """A batch with the right answers, as this design sees it; the loss is the mean over their tokens."""
        drawn = [
            Drawn(
                tag_of(sample),
                sample,
                1.0,
                encoded=self.view.encoded(sample),
                pixels=[picture.render() for picture in sample.pictures],
            )
            for sample in self.seen(samples)
        ]
        batch = self.view.collate(drawn)
        batch.normaliser = max(float(batch.weights.sum()), 1.0)
        return batch.to(next(self.assembly.parameters()).device)

    def prompts(self, samples: Sequence[Sample]) -> Packed:
        """A batch of questions, as this design sees them."""
        seen = self.seen(samples)
        processor, specs = self.view.processor, self.view.specs
        encoded = [
            processor.encode(replace(sample, answer=""), self.view.grids(sample), prompt_only=True)
            for sample in seen
        ]
        batch = pack(self.assembly, encoded, [tag_of(sample) for sample in seen])
        for tower, spec in specs.items():
            pixels = [picture.render() for sample in seen for picture in sample.pictures]
            batch.visuals[tower] = join([cut(frames, spec) for frames in pixels], spec)
        return batch.to(next(self.assembly.parameters()).device)

    def _how(self) -> dict[str, Any]:
        processor = self.view.processor
        sampling = Sampling(forbidden=processor.never)
        return {"stop": processor.stops, "limit": self.limit, "sampling": sampling}

    def answers(self, samples: Sequence[Sample]) -> list[str]:
        """The answers to one batch."""
        return [answer for answer, *_ in self.counted(samples)]

    @torch.inference_mode()
    def counted(self, samples: Sequence[Sample]) -> list[tuple[str, int, int, bool]]:
        """The answers to one batch, each with the tokens of its prompt, its own, and whether they ran out."""
        batch = self.prompts(samples)
        ids = self.assembly.generate(batch, **self._how())  # type: ignore[operator]
        processor = self.view.processor
        return [
            (
                processor.answer(own),
                read,
                len(own),
                len(own) >= self.limit and own[-1] not in processor.stops,
            )
            for own, read in zip(ids, batch.lengths, strict=True)
        ]

    def acceptance(self, samples: Sequence[Sample], drafts: int) -> Acceptance:
        """What each forward pass gained with so many drafts."""
        found = Acceptance()
        self.assembly.generate(self.prompts(samples), **self._how(), speculative=drafts, acceptance=found)  # type: ignore[operator]
        return found

    def stream(self, samples: Sequence[Sample], batch: int = BATCH) -> Iterator[tuple[Sample, str, float]]:
        """Sample, answer and seconds of each, batch by batch."""
        for start in range(0, len(samples), batch):
            part = samples[start : start + batch]
            clock = time.perf_counter()
            answers = self.answers(part)
            seconds = (time.perf_counter() - clock) / len(part)
            yield from ((sample, answer, seconds) for sample, answer in zip(part, answers, strict=True))

    def latency(self, samples: Sequence[Sample]) -> float:
        """Median seconds of an answer to one question alone."""
        times = []
        for sample in samples:
            clock = time.perf_counter()
            self.answers([sample])
            times.append(time.perf_counter() - clock)
        return sorted(times)[len(times) // 2]
