"""Plotting code that nobody trusts, run inside the code sandbox: its picture, and what it plots."""

from __future__ import annotations

import ast
import io
import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from vlmloom.components.sandbox.code import CodeRunner

INCHES, DPI = (4, 3), 80
WIDTH, HEIGHT = INCHES[0] * DPI, INCHES[1] * DPI
"""Pixels of every figure, whatever size the code asks for, so that two can be compared."""

DESCRIBE = f"""
def _figure_described():
    import json
    import matplotlib.pyplot as plt
    from matplotlib.collections import PathCollection
    from matplotlib.colors import to_rgb, to_rgba
    from matplotlib.container import BarContainer
    from matplotlib.patches import Wedge

    def numbers(values):
        return [float(value) for value in list(values)[:500]]

    def seen(one, color):
        return one.get_visible() and to_rgba(color, one.get_alpha())[3] > 0.05

    figure = plt.gcf()
    series, texts = [], []
    for axes in figure.axes[:4]:
        for line in axes.lines[:50]:
            x, y = line.get_data()
            color = line.get_color()
            if seen(line, color):
                series.append(['line', numbers(range(len(x))), numbers(y), to_rgb(color)])
        for one in axes.containers[:50]:
            if isinstance(one, BarContainer) and one.patches:
                flat = one.orientation == 'horizontal'
                kind, color = 'barh' if flat else 'bar', one.patches[0].get_facecolor()
                long = [bar.get_width() if flat else bar.get_height() for bar in one.patches]
                if seen(one.patches[0], color):
                    series.append([kind, numbers(range(len(long))), numbers(long), to_rgb(color)])
        for one in axes.collections[:50]:
            if isinstance(one, PathCollection):
                points = sorted(map(tuple, one.get_offsets().tolist()))
                color = one.get_facecolor()[0]
                x, y = zip(*points) if points else ((), ())
                if seen(one, color):
                    series.append(['scatter', numbers(x), numbers(y), to_rgb(color)])
        wedges = [one for one in axes.patches[:50] if isinstance(one, Wedge) and one.get_visible()]
        wedges = [one.theta2 - one.theta1 for one in wedges]
        if wedges:
            series.append(['pie', numbers(range(len(wedges))), numbers(wedges), (0, 0, 0)])
        texts += [axes.get_title(), axes.get_xlabel(), axes.get_ylabel()]
        texts += [one.get_text() for one in axes.texts[:50]]
        for axis in (axes.xaxis, axes.yaxis):
            words = [one.get_text() for one in axis.get_ticklabels()[:50]]
            texts += [word for word in words if not word[-1:].isdigit()]
        if axes.get_legend():
            texts += [one.get_text() for one in axes.get_legend().get_texts()]
    figure.set_size_inches{INCHES}
    figure.set_layout_engine('constrained')
    figure.savefig('out.png', dpi={DPI})
    return json.dumps([series, [text for text in texts if text]])
"""


@dataclass(frozen=True)
class Series:
    """One thing that is plotted.

    Attributes:
        kind: line, bar, barh, scatter or pie.
        x: places along the axis; of anything but a scatter, the order.
        y: values.
        colour: red, green and blue from 0 to 1.
    """

    kind: str
    x: tuple[float, ...]
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
        found: Any = json.loads(ast.literal_eval(run.values[0]))
        series = tuple(
            Series(str(kind), _numbers(x), _numbers(y), _numbers(colour)) for kind, x, y, colour in found[0]
        )
        texts = tuple(str(text) for text in found[1])
        with Image.open(io.BytesIO(run.files["out.png"])) as picture:
            pixels = np.asarray(picture.convert("RGB").resize((WIDTH, HEIGHT)))
    except (ValueError, TypeError, SyntaxError, KeyError, IndexError, OSError, Image.DecompressionBombError):
        raise NotPlotted("the code has tampered with what it leaves") from None
    if not series:
        raise NotPlotted("nothing is plotted")
    return Figure(pixels, series, texts)


def _numbers(values: Any) -> tuple[float, ...]:
    return tuple(float(np.nan_to_num(value)) for value in values)
