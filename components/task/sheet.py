"""Sheets of paper: lines, shapes and writing that are planned as plain records and drawn by Pillow later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from hashlib import blake2b
from importlib import metadata
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vlmloom.components.contracts.boxes import permille
from vlmloom.components.contracts.sample import Picture, Thing
from vlmloom.components.media.kept import kept
from vlmloom.components.sandbox import chromium
from vlmloom.components.task.drawing import RGB

BLACK: RGB = (0, 0, 0)
WHITE: RGB = (255, 255, 255)
Point = tuple[float, float]


class Rendered(Picture):
    """A still that a function draws from plain values, whose digest is its key.

    Args:
        paint: a function of a module, `paint(width, height, *what)` -> uint8 `[height, width, 3]`.
        width: in pixels.
        height: in pixels.
        what: the values; equal `repr` means equal pixels.
        slow: what draws it, a package or chromium, where that takes long: the pixels are then kept on disk,
            for as long as its version stays.
    """

    def __init__(
        self, paint: Callable[..., np.ndarray], width: int, height: int, *what: Any, slow: str = ""
    ) -> None:
        self.paint, self.width, self.height, self.what, self.slow = paint, width, height, what, slow

    @property
    def key(self) -> str:  # type: ignore[override]
        """The digest of what is drawn, and by which function."""
        text = repr((self.paint.__name__, self.width, self.height, self.what))
        return blake2b(text.encode(), digest_size=12).hexdigest()

    def render(self) -> np.ndarray:
        """The pixels, uint8 `[1, height, width, 3]`."""
        if not self.slow:
            return self.paint(self.width, self.height, *self.what)[None]
        return kept(
            f"{self.slow} {version(self.slow)} {self.key}",
            lambda: self.paint(self.width, self.height, *self.what),
        )[None]


@cache
def version(slow: str) -> str:
    """Of what draws."""
    return chromium.version() if slow == "chromium" else metadata.version(slow)


@dataclass(frozen=True)
class Face:
    """A font; where its file lies is no part of what it is."""

    name: str
    path: str = field(repr=False)

    def font(self, size: int) -> ImageFont.FreeTypeFont:
        """The font at a size in pixels."""
        return _font(self.path, size)

    def length(self, text: str, size: int) -> int:
        """How wide a text is, in pixels."""
        return _length(self.path, size, text)


@lru_cache(maxsize=512)
def _font(path: str, size: int) -> ImageFont.FreeTypeFont:
    # The plain layout is in every build of Pillow; the other one would shape text differently where it is.
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=1 << 16)
def _length(path: str, size: int, text: str) -> int:
    return int(_font(path, size).getlength(text)) + 1


class Sheet:
    """A picture in the making; coordinates are pixels, angles degrees (east is 0, south is 90).

    Args:
        width: in pixels.
        height: in pixels; may be set later, before `picture`.
        paper: what is drawn on.
        smooth: drawn so many times larger and averaged, so that slanted lines have no steps.
    """

    def __init__(self, width: int, height: int = 0, paper: RGB = WHITE, smooth: int = 1) -> None:
        self.width, self.height, self.paper, self.smooth = width, height, paper, smooth
        self.marks: list[tuple[Any, ...]] = []
        self.names: list[str] = []

    def text(
        self,
        at: Point,
        text: str,
        face: Face,
        size: int,
        ink: RGB = BLACK,
        anchor: str = "la",
        name: str = "line",
    ) -> None:
        """Write one line; `anchor` as Pillow has it. `name` is what the thing is called."""
        self.marks.append(("text", at, text, face, size, ink, anchor))
        self.names.append(name)

    @property
    def written(self) -> list[tuple[str, tuple[float, float, float, float]]]:
        """Everything that is written, with its box in pixels."""
        found = []
        for kind, *mark in self.marks:
            if kind == "text":
                (x, y), text, face, size, _, anchor = mark
                left, top, right, bottom = face.font(size).getbbox(text, anchor=anchor)
                found.append((text, (x + left, y + top, x + right, y + bottom)))
        return found

    def line(self, points: Sequence[Point], ink: RGB = BLACK, width: int = 1) -> None:
        """A stroke through points."""
        self.marks.append(("line", tuple(points), ink, width))

    def box(
        self,
        x1: float,
        y1: float,
        x2: float,
        y2: float,
        fill: RGB | None = None,
        ink: RGB | None = None,
        width: int = 1,
    ) -> None:
        """A rectangle, its right and lower edges left out."""
        self.marks.append(("box", (x1, y1, x2, y2), fill, ink, width))

    def polygon(self, points: Sequence[Point], fill: RGB | None = None, ink: RGB | None = None) -> None:
        """A closed figure."""
        self.marks.append(("polygon", tuple(points), fill, ink))

    def circle(
        self, centre: Point, radius: float, fill: RGB | None = None, ink: RGB | None = None, width: int = 1
    ) -> None:
        """A circle."""
        self.marks.append(("circle", centre, radius, fill, ink, width))

    def arc(
        self, centre: Point, radius: float, start: float, end: float, ink: RGB = BLACK, width: int = 1
    ) -> None:
        """A piece of a circle."""
        self.marks.append(("arc", centre, radius, start, end, ink, width))

    def picture(self) -> Rendered:
        """What has been planned so far as a picture."""
        return Rendered(paint, self.width, self.height, self.paper, self.smooth, tuple(self.marks))

    def things(self, frame: int = 0) -> tuple[Thing, ...]:
        """Everything that is written, with its box."""
        return tuple(
            Thing(name, "writing", permille(box, self.width, self.height), "", text, frame)
            for name, (text, box) in zip(self.names, self.written, strict=True)
        )


def paint(width: int, height: int, paper: RGB, smooth: int, marks: tuple[tuple[Any, ...], ...]) -> np.ndarray:
    """A sheet's marks as uint8 `[height, width, 3]`."""
    image = Image.new("RGB", (width * smooth, height * smooth), paper)
    pen = ImageDraw.Draw(image)

    def scaled(points: Sequence[Point]) -> list[Point]:
        return [(x * smooth, y * smooth) for x, y in points]

    for kind, *mark in marks:
        if kind == "text":
            at, text, face, size, ink, anchor = mark
            pen.text(scaled([at])[0], text, fill=ink, font=face.font(size * smooth), anchor=anchor)
        elif kind == "line":
            points, ink, thick = mark
            pen.line(scaled(points), fill=ink, width=thick * smooth, joint="curve")
        elif kind == "box":
            (x1, y1, x2, y2), fill, ink, thick = mark
            edges = (x1 * smooth, y1 * smooth, x2 * smooth - 1, y2 * smooth - 1)
            pen.rectangle(edges, fill=fill, outline=ink, width=thick * smooth if ink else 0)
        elif kind == "polygon":
            points, fill, ink = mark
            pen.polygon(scaled(points), fill=fill, outline=ink, width=smooth)
        else:
            (x, y), radius, *rest = mark
            around = tuple(smooth * edge for edge in (x - radius, y - radius, x + radius, y + radius))
            if kind == "circle":
                fill, ink, thick = rest
                pen.ellipse(around, fill=fill, outline=ink, width=thick * smooth if ink else 0)
            else:
                start, end, ink, thick = rest
                pen.arc(around, start, end, fill=ink, width=thick * smooth)
    return np.asarray(image.reduce(smooth) if smooth > 1 else image)
