"""Plotting code by what it plots."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.code import fenced
from vlmloom.components.reward.pictures import gained, structure
from vlmloom.components.sandbox.figure import Figure, NotPlotted, Series, plotted
from vlmloom.registry import register

WEIGHTS = {"data": 0.5, "text": 0.2, "colour": 0.1, "picture": 0.2}


@register("reward/plot_code")
class PlotCode(Verifier):
    """Matplotlib code run in the sandbox: its data, words, colours and picture beside those of the gold code.

    `data` pairs what is plotted, by kind, and takes how near its values are as a share of the gold ones'
    span; `text` is the F1 of words in titles, labels, ticks and legend; `colour` the nearness of the
    pairs' colours; `picture` structural similarity, counted from what an empty sheet gets. All but `text`
    need something plotted. The gold code is `sample.answer`.
    """

    def score(self, sample: Sample, response: str) -> Reward:
        """Run both and compare."""
        gold = figure(sample.answer)
        try:
            found = plotted(fenced(response, "python"))
        except NotPlotted as error:
            return Reward(0.0, reason=str(error))
        parts = compared(found, gold)
        value = min(1.0, sum(weight * parts[name] for name, weight in WEIGHTS.items()))
        return Reward(value, parts, ", ".join(f"{key} {value:.2f}" for key, value in parts.items()))


@lru_cache(maxsize=64)
def figure(code: str) -> Figure:
    """What gold code draws; the same one judges many answers.

    Raises:
        RuntimeError: it draws nothing, so that nothing can be judged by it.
    """
    try:
        return plotted(code)
    except NotPlotted as error:
        raise RuntimeError(f"the gold code: {error}") from None


def compared(found: Figure, gold: Figure) -> dict[str, float]:
    """The four terms, each from 0 to 1."""
    from scipy.optimize import linear_sum_assignment

    same = np.array([[near(a, b) for b in gold.series] for a in found.series])
    rows, columns = linear_sum_assignment(-same)
    most = max(same.shape)
    colour = [hue(found.series[row], gold.series[column]) * (same[row, column] > 0)
              for row, column in zip(rows, columns, strict=True)]  # fmt: skip
    return {
        "data": float(same[rows, columns].sum()) / most,
        "text": words(found.texts, gold.texts),
        "colour": float(sum(colour)) / most,
        "picture": gained(structure, found.picture, gold.picture),
    }


def near(found: Series, gold: Series) -> float:
    """How near the values of two series are: 0 for another kind, 1 for the same."""
    count = min(len(found.y), len(gold.y))
    if found.kind != gold.kind or not count:
        return 0.0
    total = 0.0
    for ours, theirs in ((found.x, gold.x), (found.y, gold.y)):
        one, other = np.array(ours[:count]), np.array(theirs[:count])
        span = max(float(np.ptp(theirs)), 1e-3 * float(np.abs(theirs).max()), 1e-12)
        # A tenth of the span off is half right.
        total += float(np.mean(1 / (1 + 10 * np.abs(one - other) / span)))
    return total / 2 * count / max(len(found.y), len(gold.y))


def hue(found: Series, gold: Series) -> float:
    """1 - the mean difference of the colours."""
    return 1 - float(np.abs(np.array(found.colour[:3]) - np.array(gold.colour[:3])).mean())


def words(found: Sequence[str], gold: Sequence[str]) -> float:
    """F1 of words, each as often as it is there.

    >>> words(["a b"], ["a", "b"]), words(["a"], ["a", "b"]), words([], [])
    (1.0, 0.6666666666666666, 1.0)
    """
    ours, theirs = sorted(" ".join(found).split()), sorted(" ".join(gold).split())
    if not ours and not theirs:
        return 1.0
    left = list(theirs)
    hits = 0
    for word in ours:
        if word in left:
            left.remove(word)
            hits += 1
    return 2 * hits / (len(ours) + len(theirs))
