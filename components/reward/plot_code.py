"""Plotting code by what it plots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.code import fenced
from vlmloom.components.reward.pictures import gained, structure
from vlmloom.components.sandbox.drawing import HEIGHT, VERTICES
from vlmloom.components.sandbox.figure import Figure, NotPlotted, Series, plotted
from vlmloom.registry import register

WEIGHTS = {"data": 0.6, "text": 0.15, "colour": 0.1, "picture": 0.15}

MISNAMED = 1 / 3
"""What the data of a mark counts that the legend calls by another word than the gold one."""


@register("reward/plot_code")
class PlotCode(Verifier):
    """Matplotlib code run in the sandbox: its data, words, colours and picture beside those of the gold code.

    `data` pairs what is seen, by kind, and takes for each mark how near its value is, on the scale of the
    largest gold one, as of bars where they begin, times how near its place is, where words have to be the
    same; a mark that the legend calls by another word counts a third. All of that counts as far as the values
    differ from each other like the gold ones (`told`), which values all alike never do. `text` is the F1 of
    words in titles, labels, ticks and legend; `colour` the nearness of the pairs' colours, times that of
    their data; `picture` structural similarity, counted from what an empty sheet gets, and worth the share
    of data that is right: bars under each other's words look alike. The gold code is `sample.answer`.

    The weights are ours. ChartMimic's low-level scores (arXiv 2406.09961) compare words, kinds, colours and
    layout, and no values; pairing a value with its words and taking its error relative to the gold one follow
    DePlot's RMS (arXiv 2212.10505).
    """

    def score(self, sample: Sample, response: str) -> Reward:
        """Run both and compare."""
        gold = figure(sample.answer)
        try:
            found = plotted(fenced(response, "python"))
        except NotPlotted as error:
            return Reward(0.0, reason=str(error))
        if found.hidden and not gold.hidden:
            return Reward(0.0, reason="nothing of what is plotted can be seen")
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

    same, alike = np.array([[near(a, b) for b in gold.series] for a in found.series]).transpose(2, 0, 1)
    rows, columns = linear_sum_assignment(-same)
    most = max(same.shape)
    return {
        "data": float(same[rows, columns].sum()) / most,
        "text": words(found.texts, gold.texts),
        "colour": float((same * alike)[rows, columns].sum()) / most,
        "picture": gained(structure, found.picture, gold.picture),
    }


def near(found: Series, gold: Series) -> tuple[float, float]:
    """How near the data of two series are, and their colours: 0 for another kind, 1 for the same marks.

    Marks of one word, or of the nearest places, are pairs. Of points both coordinates are values. A line
    joins its marks in an order, forth or back, and is worth no more than it keeps of that.
    """
    if found.kind != gold.kind:
        return 0.0, 0.0
    if gold.kind == "line" and len(gold.x) != len(found.x) and rising(found) and rising(gold):
        # Points between others are no marks of their own: each line is asked where the other has its.
        there, back = beside(at(found, gold.x), gold), beside(found, at(gold, found.x))
        return min(there[0], back[0]), min(there[1], back[1])
    return beside(found, gold)


def rising(line: Series) -> bool:
    """Whether it goes one way along numbers and was looked at whole, so that each place has one height."""
    if len(line.x) >= VERTICES or not all(isinstance(one, float) for one in line.x):
        return False
    steps = np.diff(np.array(line.x, float))
    return bool((steps > 0).all() or (steps < 0).all())


def at(line: Series, places: Sequence[float | str]) -> Series:
    """The line at other places, but for those where it is not.

    >>> red, none = (1.0, 0.0, 0.0), ("", "")
    >>> at(Series("line", (0.0, 4.0), (1.0, 3.0), (red, red), none, (0.0, 0.0)), (2.0, 4.0, 5.0)).y
    (2.0, 3.0)
    """
    own = np.array(line.x, float)
    order = np.argsort(own)
    wanted = np.array(places, float)
    wanted = wanted[np.abs(wanted - (own.min() + own.max()) / 2) <= np.ptp(own) * 0.501]
    heights = np.nan_to_num(np.interp(wanted, own[order], np.array(line.y)[order]))
    nearest = np.abs(np.subtract.outer(wanted, own)).argmin(1)
    return Series(
        "line",
        tuple(wanted.tolist()),
        tuple(heights.tolist()),
        tuple(line.colours[n] for n in nearest),
        tuple(line.labels[n] for n in nearest),
        (0.0,) * len(wanted),
        line.pixel,
    )


def beside(found: Series, gold: Series) -> tuple[float, float]:
    """`near` of two series of one kind, by their marks."""
    from scipy.optimize import linear_sum_assignment

    if not found.y or not gold.y:
        return 0.0, 0.0
    places, heights = apart(found.x, gold.x), apart(found.y, gold.y)
    points = gold.kind == "scatter" and all(isinstance(one, float) for one in (*found.x, *gold.x))
    rows, columns = linear_sum_assignment(places**2 + (1 if points else 1e-3) * heights**2)

    def error(ours: Sequence[Any], theirs: Sequence[Any], largest: float) -> np.ndarray:
        wrong = np.clip(np.array(ours, float)[rows] / largest, -1e9, 1e9)
        return wrong - np.array(theirs, float)[columns] / largest

    right = np.ones(len(rows)) if points else off(places[rows, columns])
    differences = 1.0
    axes = ((found.y, gold.y, gold.pixel[1]), (found.x, gold.x, gold.pixel[0]))
    for ours, theirs, pixel in axes[: 1 + points]:
        largest = max(float(np.abs(np.array(theirs, float)).max()), 1e-12)
        wrong = error(ours, theirs, largest)
        least = pixel / largest if pixel else 1 / HEIGHT
        right = right * off(wrong)
        differences *= told(wrong, np.array(theirs, float) / largest, least)
    right = right * off(error(found.starts, gold.starts, max(float(np.abs(gold.y).max()), 1e-12)))
    names, called = np.array(found.labels)[rows], np.array(gold.labels)[columns]
    right = right * np.where((names != called) & (names != "") & (called != ""), MISNAMED, 1.0)
    hues = np.abs(np.array(found.colours)[rows] - np.array(gold.colours)[columns])
    if gold.kind == "line":
        differences *= straight(columns)
    return float(right.sum()) / max(len(found.y), len(gold.y)) * differences, 1 - float(hues.mean())


def apart(found: Sequence[float | str], gold: Sequence[float | str]) -> np.ndarray:
    """How far each is from each, `[found, gold]`: numbers in spans of the gold ones, words 0 or very far.

    >>> apart((1.0, 3.0, "a"), (1.0, 5.0)).tolist()
    [[0.0, 1.0], [0.5, 0.5], [10000.0, 10000.0]]
    """
    ours, theirs = ([one if isinstance(one, float) else np.nan for one in side] for side in (found, gold))
    numbers = [one for one in gold if isinstance(one, float)]
    span = max(float(np.ptp(numbers)), 1e-3 * float(np.abs(numbers).max()), 1e-12) if numbers else 1.0
    with np.errstate(over="ignore"):
        distance = np.abs(np.subtract.outer(ours, theirs)) / span
    same = [[one == other for other in gold] for one in found]
    return np.where(same, 0.0, np.fmin(distance, 1e4))


def off(error: np.ndarray) -> np.ndarray:
    """1 for no error; a tenth of the scale is half right.

    >>> off(np.array([0.0, -0.1])).tolist()
    [1.0, 0.5]
    """
    return 1 / (1 + (10 * error) ** 2)


def straight(order: np.ndarray) -> float:
    """How directly an order of places goes from end to end: 1 for one way, less for each way back.

    >>> straight(np.array([0, 1, 3])), straight(np.array([2, 1, 0])), straight(np.array([0, 3, 1, 4]))
    (1.0, 1.0, 0.5)
    """
    way = int(np.abs(np.diff(order)).sum())
    return float(np.ptp(order)) / way if way else 1.0


def told(error: np.ndarray, gold: np.ndarray, least: float) -> float:
    """How much of what tells the gold values from each other is there: 0 for equal values, 1 for no error.

    An error that all share tells them apart as well. Of the others, one as large as what the gold values
    typically deviate from their mean is half right, and the whole counts from what the mean everywhere gets.
    What differs by less than a pixel of the gold picture cannot be seen, and is not asked for.

    Args:
        error: of the values that are there, `[pairs]`, as shares of the largest gold value.
        gold: all values, `[marks]`, likewise.
        least: what a pixel is worth, likewise.

    >>> values, least = np.array([0.5, 0.7, 1.0]), 0.004
    >>> [round(told(wrong, values, least), 2) for wrong in (0 * values, 0.2 * values, 0.7 - values)]
    [1.0, 0.99, 0.0]
    """
    deviations = np.maximum(np.abs(gold - gold.mean()), least)
    typical = np.sqrt((deviations**2).mean())
    right, base = (
        float((1 / (1 + (one / typical) ** 4)).mean()) for one in (error - error.mean(), deviations)
    )
    return max(0.0, (right - base) / (1 - base))


def words(found: Sequence[str], gold: Sequence[str]) -> float:
    """F1 of words, each as often as it is there.

    >>> words(["a b"], ["a", "b"]), words(["a"], ["a", "b"]), words([], [])
    (1.0, 0.6666666666666666, 1.0)
    """
    ours, theirs = Counter(" ".join(found).split()), Counter(" ".join(gold).split())
    total = ours.total() + theirs.total()
    return 2 * (ours & theirs).total() / total if total else 1.0
