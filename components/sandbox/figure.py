"""Plotting code that nobody trusts, run inside the code sandbox: its picture, and what it plots."""

from __future__ import annotations

import ast
import json
import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from vlmloom.components.sandbox.code import CodeRunner
from vlmloom.components.sandbox.left import left

INCHES, DPI = (4, 3), 80
WIDTH, HEIGHT = INCHES[0] * DPI, INCHES[1] * DPI
"""Pixels of every figure, whatever size the code asks for, so that two can be compared."""

KINDS = ("line", "bar", "barh", "scatter", "pie")
MOST = 250
"""Series of one axes, at least."""

DESCRIBE = f"""
def _figure_described():
    import json
    import matplotlib.pyplot as plt
    from matplotlib.collections import PathCollection
    from matplotlib.colors import to_rgb, to_rgba
    from matplotlib.container import BarContainer
    from matplotlib.category import StrCategoryFormatter
    from matplotlib.patches import Wedge
    from matplotlib.ticker import FixedFormatter, FuncFormatter

    def numbers(values):
        return [float(value) for value in list(values)[:500]]

    def places(axis, values):
        words = {{}}
        if isinstance(axis.get_major_formatter(), (FixedFormatter, FuncFormatter, StrCategoryFormatter)):
            ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels())
            words = {{round(float(place), 6): word.get_text()[:200] for place, word in ticks}}
        return [words.get(round(value, 6)) or value for value in numbers(values)]

    def within(axes, x, y):
        (left, right), (low, high) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
        inside = [left <= one <= right and low <= other <= high for one, other in zip(x, y)]
        return 2 * sum(inside) >= len(inside)

    def seen(one, color):
        return one.get_visible() and to_rgba(color, one.get_alpha())[3] > 0.05

    figure = plt.gcf()
    figure.set_size_inches{INCHES}
    figure.set_layout_engine('constrained')
    figure.savefig('out.png', dpi={DPI})
    series, texts = [], []
    for axes in [one for one in figure.axes if one.get_visible()][:4]:
        for line in axes.lines[:50]:
            x, y = line.get_xydata().T.tolist()
            color = line.get_color()
            if seen(line, color) and within(axes, x, y):
                series.append(['line', places(axes.xaxis, x), numbers(y), to_rgb(color)])
        for one in axes.containers[:50]:
            if isinstance(one, BarContainer) and one.patches:
                flat = one.orientation == 'horizontal'
                kind, color = 'barh' if flat else 'bar', one.patches[0].get_facecolor()
                long = [bar.get_bbox().x1 if flat else bar.get_bbox().y1 for bar in one.patches]
                middle = [sum(bar.get_bbox().intervaly if flat else bar.get_bbox().intervalx) / 2
                          for bar in one.patches]
                shown = within(axes, long, middle) if flat else within(axes, middle, long)
                middle = places(axes.yaxis if flat else axes.xaxis, middle)
                if shown and seen(one.patches[0], color):
                    series.append([kind, middle, numbers(long), to_rgb(color)])
        for one in axes.collections[:50]:
            if isinstance(one, PathCollection):
                points = sorted(map(tuple, one.get_offsets().tolist()))
                color = one.get_facecolor()[0]
                x, y = zip(*points) if points else ((), ())
                if seen(one, color) and within(axes, x, y):
                    series.append(['scatter', numbers(x), numbers(y), to_rgb(color)])
        wedges = [one for one in axes.patches[:50] if isinstance(one, Wedge) and one.get_visible()]
        if wedges:
            beside = [str(one.get_label())[:200] for one in wedges]
            wedges = [one.theta2 - one.theta1 for one in wedges]
            series.append(['pie', beside, numbers(wedges), (0, 0, 0)])
        texts += [axes.get_title(), axes.get_xlabel(), axes.get_ylabel()]
        texts += [one.get_text() for one in axes.texts[:50]]
        for axis in (axes.xaxis, axes.yaxis):
            words = [one.get_text() for one in axis.get_ticklabels()[:50]]
            texts += [word for word in words if not word[-1:].isdigit()]
        if axes.get_legend():
            texts += [one.get_text() for one in axes.get_legend().get_texts()]
    return json.dumps([series, [text for text in texts if text]])
"""


@dataclass(frozen=True)
class Series:
    """One thing that is plotted.

    Attributes:
        kind: one of `KINDS`.
        x: places along the axis: numbers, or the words that stand there; of a pie, the words beside it.
        y: values, of bars where they end.
        colour: red, green and blue from 0 to 1.
    """

    kind: str
    x: tuple[float | str, ...]
    y: tuple[float, ...]
    colour: tuple[float, ...]


@dataclass(frozen=True)
class Figure:
    """What plotting code has drawn.

    Attributes:
        picture: uint8 `[240, 320, 3]`.
        series: everything that is plotted and can be seen.
        texts: titles, labels, words at the axes and in the legend.
    """

    picture: np.ndarray
    series: tuple[Series, ...]
    texts: tuple[str, ...]


class NotPlotted(ValueError):
    """The code failed or drew nothing; the message says why."""


@cache
def runner() -> CodeRunner:
    """With matplotlib imported already."""
    return CodeRunner(seconds=5.0, memory=2 << 30, preload=("matplotlib.pyplot", "numpy"))


def plotted(code: str) -> Figure:
    """Run plotting code and look at the figure that it leaves.

    Raises:
        NotPlotted: the code raises, takes too long, or draws nothing.
        SandboxRefused: this machine cannot lock it in.
    """
    run = runner().run([code, DESCRIBE], ["_figure_described()"], ["out.png"])
    if run.error:
        raise NotPlotted(run.error)
    try:
        series, texts = read_series(ast.literal_eval(run.values[0]))
        pixels = np.asarray(left(run.files.get("out.png")).resize((WIDTH, HEIGHT)))
    except (ValueError, TypeError, SyntaxError, OverflowError, RecursionError, MemoryError):
        raise NotPlotted("the code has tampered with what it leaves") from None
    if not any(one.y for one in series):
        raise NotPlotted("nothing is plotted")
    return Figure(pixels, series, texts)


def read_series(text: str) -> tuple[tuple[Series, ...], tuple[str, ...]]:
    """What `_figure_described` says, which the code it describes may have forged.

    Points without a finite value are left out.

    Raises:
        ValueError: it has another form; other errors of JSON, of unpacking and of numbers too.
    """
    found, texts = json.loads(text)
    if len(found) > 4 * MOST or len(texts) > 20 * MOST:
        raise ValueError("too much")
    series = []
    for kind, x, y, colour in found:
        points = [(_place(one), float(other)) for one, other in zip(x, y, strict=True)]
        points = [(one, other) for one, other in points if math.isfinite(other)]
        red, green, blue = map(float, colour)
        if kind not in KINDS or not all(0 <= one <= 1 for one in (red, green, blue)):
            raise ValueError(f"no colour or kind: {colour!r}, {kind!r}")
        places, values = (tuple(part) for part in (zip(*points, strict=True) if points else ((), ())))
        series.append(Series(kind, places, values, (red, green, blue)))
    return tuple(series), tuple(map(str, texts))


def _place(value: Any) -> float | str:
    """A number, also one that is written as a word; else the word."""
    try:
        return float(np.nan_to_num(float(value)))
    except ValueError:
        return str(value).strip()
