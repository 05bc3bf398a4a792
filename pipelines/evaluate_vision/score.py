"""One tower under all probes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vlmloom.components.contracts.kinds import Vision
from vlmloom.pipelines.evaluate_vision.features import extract
from vlmloom.pipelines.evaluate_vision.pictures import Pictures
from vlmloom.pipelines.evaluate_vision.probes import PROBES, correspondence, count

ROBUST = ("knn", "linear")
"""Probes that are also tested in another style and at other sides."""


@dataclass(frozen=True)
class Score:
    """What a probe found in the pictures of a split.

    Attributes:
        values: `[N]` from 0 to 1.
        things: `[N]` which thing each is about; those of one are not independent.
        chance: the score of a guess, where it is known.
    """

    probe: str
    split: str
    values: np.ndarray
    things: np.ndarray
    chance: float | None = None


def score(tower: Vision, pictures: Pictures, probes: Sequence[str]) -> Iterator[Score]:
    """The scores of a tower; no picture is looked at twice, and none that no probe asks for."""
    fitted, truth = [probe for probe in probes if probe in PROBES], pictures.tests["test"]
    guess = 1 / len(pictures.names)
    if fitted or "correspondence" in probes:
        test = extract(tower, truth.frames)
    if "correspondence" in probes:
        turned = extract(tower, pictures.turned.frames)
        values = correspondence(test, truth)(turned, pictures.turned)
        yield Score("correspondence", "test", values, truth.things)
        del turned
    if fitted:
        train = extract(tower, pictures.known.frames)
        scorers = {probe: PROBES[probe](train, pictures.known) for probe in fitted}
        for split, scenes in pictures.tests.items():
            asked = [probe for probe in fitted if split == "test" or probe in ROBUST]
            seen = test if split == "test" else extract(tower, scenes.frames) if asked else None
            for probe in asked:
                assert seen is not None
                values = scorers[probe](seen, scenes)
                yield Score(probe, split, values, scenes.things, guess if probe in ROBUST else None)
    if "count" in probes:
        known, crowd = pictures.crowds
        values = count(extract(tower, known.frames), known)(extract(tower, crowd.frames), crowd)
        yield Score("count", "test", values, crowd.things, 1 / len(np.unique(known.counts)))
