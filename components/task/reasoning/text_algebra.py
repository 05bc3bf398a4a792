"""Algebra and calculus in words, answered by an expression, a set, an interval, a point or a number."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from vlmloom.components.contracts.sources import Source
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.world import World
from vlmloom.registry import register

Coefficients = tuple[int, ...]
"""Of a polynomial, the constant first."""

KINDS = ("derivative", "integral", "fractions", "roots", "inequality", "system", "equation")
SHIFTED = ("chain", "exponential", "sine", "cubic")


@register("task/text_algebra")
class TextAlgebra(ContentTask):
    """Algebra and calculus without a picture: derivatives, integrals, roots, intervals, systems, fractions.

    Judged by mathematics, so that an equal expression is right in any form; nothing is asked whose question
    is an answer already, as what is only to be multiplied out. The shift split has kinds of its own, in
    another letter: the chain rule, products with an exponential or a sine, three roots.

    Args:
        world: what is shared by the tasks of a suite.
        level: how hard, from 0 to 4: larger numbers, higher degrees.
    """

    name = "text_algebra"
    family = "reasoning"
    visual = False
    knob = "level"

    def __init__(self, *, world: World, level: int = 1) -> None:
        super().__init__(world=world)
        if not 0 <= level <= 4:
            raise ValueError(f"task/text_algebra: level is {level}; 0 to 4 would be right")
        self.level = level

    def sources(self) -> Sequence[Source]:
        """None: numbers are drawn."""
        return ()

    def judge(self) -> dict[str, Any]:
        """Equal expressions."""
        return {"use": "reward/math"}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """A question of one kind."""
        shifted = split == "shift"
        kind = draw.choice(SHIFTED if shifted else KINDS)
        question, answer = getattr(self, f"_{kind}")(draw, "t" if shifted else "x")
        truth = {"form": "interval"} if kind == "inequality" else {}
        return Item(question, answer, source="composed", content=question, truth=truth)

    @property
    def largest(self) -> int:
        """The largest number that is drawn."""
        return 5 + 3 * self.level

    def _number(self, draw: Draw) -> int:
        """From 1 up, of either sign."""
        return draw.between(1, self.largest) * (1 if draw.chance(0.5) else -1)

    def _polynomial(self, draw: Draw, degree: int) -> Coefficients:
        return (*(draw.between(-self.largest, self.largest) for _ in range(degree)), self._number(draw))

    def _derivative(self, draw: Draw, letter: str) -> tuple[str, str]:
        inner = self._polynomial(draw, draw.between(2, 3 + self.level // 2))
        asked = draw.choice(("What is the derivative of {}?", "Differentiate {}."))
        question = asked.format(f"$f({letter}) = {polynomial(inner, letter)}$")
        return f"{question} Answer with the expression alone.", polynomial(derived(inner), letter)

    def _integral(self, draw: Draw, letter: str) -> tuple[str, str]:
        inner = self._polynomial(draw, draw.between(1, 2 + self.level // 2))
        low = draw.between(-2, 1)
        high = draw.between(low + 1, low + 2 + self.level)
        value = sum(
            Fraction(one, power) * (high**power - low**power) for power, one in enumerate(inner, start=1)
        )
        asked = f"\\int_{{{low}}}^{{{high}}} ({polynomial(inner, letter)}) \\, d{letter}"
        return f"What is ${asked}$? Answer with a whole number or a fraction.", fraction(Fraction(value))

    def _fractions(self, draw: Draw, letter: str) -> tuple[str, str]:
        parts = [
            Fraction(self._number(draw), draw.between(2, self.largest + 2))
            for _ in range(2 + self.level // 2)
        ]
        shown = fraction(parts[0]) + "".join(
            f" {'-' if part < 0 else '+'} {fraction(abs(part))}" for part in parts[1:]
        )
        return f"What is ${shown}$? Answer with a whole number or a fraction.", fraction(
            sum(parts, Fraction())
        )

    def _roots(self, draw: Draw, letter: str, count: int = 2) -> tuple[str, str]:
        roots = sorted(draw.sample(range(-self.largest, self.largest + 1), count))
        whole = scaled(draw.between(1, 1 + self.level), roots)
        question = f"What are the real solutions of ${polynomial(whole, letter)} = 0$?"
        said = f"{question} Answer with a set such as $\\{{-1, 4\\}}$."
        return said, "\\{" + ", ".join(map(str, roots)) + "\\}"

    def _cubic(self, draw: Draw, letter: str) -> tuple[str, str]:
        return self._roots(draw, letter, 3)

    def _inequality(self, draw: Draw, letter: str) -> tuple[str, str]:
        low, high = sorted(draw.sample(range(-self.largest, self.largest + 1), 2))
        whole = scaled(draw.between(1, 1 + self.level), [low, high])
        sign = draw.choice(("<", "\\le", ">", "\\ge"))
        left, right = ("(", ")") if sign in ("<", ">") else ("[", "]")
        inside = f"{left}{low}, {high}{right}"
        outside = f"(-\\infty, {low}{right} \\cup {left}{high}, \\infty)"
        question = f"For which real ${letter}$ is ${polynomial(whole, letter)} {sign} 0$?"
        said = f"{question} Answer with an interval, or a union of intervals with $\\cup$."
        return said, inside if sign in ("<", "\\le") else outside

    def _system(self, draw: Draw, letter: str) -> tuple[str, str]:
        x, y = draw.between(-self.largest, self.largest), draw.between(-self.largest, self.largest)
        a, b, c, d = (self._number(draw) for _ in range(4))
        d += a * d == b * c  # two lines that are not parallel
        rows = [f"{linear(p, q)} = {p * x + q * y}" for p, q in ((a, b), (c, d))]
        return (
            f"Solve ${rows[0]}$ and ${rows[1]}$. Answer with the point $(x, y)$ alone, such as $(1, -2)$."
        ), f"({x}, {y})"

    def _equation(self, draw: Draw, letter: str) -> tuple[str, str]:
        a, b, d = self._number(draw), self._number(draw), self._number(draw)
        c = a + self._number(draw)
        sides = polynomial((b, a), letter), polynomial((d, c), letter)
        return (
            f"Solve ${sides[0]} = {sides[1]}$ for ${letter}$. Answer with a whole number or a fraction.",
            f"{letter} = {fraction(Fraction(d - b, a - c))}",
        )

    def _chain(self, draw: Draw, letter: str) -> tuple[str, str]:
        a, b, power = self._number(draw), self._number(draw), draw.between(3, 5 + self.level)
        inner = polynomial((b, a), letter)
        question = f"What is the derivative of $({inner})^{{{power}}}$? Answer with the expression alone."
        return question, f"{power * a} ({inner})^{{{power - 1}}}"

    def _exponential(self, draw: Draw, letter: str) -> tuple[str, str]:
        rate, inner = draw.between(2, 3 + self.level), self._polynomial(draw, 2)
        slope = tuple(rate * one + other for one, other in zip(inner, (*derived(inner), 0), strict=True))
        grows = f"e^{{{rate} {letter}}}"
        question = f"What is the derivative of $({polynomial(inner, letter)}) {grows}$?"
        return f"{question} Answer with the expression alone.", f"({polynomial(slope, letter)}) {grows}"

    def _sine(self, draw: Draw, letter: str) -> tuple[str, str]:
        rate, inner = draw.between(2, 3 + self.level), self._polynomial(draw, 1)
        times = tuple(rate * one for one in inner)
        question = f"What is the derivative of $({polynomial(inner, letter)}) \\sin({rate} {letter})$?"
        return f"{question} Answer with the expression alone.", (
            f"{inner[1]} \\sin({rate} {letter}) + ({polynomial(times, letter)}) \\cos({rate} {letter})"
        )


def polynomial(coefficients: Coefficients, letter: str) -> str:
    """As it is written, the highest power first.

    >>> polynomial((3, -1, 0, 2), "x"), polynomial((0, -4), "t")
    ('2 x^3 - x + 3', '-4 t')
    """
    said = ""
    for power, one in reversed(list(enumerate(coefficients))):
        if not one:
            continue
        size = "" if abs(one) == 1 and power else str(abs(one))
        sign = ("-" if one < 0 else "") if not said else (" - " if one < 0 else " + ")
        said += sign + " ".join(
            filter(None, (size, ("", letter)[power > 0] + (f"^{power}" if power > 1 else "")))
        )
    return said or "0"


def linear(p: int, q: int) -> str:
    """A line's left side in x and y; neither is 0.

    >>> linear(-1, 3), linear(2, -1)
    ('-x + 3 y', '2 x - y')
    """
    first = polynomial((0, p), "x")
    return f"{first} {'-' if q < 0 else '+'} {polynomial((0, abs(q)), 'y')}"


def derived(coefficients: Coefficients) -> Coefficients:
    """The coefficients of the derivative.

    >>> derived((3, -1, 0, 2))
    (-1, 0, 6)
    """
    return tuple(power * one for power, one in enumerate(coefficients))[1:]


def scaled(factor: int, roots: Sequence[int]) -> Coefficients:
    """The polynomial with these roots, times a factor.

    >>> scaled(2, [1, -3])
    (-6, 4, 2)
    """
    found: Coefficients = (factor,)
    for root in roots:
        found = tuple(one - root * other for one, other in zip((0, *found), (*found, 0), strict=True))
    return found


def fraction(value: Fraction) -> str:
    r"""As LaTeX, in lowest terms.

    >>> fraction(Fraction(-3, 6)), fraction(Fraction(4, 2))
    ('-\\frac{1}{2}', '2')
    """
    if value.denominator == 1:
        return str(value.numerator)
    sign = "-" if value < 0 else ""
    return f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"
