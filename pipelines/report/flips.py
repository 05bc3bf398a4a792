"""A paired test beside the intervals: how often chance alone makes a difference as large."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vlmloom.pipelines.report.statistics import Scores

FEW = 14
"""Scenes of which every flip is looked at."""
BATCH = 1000
"""Flips that are held at once."""


def flip_test(
    scores: Scores, first: int, second: int, categories: Sequence[int], flips: int = 10_000, seed: int = 0
) -> float | None:
    """The two-sided p of a sign-flip test on the mean difference of two designs.

    Were there no difference, the signs of a scene's differences would mean nothing: they are flipped, all
    items of a scene together, and the share of flips is told that reach what was found, this one counted too.
    Of up to `FEW` scenes that differ these are all flips there are, and p is exact; of more they are random.
    The statistic is the mean over categories of the mean over items, as in `Bootstrap.estimate`.

    Args:
        scores: of one split.
        first: index of a design.
        second: index of another.
        categories: indices of categories.
        flips: how many random ones.
        seed: of them.

    Returns:
        None where the two share no item of one of the categories.

    Reference: Fisher's randomisation test; Smucker, Allan and Carterette, "A comparison of statistical
    significance tests for information retrieval evaluation", CIKM 2007.
    """
    values = scores.values[first] - scores.values[second]
    usable = ~np.isnan(values).all(axis=0)
    difference = np.zeros(values.shape[1])
    difference[usable] = np.nanmean(values[:, usable], axis=0)
    sums = np.zeros(int(scores.scene.max(initial=-1)) + 1)
    for category in categories:
        members = usable & (scores.category == category)
        if not members.any():
            return None
        np.add.at(sums, scores.scene[members], difference[members] / members.sum() / len(categories))
    sums = sums[sums != 0]
    found = abs(sums.sum()) - 1e-12
    if len(sums) <= FEW:
        signs = 1 - 2 * (np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums)) & 1)
        return float((np.abs(signs @ sums) >= found).mean())
    rng, reached = np.random.default_rng(seed), 0
    for start in range(0, flips, BATCH):
        signs = 1 - 2 * rng.integers(0, 2, (min(BATCH, flips - start), len(sums)), dtype=np.int8)
        reached += int((np.abs(signs @ sums) >= found).sum())
    return (1 + reached) / (flips + 1)


def holm(values: Sequence[float]) -> list[float]:
    """The p values of several tests, corrected for their number.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]

    Reference: Holm, "A simple sequentially rejective multiple test procedure", 1979.
    """
    found, reached = [0.0] * len(values), 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        reached = max(reached, min(1.0, (len(values) - rank) * values[place]))
        found[place] = reached
    return found
