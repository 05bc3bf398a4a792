"""Plotting code by what it plots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.code import fenced
from vlmloom.components.reward.pictures import gained, structure
from vlmloom.components.sandbox.figure import Figure, NotPlotted, Series, plotted
from vlmloom.registry import register

WEIGHTS = {"data": 0.6, "text": 0.15, "colour": 0.1, "picture": 0.15}


@register("reward/plot_code")
class PlotCode(Verifier):
    """Matplotlib code run in the sandbox: its data, words, colours and picture beside those of the gold code.

    `data` pairs what is plotted, by kind, and takes for each point how near its value is, as a share of the
    gold ones' span, times how near its place is, where words have to be the same; `text` is the F1 of words
    in titles, labels, ticks and legend; `colour` the nearness of the pairs' colours, times that of their
    data; `picture` structural similarity, counted from what an empty sheet gets, and worth the share of
    data that is right: bars under each other's words look alike. The gold code is `sample.answer`.

    The weights are ours. ChartMimic's low-level scores (arXiv 2406.09961) compare words, kinds, colours and
    layout, and no values; pairing a value with its words follows DePlot's RMS (arXiv 2212.10505).
    """

    def score(self, sample: Sample, response: str) -> Reward:
        """Run both and compare."""
        gold = figure(sample.answer)
        try:
            found = plotted(fenced(response, "python"))
        except NotPlotted as error:
            return Reward(0.0, reason=str(error))
        parts = compared(found, gold)
        counted = parts | {"picture": parts["picture"] * parts["data"]}
        value = min(1.0, sum(weight * counted[name] for name, weight in WEIGHTS.items()))
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
    colour = [hue(found.series[row], gold.series[column]) * same[row, column]
              for row, column in zip(rows, columns, strict=True)]  # fmt: skip
    return {
        "data": float(same[rows, columns].sum()) / most,
        "text": words(found.texts, gold.texts),
        "colour": float(sum(colour)) / most,
        "picture": gained(structure, found.picture, gold.picture),
    }


def near(found: Series, gold: Series) -> float:
    """How near two series are: 0 for another kind, 1 for the same points.

    Points of one word are pairs; others are in their order.
    """
    if found.kind != gold.kind:
        return 0.0
    ours, theirs = list(zip(found.x, found.y, strict=True)), list(zip(gold.x, gold.y, strict=True))
    places = span([place for place in gold.x if isinstance(place, float)])
    values, total = span(gold.y), 0.0
    for place, value in theirs:
        same = next((one for one in ours if one[0] == place), None) if isinstance(place, str) else None
        if pair := same or next((one for one in ours if not isinstance(place, str)), None):
            ours.remove(pair)
            total += off(pair[0], place, places) * off(pair[1], value, values)
    return total / max(len(found.y), len(gold.y))


def span(values: Sequence[float]) -> float:
    """The range of values, never 0."""
    return max(float(np.ptp(values)), 1e-3 * float(np.abs(values).max()), 1e-12) if values else 1.0


def off(found: float | str, gold: float | str, span: float) -> float:
    """1 for the same value or word; a tenth of the span off is half right.

    >>> off(3.0, 2.0, 10.0), off("a", "b", 1.0), off("a", "a", 1.0)
    (0.5, 0.0, 1.0)
    """
    if isinstance(found, str) or isinstance(gold, str):
        return float(found == gold)
    return 1 / (1 + (10 * min(abs(found - gold) / span, 1e9)) ** 2)


def hue(found: Series, gold: Series) -> float:
    """1 - the mean difference of the colours."""
    return 1 - float(np.abs(np.array(found.colour[:3]) - np.array(gold.colour[:3])).mean())


def words(found: Sequence[str], gold: Sequence[str]) -> float:
    """F1 of words, each as often as it is there.

    >>> words(["a b"], ["a", "b"]), words(["a"], ["a", "b"]), words([], [])
    (1.0, 0.6666666666666666, 1.0)
    """
    ours, theirs = Counter(" ".join(found).split()), Counter(" ".join(gold).split())
    total = ours.total() + theirs.total()
    return 2 * (ours & theirs).total() / total if total else 1.0
