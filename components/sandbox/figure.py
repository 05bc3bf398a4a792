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
from vlmloom.components.sandbox.drawing import DESCRIBE, HEIGHT, MARKS, REMEMBER, WIDTH
from vlmloom.components.sandbox.left import left

KINDS = ("line", "bar", "barh", "scatter", "pie")
ENTRIES = 200
"""Of all legends of a figure."""


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
