"""A printed formula, to be written down as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from vlmloom.components.contracts.sources import Source
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.sheet import Rendered
from vlmloom.components.task.world import World
from vlmloom.registry import register

FONTS = ("dejavusans", "dejavuserif", "stix")
SHIFTED = ("cm", "stixsans")
LETTERS = ("a", "b", "c", "d", "k", "m", "n", "p", "q", "t", "x", "y", "z", "r")
GREEK = (r"\alpha", r"\beta", r"\gamma", r"\theta", r"\lambda", r"\pi", r"\sigma", r"\phi")
ENDS = (r"\pi", "3", "9")
FUNCTIONS = (r"\sin", r"\cos", r"\tan", r"\log", r"\exp")


@register("task/formula")
class Formula(ContentTask):
    """Write a formula down as LaTeX: fractions, roots, powers, indices, sums, integrals, functions.

    Args:
        world: what is shared by the tasks of a suite.
        terms: the most terms on one side of the equation, 1 to 4.
    """

    name = "formula"
    family = "documents"
    knob = "terms"

    def __init__(self, *, world: World, terms: int = 2) -> None:
        super().__init__(world=world)
        if not 1 <= terms <= 4:
            raise ValueError(f"task/formula: terms is {terms}, but may be 1 to 4")
        self.terms = terms

    def sources(self) -> Sequence[Source]:
        """Nothing that is not always there."""
        return ()

    def judge(self) -> dict[str, Any]:
        """By what the formula says."""
        return {"use": "reward/latex"}

    def compose(self, draw: Draw, split: str) -> Item:
        """A letter and what it equals, fitted into the picture."""
        terms = [_term(draw, 2) for _ in range(draw.between(1, self.terms))]
        right = terms[0]
        for term in terms[1:]:
            right += f" {draw.choice('+-')} {term}"
        left = draw.choice(("f(x)", "g(t)", "A", "E", "S_n", "u_{k}"))
        text = f"{left} = {right}"
        font = draw.choice(SHIFTED if split == "shift" else FONTS)
        width = 224 + 96 * len(terms)
        picture = Rendered(paint, width, 112, text, font, draw.between(16, 24), slow="matplotlib")
        return Item("Write the formula as LaTeX.", text, (), (picture,), source="formula", content=right)


def _term(draw: Draw, depth: int) -> str:
    """One term; `depth` bounds what is within it."""
    kind = draw.below(9 if depth else 2)
    if kind == 0:
        return _letter(draw) if draw.chance(0.6) else f"{draw.between(2, 99)}{_letter(draw)}"
    if kind == 1:
        return rf"{_letter(draw)}^{{{draw.choice(('2', '3', '4', 'n', 'm + 1'))}}}"
    if kind == 2:
        return rf"{_letter(draw)}_{{{draw.choice(('0', '1', '2', 'i', 'j'))}}}"
    if kind in (3, 4):
        return rf"\frac{{{_sum(draw, depth - 1)}}}{{{_sum(draw, depth - 1)}}}"
    if kind == 5:
        return rf"\sqrt{{{_sum(draw, depth - 1)}}}"
    if kind == 6:
        return rf"{draw.choice(FUNCTIONS)}({_sum(draw, 0)})"
    if kind == 7:
        return rf"\sum_{{i = {draw.below(3)}}}^{{{draw.choice(('n', 'm', '10'))}}} {_letter(draw)}_{{i}}"
    end = draw.choice(ENDS)
    letter = draw.choice("txyz")
    return rf"\int_{{{draw.below(3)}}}^{{{end}}} {letter}^{{2}} d{letter}"


def _sum(draw: Draw, depth: int) -> str:
    """One term or two."""
    first = _term(draw, depth)
    return f"{first} {draw.choice('+-')} {_term(draw, 0)}" if draw.chance(0.5) else first


def _letter(draw: Draw) -> str:
    return draw.choice(GREEK) if draw.chance(0.2) else draw.choice(LETTERS)


def paint(width: int, height: int, text: str, font: str, size: int) -> np.ndarray:
    """Typeset a formula in the middle, smaller where it would not fit; uint8 `[height, width, 3]`."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import MathTextParser

    parser: Any = MathTextParser("agg")
    # Set twice as large and scaled down: so a long formula shrinks without a second setting.
    found = parser.parse(f"${text}$", dpi=200, prop=FontProperties(size=size, math_fontfamily=font))
    ink = Image.fromarray(np.asarray(found.image, np.uint8))
    scale = min(0.5, (width - 16) / ink.width, (height - 12) / ink.height)
    ink = ink.resize((round(ink.width * scale), round(ink.height * scale)), Image.Resampling.LANCZOS)
    page = Image.new("L", (width, height))
    page.paste(ink, ((width - ink.width) // 2, (height - ink.height) // 2))
    return np.repeat((255 - np.asarray(page))[..., None], 3, axis=2)
