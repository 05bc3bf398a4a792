"""Plotting code that nobody trusts, run inside the code sandbox: its picture, and what it plots."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import numpy as np

from vlmloom.components.sandbox.code import CodeRunner
from vlmloom.components.sandbox.left import left

INCHES, DPI = (4, 3), 80
WIDTH, HEIGHT = INCHES[0] * DPI, INCHES[1] * DPI
"""Pixels of every figure, whatever size the code asks for, so that two can be compared."""

KINDS = ("line", "bar", "barh", "scatter", "pie")
MARKS = 1000
"""Of a figure with more nothing counts, so that what is not looked at is no place to hide in."""
ENTRIES = 200
"""Of all legends of a figure."""
SHEETS = 12
"""Axes of a figure; more are not looked at."""
VERTICES = 500
"""Of a line or a cloud; more are not looked at."""

REMEMBER = """
_figures_closed = []

def _figures_remembered():
    from matplotlib.backend_bases import FigureManagerBase

    def destroy(manager):
        _figures_closed[:] = [manager.canvas.figure]

    FigureManagerBase.destroy = destroy

_figures_remembered()
"""
"""Run before the code: figures are closed one after the other, the active one last."""

DESCRIBE = f"""
def _figure_described():
    import json
    import matplotlib.pyplot as plt
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import Collection, PathCollection
    from matplotlib.colors import to_hex
    from matplotlib.container import BarContainer
    from matplotlib.category import StrCategoryFormatter
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch, Wedge
    from matplotlib.ticker import FixedFormatter, FuncFormatter

    def numbers(axis, values, step=0):
        sign = -1 if axis.get_inverted() else 1
        exact = np.asarray(values, float)
        exact = step * np.round(exact / step) if step else exact
        return [sign * float(f'{{value:.9g}}') for value in exact]

    def pixel(axis):
        # What a pixel is worth, 0 where that differs.
        low, high = axis.get_view_interval()
        pixels = axis.axes.bbox.width if axis.axis_name == 'x' else axis.axes.bbox.height
        return float(abs(high - low) / max(pixels, 1)) if axis.get_scale() == 'linear' else 0.0

    def heights(axis, values):
        # To the pixel, as they are read.
        return numbers(axis, values, pixel(axis))

    def places(axis, values, grouped=False):
        words = {{}}
        if isinstance(axis.get_major_formatter(), (FixedFormatter, FuncFormatter, StrCategoryFormatter)):
            ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels())
            words = {{round(float(place), 6): word.get_text()[:200] for place, word in ticks}}
        keys, own = [round(value, 6) for value in values], numbers(axis, values)
        if grouped and not all(word == f'{{tick:g}}' for tick, word in words.items()):
            return groups(words, keys, own)
        return [words.get(key) or number for key, number in zip(keys, own)]

    def groups(words, keys, own):
        # Bars beside one tick have its word, and their place among themselves.
        steps = np.diff(sorted(words))
        reach = steps.min() / 2 if len(steps) else 0.5
        nearest = [min(words, key=lambda tick: abs(tick - key)) for key in keys]
        found = [words[tick] if abs(tick - key) < reach else '' for tick, key in zip(nearest, keys)]
        among = {{word: sorted({{key for key, one in zip(keys, found) if one == word}}) for word in found}}
        return [number if not word else f'{{word}} {{among[word].index(key)}}' if among[word][1:] else word
                for word, key, number in zip(found, keys, own)]

    def colour_of(one):
        # A line's, or its markers' where there is none; of what has a face that, else its edge.
        if not isinstance(one, Line2D):
            face, edge = (np.reshape(part, (-1, 4)) for part in (one.get_facecolor(), one.get_edgecolor()))
            return (*(face if face[:, 3:].any() else edge), 'none')[0]
        if one.get_linestyle() not in ('None', ' ', ''):
            return one.get_color()
        hollow = str(one.get_markerfacecolor()) == 'none'
        return one.get_markeredgecolor() if hollow else one.get_markerfacecolor()

    def entries(legend, place):
        return [[place, word.get_text()[:200], to_hex(colour_of(handle))]
                for word, handle in zip(legend.get_texts()[:50], legend.legend_handles)
                if isinstance(handle, (Collection, Line2D, Patch))]

    def beside(axes, wedge):
        # The words of a sector nearest to its middle, outside before within; no shares, no numbers within.
        found = []
        for text in axes.texts[:50]:
            (x, y), word = np.subtract(text.get_position(), wedge.center), text.get_text().strip()[:200]
            turn = (np.degrees(np.arctan2(y, x)) - (wedge.theta1 + wedge.theta2) / 2 + 180) % 360 - 180
            outside = bool(np.hypot(x, y) >= wedge.r)
            value = word.endswith('%') or (word.replace('.', '').isdigit() and not outside)
            if text.get_visible() and 2 * abs(turn) <= wedge.theta2 - wedge.theta1 and not value:
                found.append((round(abs(turn)), not outside, word))
        return min(found)[2] if found else ''

    def inside(axes, x, y):
        (left, right), (low, high) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
        return [left <= one <= right and low <= other <= high for one, other in zip(x, y)]

    def near(axes, x, y, size=0):
        # 7 x 7 pixels or the whole mark, but none so large that others would be taken for it.
        column, row = axes.transData.transform((x, y))
        column, row = int(column), {HEIGHT} - 1 - int(row)
        reach = size / 2 * {DPI} / 72 + 2
        reach = int(reach) if 3 < reach < {HEIGHT} / 8 else 3
        return (slice(max(row - reach, 0), max(row + reach + 1, 0)),
                slice(max(column - reach, 0), max(column + reach + 1, 0)))

    def middles(axes, xy):
        # Of the pieces of a line that are inside.
        middle = (xy[1:] + xy[:-1]) / 2
        seen = zip(middle, inside(axes, *middle.T))
        return [near(axes, x, y) for (x, y), kept in seen if kept] or [everywhere]

    def points(axes, one, xy, colours, sizes):
        # Sizes are of a whole mark, in points.
        return [(axes, 'scatter', one, [x], [y], colour, near(axes, x, y, size))
                for (x, y), colour, size, kept in zip(xy, colours, sizes, inside(axes, *xy.T)) if kept]

    def marks(axes):
        for line in axes.lines:
            xy = np.asarray(line.get_xydata(), float)[:{VERTICES}]
            if line.get_transform() != axes.transData:
                # Where it is seen.
                xy = axes.transData.inverted().transform(line.get_transform().transform(xy))
            drawn = line.get_linestyle() not in ('None', ' ', '') and line.get_linewidth() > 0 and len(xy) > 1
            if drawn and 2 * sum(inside(axes, *xy.T)) >= len(xy):
                kept = np.array(inside(axes, *xy.T))
                yield axes, 'line', line, *xy[kept].T, line.get_color(), middles(axes, xy)
            elif not drawn and line.get_marker() not in ('None', ' ', '', None):
                colours, sizes = [colour_of(line)] * len(xy), [line.get_markersize()] * len(xy)
                yield from points(axes, line, xy, colours, sizes)
        for one in axes.containers:
            for bar in one.patches if isinstance(one, BarContainer) else ():
                box, flat = bar.get_bbox(), one.orientation == 'horizontal'
                x, y = (box.x1, sum(box.intervaly) / 2) if flat else (sum(box.intervalx) / 2, box.y1)
                if all(inside(axes, [x], [y])):
                    kind, end = 'barh' if flat else 'bar', near(axes, x, y)
                    yield axes, kind, bar, [x], [y], bar.get_facecolor(), end
        for one in axes.collections:
            if isinstance(one, PathCollection) and len(one.get_offsets()):
                colours = one.get_facecolor() if len(one.get_facecolor()) else one.get_edgecolor()
                xy = np.ma.filled(one.get_offsets().astype(float), np.nan)[:{VERTICES}]
                sizes = np.sqrt(np.resize(one.get_sizes(), len(xy)))
                yield from points(axes, one, xy, np.resize(colours, (len(xy), 4)), sizes)
        for one in axes.patches:
            if isinstance(one, Wedge):
                turn = one.theta2 - one.theta1
                yield axes, 'pie', one, [beside(axes, one)], [turn], one.get_facecolor(), everywhere

    def drawn():
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].astype(int)

    def show(artists, visible):
        for one in artists:
            one.set_visible(visible)

    def paint(one, number):
        colour = to_hex([number // 65536 / 255, number // 256 % 256 / 255, number % 256 / 255])
        one.set(alpha=None, antialiased=False, path_effects=[])
        if isinstance(one, Line2D):
            hollow = str(one.get_markerfacecolor()) == 'none'
            one.set(color=colour, markeredgecolor=colour, markerfacecolor='none' if hollow else colour)
            if hollow:
                # Edges of markers are smoothed all the same, and thin ones have nowhere the whole colour.
                one.set_markeredgewidth(one.get_markeredgewidth() + 2)
            return
        if isinstance(one, PathCollection):
            one.set_array(None)
        face, edge = (np.reshape(part, (-1, 4)) for part in (one.get_facecolor(), one.get_edgecolor()))
        face, edge = (colour if part[:, 3:].any() else 'none' for part in (face, edge))
        one.set(facecolor=face, edgecolor=edge)

    def shown(found):
        # What the marks change, with all that is drawn and alone; and which of them is uppermost where. Bars
        # and points are looked for where they are read, bars at their ends, lines at half of their pieces.
        artists = {{one for _, _, one, *_ in found}}
        apart = artists | {{*figure.axes, *figure.subfigs}}
        rest = [one for part in (figure, *figure.subfigs, *figure.axes) for one in part.get_children()
                if one is not part.patch and one not in apart]
        whole = drawn()
        show(artists, False)
        seen = abs(whole - drawn()).max(2) > 12
        show(rest, False)
        sheet = drawn()
        show(artists, True)
        alone = abs(drawn() - sheet).max(2) > 12
        # Points may lie on each other, and all of them have one number; other marks have one each.
        keys = [axes if kind == 'scatter' else one for axes, kind, one, *_ in found]
        numbered = {{key: number for number, key in enumerate(dict.fromkeys(keys), 1)}}
        for key, (_, _, one, *_) in zip(keys, found):
            paint(one, numbered[key])
        top = drawn() @ [65536, 256, 1]
        for key, mark in zip(keys, found):
            spots, shown_at = mark[-1] if isinstance(mark[-1], list) else [mark[-1]], 0
            for spot in spots:
                own = alone[spot] & (top[spot] == numbered[key])
                shown_at += bool(own.any() and 2 * (own & seen[spot]).sum() >= own.sum())
            if 2 * shown_at >= len(spots):
                yield mark

    figure = plt.gcf() if plt.get_fignums() or not _figures_closed else _figures_closed[-1]
    figure.set_size_inches{INCHES}
    for engine in ('constrained', 'tight', 'none'):
        try:
            figure.set_layout_engine(engine)
            figure.savefig('out.png', dpi={DPI})
            break
        except (RuntimeError, ZeroDivisionError):  # a colour bar that another engine has placed
            continue
    sheets = [one for one in figure.axes if one.get_visible()][:{SHEETS}]
    texts = []
    for axes in sheets:
        texts += [axes.get_title(), axes.get_xlabel(), axes.get_ylabel()]
        texts += [one.get_text() for one in axes.texts[:50]]
        for axis in (axes.xaxis, axes.yaxis):
            words = [one.get_text() for one in axis.get_ticklabels()[:50]]
            texts += [word for word in words if not word[-1:].isdigit()]
    legends = [(axes.get_legend(), place) for place, axes in enumerate(sheets)]
    legends = [one for one in legends if one[0]] + [(legend, -1) for legend in figure.legends]
    texts += [one.get_text() for legend, _ in legends for one in legend.get_texts()]
    called = [entry for one in legends for entry in entries(*one)]
    figure.set_layout_engine('none')
    figure.dpi = {DPI}
    canvas, everywhere = FigureCanvasAgg(figure), (slice(None), slice(None))
    drawings = [mark for axes in sheets for mark in marks(axes) if mark[2].get_visible()]
    if len(drawings) > {MARKS}:
        raise ValueError('more than {MARKS} marks')
    uncovered = list(shown(drawings))
    found = {{}}
    for axes, kind, one, x, y, colour, _ in uncovered or drawings:
        series = found.setdefault((axes, kind, one if kind == 'line' else None), ([], [], [], []))
        series[0].extend(x)
        series[1].extend(y)
        series[2].extend([to_hex(colour)] * len(y))
        series[3].extend([one.get_x() if kind == 'barh' else one.get_y() if kind == 'bar' else 0] * len(y))
    series = []
    for (axes, kind, _), (x, y, colours, starts) in found.items():
        steps = [0.0, 0.0] if kind == 'pie' else [pixel(axes.xaxis), pixel(axes.yaxis)]
        if kind == 'barh':
            steps = steps[::-1]
            x, y, starts = places(axes.yaxis, y, True), heights(axes.xaxis, x), heights(axes.xaxis, starts)
        elif kind != 'pie':
            x = places(axes.xaxis, x, kind == 'bar')
            y, starts = heights(axes.yaxis, y), heights(axes.yaxis, starts)
        series.append([sheets.index(axes), kind, x, y, colours, starts, steps])
    return json.dumps([series, [text for text in texts if text], not uncovered, called])
"""


Colour: TypeAlias = tuple[float, float, float]
Mark: TypeAlias = tuple[float | str, float, Colour, str, float]


@dataclass(frozen=True)
class Series:
    """Marks of one kind that a reader takes together.

    Those are all bars, all points or all wedges of one axes, however many calls have drawn them, or one line.

    Attributes:
        kind: one of `KINDS`.
        x: places along the axis, `[marks]`: numbers in units of the axis, or the words that stand there; of a
            pie, the words beside it.
        y: values, `[marks]`, in units of the axis, of bars where they end; degrees of a pie.
        colours: red, green and blue of each mark from 0 to 1, `[marks][3]`.
        labels: what the legend calls each mark, `[marks]`; empty without a legend.
        starts: where bars begin, `[marks]`, in units of the axis; of other marks 0.
        pixel: what a pixel is worth in places and in values; 0 where that is not the same everywhere.
    """

    kind: str
    x: tuple[float | str, ...]
    y: tuple[float, ...]
    colours: tuple[Colour, ...]
    labels: tuple[str, ...]
    starts: tuple[float, ...]
    pixel: tuple[float, float] = (0.0, 0.0)

    def marks(self) -> Iterator[Mark]:
        """One after the other."""
        return zip(self.x, self.y, self.colours, self.labels, self.starts, strict=True)


@dataclass(frozen=True)
class Figure:
    """What plotting code has drawn.

    Attributes:
        picture: uint8 `[240, 320, 3]`.
        series: everything that is plotted and can be seen.
        texts: titles, labels, words at the axes and in the legend.
        hidden: nothing of it can be seen, and `series` is what is drawn all the same.
    """

    picture: np.ndarray
    series: tuple[Series, ...]
    texts: tuple[str, ...]
    hidden: bool = False


class NotPlotted(ValueError):
    """The code failed or drew nothing; the message says why."""


@cache
def runner() -> CodeRunner:
    """With matplotlib imported already."""
    return CodeRunner(seconds=5.0, memory=2 << 30, preload=("matplotlib.pyplot", "numpy"))


def plotted(code: str) -> Figure:
    """Run plotting code and look at the figure that it leaves open, else at the last one that it closes.

    Raises:
        NotPlotted: the code raises, takes too long, or draws nothing.
        SandboxRefused: this machine cannot lock it in.
    """
    run = runner().run([REMEMBER, code, DESCRIBE], ["_figure_described()"], ["out.png"])
    if run.error:
        raise NotPlotted(run.error)
    try:
        series, texts, hidden = read_series(ast.literal_eval(run.values[0]))
        pixels = np.asarray(left(run.files.get("out.png")).resize((WIDTH, HEIGHT)))
    except (ValueError, TypeError, LookupError, SyntaxError, OverflowError, RecursionError, MemoryError):
        raise NotPlotted("the code has tampered with what it leaves") from None
    if not any(one.y for one in series):
        raise NotPlotted("nothing is plotted")
    return Figure(pixels, series, texts, hidden)


def read_series(text: str) -> tuple[tuple[Series, ...], tuple[str, ...], bool]:
    """What `_figure_described` says, which the code it describes may have forged.

    Points without a finite value are left out.

    Raises:
        ValueError: it has another form; other errors of JSON, of unpacking and of numbers too.
    """
    found, texts, hidden, legends = json.loads(text)
    if len(found) > MARKS or len(texts) > 5 * MARKS or len(legends) > ENTRIES:
        raise ValueError("too much")
    sheets: dict[int, list[Series]] = {}
    entries = [(int(axes), str(word), _colour(colour)) for axes, word, colour in legends]
    for axes, kind, x, y, colours, starts, steps in found:
        if kind not in KINDS:
            raise ValueError(f"no kind: {kind!r}")
        own = [entry for entry in entries if entry[0] == axes] or entries
        words = {code: called(_colour(code), [entry[1:] for entry in own]) for code in set(colours)}
        marks: list[Mark] = []
        for one, value, code, start in zip(x, y, colours, starts, strict=True):
            # The legend of a pie stands for the words beside it.
            place = words[code] if kind == "pie" and not one else _place(one)
            marks.append((place, float(value), _colour(code), words[code], float(start)))
        kept = [mark for mark in marks if math.isfinite(mark[1]) and math.isfinite(mark[4])]
        across, up = (min(abs(float(step)), 1e300) for step in steps)
        series = _series(kind, kept, (across, up))
        sheets.setdefault(int(axes), []).append(series)
    seen = tuple(one for series in sheets.values() for one in joined(series))
    return seen, tuple(map(str, texts)), bool(hidden)


def called(colour: Colour, legend: Sequence[tuple[str, Colour]]) -> str:
    """What a legend calls a colour: the word, or the words, beside the colour nearest to it.

    >>> called((0.9, 0.0, 0.0), [("north", (1.0, 0.0, 0.0)), ("south", (0.0, 0.0, 1.0))])
    'north'
    """
    far = [round(sum(abs(a - b) for a, b in zip(colour, one, strict=True)), 6) for _, one in legend]
    nearest = min(far, default=0.0)
    return " ".join(sorted({word for (word, _), one in zip(legend, far, strict=True) if one == nearest}))


def joined(series: Sequence[Series]) -> list[Series]:
    """The series of one axes as they are seen, whoever has drawn them.

    A line that begins where the one before it has ended goes on, and points on the vertices of lines are
    their markers and no points.

    >>> rest = ((1.0, 0.0, 0.0),) * 2, ("", ""), (0.0, 0.0)
    >>> line, more = (Series("line", (n, n + 1.0), (n, n + 1.0), *rest) for n in (0.0, 1.0))
    >>> point = Series("scatter", (1.0,), (1.0,), *(one[:1] for one in rest))
    >>> [one.x for one in joined([line, more, point])]
    [(0.0, 1.0, 2.0)]
    """
    found: list[tuple[str, list[Mark], tuple[float, float]]] = [("", [], (0.0, 0.0))]
    for one in series:
        (kind, before, _), marks = found[-1], list(one.marks())
        if marks and before and one.kind == kind == "line" and before[-1][:2] == marks[0][:2]:
            before.extend(marks[1:])
        else:
            found.append((one.kind, marks, one.pixel))
    vertices = {mark[:2] for kind, marks, _ in found if kind == "line" for mark in marks}
    for kind, marks, _ in found:
        if kind == "scatter":
            marks[:] = [mark for mark in marks if mark[:2] not in vertices]
    return [_series(kind, marks, pixel) for kind, marks, pixel in found if marks]


def _series(kind: str, marks: Sequence[Mark], pixel: tuple[float, float]) -> Series:
    """Marks as columns."""
    x, y, colours, labels, starts = map(tuple, zip(*marks, strict=True) if marks else [()] * 5)
    return Series(kind, x, y, colours, labels, starts, pixel)


def _colour(code: str) -> Colour:
    """Of `#008080`, from 0 to 1."""
    if not re.fullmatch("#[0-9a-f]{6}", code):
        raise ValueError(f"no colour: {code!r}")
    red, green, blue = (value / 255 for value in bytes.fromhex(code[1:]))
    return red, green, blue


def _place(value: Any) -> float | str:
    """A number, also one that is written as a word; else the word."""
    try:
        return float(np.nan_to_num(float(value)))
    except ValueError:
        return str(value).strip()
