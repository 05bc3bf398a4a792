"""A paired test beside the intervals: how often chance alone makes a difference as large."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vlmloom.pipelines.report.statistics import RESAMPLES, Scores


def flip_test(
    scores: Scores, first: int, second: int, categories: Sequence[int], flips: int = RESAMPLES, seed: int = 0
) -> float | None:
    """The two-sided p of a sign-flip test on the mean difference of two designs.

    Were there no difference, the signs of a scene's differences would mean nothing: they are flipped at
    random, all items of a scene together, and the share of flips is told that reach what was found, this one
    counted too. The statistic is the mean over categories of the mean over items, as in `Bootstrap.estimate`.

    Args:
        scores: of one split.
        first: index of a design.
        second: index of another.
        categories: indices of categories.
        flips: how many.
        seed: of the flips.

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
    signs = np.random.default_rng(seed).integers(0, 2, (flips, len(sums)), dtype=np.int8) * 2 - 1
    drawn = np.abs(signs @ sums)
    return float((1 + (drawn >= abs(sums.sum()) - 1e-12).sum()) / (flips + 1))


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
