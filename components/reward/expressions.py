"""Mathematics by math-verify."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

from vlmloom.components.contracts.reward import OnError, Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.bounded import Overran, bounded
from vlmloom.components.reward.choice import LEAD
from vlmloom.components.reward.number import Quantity, read_quantity
from vlmloom.components.reward.parsed import Unreadable, folded, shown
from vlmloom.registry import register
from vlmloom.registry.errors import UserError

WRAPS = re.compile(r"\$\$(.*)\$\$|\$(.*)\$|\\\((.*)\\\)|\\\[(.*)\\\]|\\boxed\{(.*)\}", re.S)
OPEN = re.compile(
    r"[0-9)}]\s*(?:[-+*×·−]|\\times|\\cdot|\\div|\^(?<!10\^))\s*[\\({0-9]"  # noqa: RUF001
)
"""Numbers with an operation between them; fractions, roots and powers of ten are numbers themselves."""
FUNCTIONS = "sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|sinh|cosh|tanh|log|ln|exp|pi|infty|theta"


@register("reward/math")
class Math(Verifier):
    r"""Full marks for an equal expression, set, interval, matrix or equation, in LaTeX or in plain signs.

    Numbers are compared at once, with the tolerance; equal texts are equal; anything else is left to
    math-verify, in a process of its own. An answer that takes longer there than it may is wrong. Where the
    gold answer is a number, a calculation that is not carried out, such as the question's own, is wrong.

    Args:
        relative: tolerance of numbers, of the gold value.
        seconds: CPU time for one answer.
        on_error: see `Verifier`.

    Raises:
        UserError: math-verify is not installed.

    Reference: arXiv 2507.01006, table 1; https://github.com/huggingface/Math-Verify.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> sample = Sample("t", "test", 0, [], "$(x+1)^2$", Scene(""))
    >>> [reward.value for reward in Math().judge(sample, ["x^2 + 2x + 1", r"\(x^2+1\)", "x > 0"])]
    [1.0, 0.0, 0.0]
    """

    longest = 2000

    def __init__(self, *, relative: float = 1e-6, seconds: float = 3.0, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        if not 0 <= relative < 1:
            raise ValueError(f"reward/math: relative is {relative}; 0 or more and below 1 would be right")
        try:
            import math_verify  # noqa: F401
        except ImportError:
            raise UserError(
                "reward/math: math-verify is not installed; pip install 'vlmloom[tasks]'"
            ) from None
        self.relative, self.seconds = relative, seconds

    def score(self, sample: Sample, response: str) -> Reward:
        """1 or 0."""
        gold, found = bare(sample.answer), bare(response)
        said = f"answered {shown(found)}, right is {shown(gold)}"
        if not found:
            return Reward(0.0, reason="an empty answer")
        one, other = plain_number(found), plain_number(gold)
        if one is not None and other is not None:
            room = max(self.relative, 1e-9) * abs(other.value)
            return Reward(float(abs(one.value - other.value) <= room), reason=said)
        if "".join(found.split()) == "".join(gold.split()):
            return Reward(1.0, reason=said)
        if other is not None and OPEN.search(found):
            return Reward(0.0, reason=f"{said}; the calculation is not carried out")
        try:
            equal = bounded(self.seconds).ask(verified, latex(gold), latex(found), self.relative)
        except Overran as error:
            return Reward(0.0, reason=f"{said}; {error}")
        return Reward(float(equal), reason=said)


def bare(text: str) -> str:
    r"""An answer without what leads it, its delimiters and a box round all of it.

    >>> bare(r"The answer is \(\boxed{\frac{1}{2}}\)."), bare("$x = 5$")
    ('\\frac{1}{2}', 'x = 5')
    """
    text = LEAD.sub("", folded(text)).strip()
    text = text[:-1].rstrip() if text.endswith(".") else text
    while (match := WRAPS.fullmatch(text)) and _whole(
        inner := next(one for one in match.groups() if one is not None)
    ):
        text = inner.strip()
    return text


def _whole(inner: str) -> bool:
    """Whether delimiters round a text belong together."""
    depth = 0
    for sign in inner:
        depth += (sign == "{") - (sign == "}")
        if depth < 0:
            return False
    return "$" not in inner and depth == 0


def plain_number(text: str) -> Quantity | None:
    """The number that a text is, without any unit; None for anything else."""
    try:
        found = read_quantity(text)
    except Unreadable:
        return None
    return None if found.unit else found


def latex(text: str) -> str:
    r"""Plain signs as LaTeX: `sqrt(2)`, `x**2`, `2*pi`.

    >>> latex("2*sqrt(3) + x**(1/2)"), latex(r"\frac{1}{2}")
    ('2 \\cdot \\sqrt{3} + x^{1/2}', '\\frac{1}{2}')
    """
    text = text.replace("**", "^")
    text = re.sub(r"\^\s*\(([^()]*)\)", r"^{\1}", text)
    text = re.sub(r"(?<![\\a-zA-Z])sqrt\s*\(([^()]*)\)", r"\\sqrt{\1}", text)
    text = re.sub(rf"(?<![\\a-zA-Z])({FUNCTIONS})(?![a-zA-Z])", r"\\\1 ", text)
    return text.replace("*", r" \cdot ")


def verified(gold: str, found: str, relative: float) -> bool:
    """Whether math-verify holds two expressions equal; called in the bounded process.

    Raises:
        ValueError: the gold expression cannot be read.
    """
    from math_verify import verify

    one, other = _parsed(gold), _parsed(found)
    if not one:
        raise ValueError(f"the gold answer {gold!r} is no expression")
    if not other:
        return False
    kinds = _kind(one[0]), _kind(other[0])
    # `x = 3` and 3 may stand for each other; nothing else equals what is of another kind.
    if kinds[0] != kinds[1] and set(kinds) != {"expression", "equation"}:
        return False
    digits = 15 if relative == 0 else max(1, -round(math.log10(relative)))
    return bool(verify(one, other, float_rounding=digits, strict=True, timeout_seconds=None))


def prepare() -> None:
    """Import what takes longer than an answer may."""
    import math_verify  # noqa: F401


verified.prepare = prepare  # type: ignore[attr-defined]


@lru_cache(4096)
def _parsed(text: str) -> list[Any]:
    from math_verify import LatexExtractionConfig, parse

    return list(
        parse(
            f"${text}$",
            extraction_config=[LatexExtractionConfig()],
            fallback_mode="no_fallback",
            extraction_mode="first_match",
            parsing_timeout=None,
        )
    )


def _kind(value: Any) -> str:
    """What may equal what: an interval is no number, an inequality no equation."""
    from sympy import Eq, Expr, MatrixBase, Set
    from sympy.logic.boolalg import Boolean

    if isinstance(value, Eq):
        return "equation"
    for kind, name in ((Boolean, "relation"), (Set, "set"), (MatrixBase, "matrix"), (Expr, "expression")):
        if isinstance(value, kind):
            return name
    return type(value).__name__
