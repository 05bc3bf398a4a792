"""Charts: bars, lines, points and pies, drawn by matplotlib in many styles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vlmloom.components.task.draw import Draw
from vlmloom.components.task.series import Series, shown
from vlmloom.components.task.sheet import Rendered

PALETTES = (
    ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b"),
    ("#4c72b0", "#dd8452", "#55a868", "#c44e52", "#8172b3", "#937860"),
    ("#264653", "#e9c46a", "#2a9d8f", "#e76f51", "#8ab17d", "#f4a261"),
)
SHIFTED = (("#7fc97f", "#beaed4", "#fdc086", "#ffff99", "#f0a0c0", "#80b1d3"),)
KINDS = ("bar", "barh", "line", "scatter", "pie")
SIZES = ((400, 300), (480, 320), (360, 360))
DPI = 100
LUMA = (0.2126, 0.7152, 0.0722)
"""How bright red, green and blue are (Rec. 709)."""
LETTER = 8.0
"""The width of a letter of the widest of the fonts at the size of the labels, in pixels."""


@dataclass(frozen=True)
class Look:
    """How a chart is drawn.

    Attributes:
        palette: a colour for each series, or for each slice.
        family: a font that matplotlib knows.
        grid: whether lines mark the values.
        told: whether every value is written beside it.
        dark: light on dark.
        zero: whether the axis of values begins at 0.
    """

    palette: tuple[str, ...]
    family: str
    grid: bool
    told: bool
    dark: bool = False
    zero: bool = True


def look(draw: Draw, split: str, *, zero: bool = True, told: float = 0.4) -> Look:
    """A style of the split: shift has other fonts, other colours and a dark ground."""
    shifted = split == "shift"
    return Look(
        draw.choice(SHIFTED if shifted else PALETTES),
        draw.choice(
            ("STIXGeneral", "cmss10") if shifted else ("DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono")
        ),
        draw.chance(0.5),
        draw.chance(told),
        shifted,
        zero,
    )


def kind_of(draw: Draw, series: Series, kinds: tuple[str, ...] = KINDS) -> str | None:
    """A kind of chart that shows these numbers well; None where none does."""
    values = [value for column in series.values.values() for value in column]
    if min(values) < 0 or max(values) <= 0:
        return None
    kind = draw.choice(kinds)
    if kind == "pie" and (len(series.values) > 1 or len(values) > 6 or min(values) < 0.06 * sum(values)):
        return None
    return kind


def chart(draw: Draw, kind: str, series: Series, style: Look) -> Rendered:
    """A series as a picture."""
    width, height = draw.choice(SIZES)
    values = tuple(series.values.items())
    what = (kind, series.title, series.label, series.labels, values, style)
    return Rendered(paint, width, height, *what, slow="matplotlib")


def paint(
    width: int,
    height: int,
    kind: str,
    title: str,
    label: str,
    labels: tuple[str, ...],
    values: tuple[tuple[str, tuple[float, ...]], ...],
    style: Look,
) -> np.ndarray:
    """Draw a chart, uint8 `[height, width, 3]`."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ground, ink = ("#20242c", "#e8e8e8") if style.dark else ("white", "black")
    settings: Any = {"font.family": style.family, "font.size": 9, "grid.alpha": 0.5}
    settings |= dict.fromkeys(
        ("axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "text.color"), ink
    )
    with rc_context(settings | {"axes.unicode_minus": False}):
        figure = Figure((width / DPI, height / DPI), DPI, facecolor=ground)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot(facecolor=ground)
        axes.set_title(title, fontsize=10)
        if kind == "pie":
            (_, numbers) = values[0]
            told = "%.1f%%" if style.told else None
            drawn = axes.pie(numbers, labels=labels, colors=style.palette, autopct=told)
            for wedge, text in zip(drawn[0], drawn[2] if style.told else (), strict=False):
                text.set_color("white" if np.dot(wedge.get_facecolor()[:3], LUMA) < 0.4 else "black")
        else:
            _plot(axes, kind, labels, values, style)
            along = axes.set_ylabel if kind == "barh" else axes.set_xlabel
            across = axes.set_xlabel if kind == "barh" else axes.set_ylabel
            along(label)
            if len(values) == 1:
                across(values[0][0])
            else:
                figure.legend(loc="lower center", ncols=2, fontsize=8, facecolor=ground)
        figure.subplots_adjust(**_margins(width, height, kind, labels, len(values)))
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _slanted(labels: tuple[str, ...]) -> bool:
    return max(map(len, labels)) * len(labels) > 34


def _margins(width: int, height: int, kind: str, labels: tuple[str, ...], columns: int) -> dict[str, float]:
    """Where the axes lie, in parts of the picture; matplotlib's own layout takes as long as the drawing."""
    longest = LETTER * max(map(len, labels))
    legend = 26 if columns > 1 else 0
    if kind == "pie":
        left, below = 40.0, 12.0
    elif kind == "barh":
        left, below = 36 + longest, 44 + legend
    else:
        # A slanted label reaches down by the sine of its angle, and to the left by the cosine.
        left, below = 66.0, 44 + legend + (0.64 * longest if _slanted(labels) else 0)
        left = max(left, 0.77 * longest - 0.04 * width) if _slanted(labels) else left
    return {
        "left": left / width,
        "right": 1 - (40 if kind == "pie" else 16) / width,
        "bottom": below / height,
        "top": 1 - 30 / height,
    }


def _plot(axes, kind, labels, values, style) -> None:  # type: ignore[no-untyped-def]
    places = np.arange(len(labels))
    thick = 0.8 / len(values)
    top = 1.15 * max(max(numbers) for _, numbers in values)
    for number, ((name, numbers), colour) in enumerate(zip(values, style.palette, strict=False)):
        middle = places + (number - (len(values) - 1) / 2) * thick
        if kind == "bar":
            axes.bar(middle, numbers, thick * 0.92, color=colour, label=name)
        elif kind == "barh":
            axes.barh(middle, numbers, thick * 0.92, color=colour, label=name)
        else:
            middle = places.astype(float)
            axes.plot(
                places, numbers, "o-" if kind == "line" else "o", color=colour, label=name, markersize=5
            )
        if style.told:
            for place, value in zip(middle, numbers, strict=True):
                at, shift = ((value, place), (3, 0)) if kind == "barh" else ((place, value), (0, 3))
                how = {"ha": "left", "va": "center"} if kind == "barh" else {"ha": "center", "va": "bottom"}
                axes.annotate(shown(value), at, shift, textcoords="offset points", fontsize=8, **how)
    axes.margins(x=0.12 if kind == "barh" else 0.08, y=0.15)
    if kind == "barh":
        axes.set_yticks(places, labels)
        axes.invert_yaxis()
        if style.zero:
            axes.set_xlim(0, top)
        axes.xaxis.grid(style.grid)
    else:
        slant = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if _slanted(labels) else {}
        axes.set_xticks(places, labels, **slant)
        if style.zero:
            axes.set_ylim(0, top)
        axes.yaxis.grid(style.grid)
    axes.set_axisbelow(True)
