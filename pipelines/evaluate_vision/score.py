"""One tower under all probes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vlmloom.components.contracts.vision import Vision
from vlmloom.pipelines.evaluate_vision import retrieval
from vlmloom.pipelines.evaluate_vision.features import Features, embed, extract
from vlmloom.pipelines.evaluate_vision.pictures import Pictures
from vlmloom.pipelines.evaluate_vision.probes import GUESSES, PROBES, correspondence, count

ROBUST = ("knn", "linear", "instance_recall", "zero_shot")
"""Probes that are also tested in another style and at other sides."""
NAMES = (
    *("knn", "linear", "instance_recall", "segmentation", "position", "count", "correspondence"),
    *("zero_shot", "retrieval"),
)


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
    """The scores of a tower; no picture is looked at twice, and none that no probe asks for.

    A tower that shares no space with text has none of `zero_shot` and `retrieval`.
    """
    space = tower.shared_space()
    worded = [] if space is None else [probe for probe in probes if probe in ("zero_shot", "retrieval")]
    robust = [probe for probe in probes if probe in ROBUST and (probe != "zero_shot" or worded)]
    tests: dict[str, Features] = {}
    for split, scenes in pictures.tests.items():
        if robust or (split == "test" and set(probes) - {"count"}):
            tests[split] = extract(tower, scenes.frames, space)
    yield from _learned(tower, tests, pictures, probes)
    if "count" in probes:
        known, crowd = pictures.crowds
        values = count(extract(tower, known.frames), known)(extract(tower, crowd.frames), crowd)
        yield Score("count", "test", values, crowd.things, 1 / len(np.unique(known.counts)))
    if "correspondence" in probes:
        turned, truth = extract(tower, pictures.turned.frames), pictures.tests["test"]
        values = correspondence(tests["test"], truth)(turned, pictures.turned)
        guess = GUESSES["correspondence"](truth, pictures.turned)
        yield Score("correspondence", "test", values, truth.things, guess)
    if "zero_shot" in worded:
        assert space is not None
        named = retrieval.classes(space, pictures.names, pictures.templates)
        for split, seen in tests.items():
            assert seen.shared is not None
            things = pictures.tests[split].things
            right = (seen.shared @ named.t()).argmax(1).numpy() == things
            yield Score("zero_shot", split, right, things, 1 / len(named))
    if "retrieval" in worded:
        yield from _retrieved(tower, tests["test"], pictures)


def _learned(
    tower: Vision, tests: dict[str, Features], pictures: Pictures, probes: Sequence[str]
) -> Iterator[Score]:
    """Probes of what is learned, or looked up, from the known pictures."""
    known, chance = pictures.known, 1 / len(pictures.names)
    fitted = [probe for probe in probes if probe in PROBES]
    if not fitted and "instance_recall" not in probes:
        return
    train = extract(tower, known.frames)
    scorers = {probe: PROBES[probe](train, known) for probe in fitted}
    for split, seen in tests.items():
        scenes = pictures.tests[split]
        for probe in fitted:
            if split == "test" or probe in ROBUST:
                values = scorers[probe](seen, scenes)
                guess = chance if probe in ROBUST else GUESSES[probe](known, scenes)
                yield Score(probe, split, values, scenes.things, guess)
        if "instance_recall" in probes:
            found = retrieval.instances(train.pooled, known.things, seen.pooled, scenes.things)
            yield Score("instance_recall", split, found[0], scenes.things, found[1])


def _retrieved(tower: Vision, test: Features, pictures: Pictures) -> Iterator[Score]:
    """Recall both ways between the test pictures and their names, or a user's pictures and captions."""
    space, pairs = tower.shared_space(), pictures.pairs
    assert space is not None and test.shared is not None
    if pairs is None:
        things = pictures.tests["test"].things
        seen, captions = test.shared, retrieval.classes(space, pictures.names, pictures.templates[:1])
        relevant = torch.from_numpy(things[:, None] == np.arange(len(pictures.names)))
    else:
        things = np.arange(len(pairs.frames))
        seen, captions = embed(tower, pairs.frames, space), space.embed_texts(pairs.captions)
        relevant = pairs.relevant
    for name, values, chance in retrieval.both_ways(seen, captions, relevant):
        own = things if name.startswith("image") else np.arange(len(captions))
        yield Score(name, "test", values, own, chance)
