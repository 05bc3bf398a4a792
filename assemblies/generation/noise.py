"""Uniform numbers that depend on a row's key and a place in its sequence, and on nothing else.

A generator with a state would tie the draws of a row to how often it was asked: to the batch it stands in,
to drafts that were thrown away, to a restart. Here a number is a function of (seed, key, place, purpose): the
row draws the same wherever it stands, and a place that is drafted twice is drafted with the same number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
PURPOSES = ("choose", "draft", "accept")
"""What a number is drawn for at a place."""


def streams(seed: int, keys: Sequence[int]) -> np.ndarray:
    """The stream of each row, `[rows]`, from the seed of the run and the row's own key."""
    own = np.array([int(key) & 0xFFFFFFFFFFFFFFFF for key in keys], np.uint64)
    with np.errstate(over="ignore"):
        return _mix(_mix(own + GOLDEN) + np.uint64(seed & 0xFFFFFFFFFFFFFFFF) * GOLDEN)


def uniform(stream: np.ndarray, place: np.ndarray, purpose: str) -> np.ndarray:
    """Numbers in [0, 1), one for each stream and place: the output of SplitMix64 at that step.

    Args:
        stream: `[N]`, from `streams`.
        place: `[N]` in the sequence.
        purpose: one of `PURPOSES`; each has numbers of its own.

    Reference: Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014.
    """
    step = place.astype(np.uint64) * np.uint64(len(PURPOSES)) + np.uint64(PURPOSES.index(purpose) + 1)
    with np.errstate(over="ignore"):
        return (_mix(stream + step * GOLDEN) >> np.uint64(11)) * 2.0**-53


def _mix(value: np.ndarray) -> np.ndarray:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
