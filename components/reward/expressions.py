"""Mathematics by math-verify."""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import lru_cache
from typing import Any

from vlmloom.components.contracts.reward import OnError, Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.bounded import Overran, bounded
from vlmloom.components.reward.collected import PAIR, collected, form_of, plain
from vlmloom.components.reward.leads import asked, spelled
from vlmloom.components.reward.number import Quantity, read_quantity
from vlmloom.components.reward.parsed import Unreadable, folded, shown, unwrapped
from vlmloom.registry import register
from vlmloom.registry.errors import UserError

FRACTION = re.compile(
    r"(?P<sign>[-+−]?)\s*(?P<whole>[0-9]{0,20})\s*\\[dt]?frac\s*"  # noqa: RUF001
    r"(?:\{\s*(?P<above>[-−]?[0-9]{1,20})\s*\}\s*\{\s*(?P<below>[0-9]{1,20})\s*\}|(?P<one>[0-9])\s*(?P<other>[0-9]))"  # noqa: RUF001
)
POWER = re.compile(
    r"(?P<sign>[-+−]?)\s*(?:(?P<times>[0-9]{1,20}(?:\.[0-9]{0,20})?)\s*(?:[x×*·⋅]|\\times|\\cdot)\s*)?"  # noqa: RUF001
    r"10\s*\^\s*(?:\{\s*(?P<ten>[-−]?[0-9]{1,2})\s*\}|(?P<digits>[-−]?[0-9]{1,2}))"  # noqa: RUF001
)
"""Powers of ten are numbers themselves; other operations are calculations."""
LOWERED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
"""Exponents that are written as such."""
INVERSE = re.compile(r"(?P<sign>[-+]?)\s*(?P<below>[0-9]{1,20})\s*\^\s*(?:\{\s*-\s*1\s*\}|-1)")
"""One over a number; other powers are calculations."""
POINT = re.compile(r"\\\{\s*(\([^()]*\))\s*\\\}")
"""The set of one point."""
JOINED = re.compile(r"\$\s*(?:(,)|,?\s*(and|or))\s*\$")
"""Between expressions in dollars of their own."""
DERIVED = re.compile(
    r"(?:[a-z](?:['\u2032\u2019]|\^\{?\\prime\}?)(?:\s*\(\s*[a-z]\s*\))?"
    r"|\\[dt]?frac\{d[a-z]?\}\{d[a-z]\}(?:\s*[a-z]\s*\(\s*[a-z]\s*\))?)\s*=(?!=)\s*"
)
"""What a derivative is called."""
DERIVES = re.compile(r"derivat|differentiat|\\frac\{d", re.I)
APART = re.compile(r"(?<!\d)\s+|\s+(?!\d)")
"""Spaces that part no digits."""
EQUATION = re.compile(r"([^\W\d_]|\\[a-zA-Z]+)(_(?:\w|\{\w+\}))?\s*=(?!=)\s*([^=]+)")
"""A symbol and what it equals."""
FUNCTIONS = "sin|cos|tan|cot|sec|csc|arcsin|arccos|arctan|sinh|cosh|tanh|log|ln|exp|pi|infty|theta"


@register("reward/math")
class Math(Verifier):
    r"""Full marks for an equal expression, set, interval, matrix or equation, in LaTeX or in plain signs.

    Numbers are compared at once, with the tolerance; equal texts are equal; anything else is left to
    math-verify, in a process of its own. An answer that takes longer there than it may is wrong. Where the
    gold answer is a number, a calculation that is not carried out, such as the question's own, is wrong:
    a literal number is right, and a fraction where the gold answer is one or is not whole. A derivative, an
    integral, a limit, a sum or a product that is only written down is wrong where the gold answer has none.
    An equation is right where the gold answer is one, of the same symbol; the symbol may be left out. Points,
    sets and intervals of numbers are compared as what `truth["form"]` says, or the gold answer's brackets.

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
        gold = bare(sample.answer)
        try:
            found = bare(response)
        except Unreadable as error:
            return Reward(0.0, reason=str(error))
        if "=" not in gold:
            question = spelled(sample.prompt)
            found = asked(found, question)
            derives = not sample.prompt or DERIVES.search(question)
            found = DERIVED.sub("", found, count=1) if derives and DERIVED.match(found) else found
        if "\\{" not in gold and (point := POINT.fullmatch(found)):
            found = point[1]
        said = f"answered {shown(found)}, right is {shown(gold)}"
        if not found:
            return Reward(0.0, reason="an empty answer")
        if APART.sub("", found) == APART.sub("", gold):
            return Reward(1.0, reason=said)
        if form := sample.truth.get("form") or form_of(gold):
            one_of, right_of = (collected(text, form, _value) for text in (found, gold))
            if right_of is not None:
                near = one_of is not None and one_of.near(right_of, max(self.relative, 1e-9))
                return Reward(float(near), reason=f"{said}; read as a {form}")
            if form == "set" and PAIR.fullmatch(plain(found)):
                return Reward(0.0, reason=f"{said}; a point or an interval, where a set is right")
        (symbol, value), (own, right) = equated(found), equated(gold)
        if symbol and (symbol != own and (own or "=" not in gold)):
            return Reward(0.0, reason=f"{said}; an equation of {symbol}")
        one, other = plain_number(value), plain_number(right)
        if other is not None:
            if one is None or (one.fraction and not other.fraction and other.value.is_integer()):
                return Reward(0.0, reason=f"{said}; no number, or a calculation that is not carried out")
            room = max(self.relative, 1e-9) * abs(other.value)
            return Reward(float(abs(one.value - other.value) <= room), reason=said)
        if wrong := otherwise(found, gold):
            return Reward(0.0, reason=f"{said}; {wrong}")
        try:
            equal = bounded(self.seconds).ask(verified, latex(gold), latex(found), self.relative)
        except Overran as error:
            return Reward(0.0, reason=f"{said}; {error}")
        return Reward(float(equal), reason=said)


WORDS = re.compile(r"\\(text[a-z]*|[mhf]box|emph|math[a-z]+|operatorname)\s*\*?\s*\{([^{}]*)\}")
SIGNS = re.compile(
    r"\\\\|[!?'$]|\.\.\.|(?<=[\d)}\]])\s*_|\\boxed(?!\s*\{)|\\(?:text[a-z]*|mathrm|mbox)\s*\{[^{}]*\}\s*[\^_]"
    r"|\\(?:text[a-z]*|[mhf]box|emph)\s*\{\W*\}|(?<![a-zA-Z])(?:or|and)(?![a-zA-Z])"
)
"""What math-verify reads past, or behind which it takes another answer for the one that is meant."""
NAMES = re.compile(r"\\([a-zA-Z]+)|([^\x00-\x7f])")
KNOWN = frozenset(
    "frac dfrac tfrac sqrt cdot times div left right big bigl bigr Big Bigl Bigr displaystyle text "
    "mathrm mathbf mathit mathbb operatorname mbox textbf textit textrm emph begin end quad qquad "
    "boxed binom dbinom tbinom leq geq le ge lt gt leqslant geqslant in cup cap setminus emptyset "
    "infty pi sum prod int lim ln log exp sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh "
    "det alpha beta gamma delta epsilon zeta eta varepsilon theta vartheta iota kappa lambda mu nu xi "
    "rho sigma tau phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega pm mp "
    "lor vee land wedge mid colon lbrace rbrace lvert rvert vert".split()
) | frozenset("√∞∪∩∈≤≥×·⋅÷−±∅ℝπθ")  # noqa: RUF001
"""Commands and signs that it reads; others may say anything."""
NAMED = re.compile(
    rf"\\(?:begin|end)\s*\{{\w+\*?\}}|\\[a-zA-Z]+|(?<![a-zA-Z])(?:and|or|inf|in)(?![a-zA-Z])|sqrt|{FUNCTIONS}"
)
"""What letters stand for by themselves."""


def otherwise(found: str, gold: str) -> str:
    r"""How an expression differs where math-verify does not look: words, units, signs, case; or empty.

    >>> otherwise(r"x \text{ is wrong}", "x"), otherwise("X + 1", "x + 1"), otherwise("1 + x", "x + 1")
    ('other words or units', 'letters of another case', '')
    """
    ours, theirs = (
        {word for run in WORDS.findall(text) for word in worded(*run)} - {"and", "or", *FUNCTIONS.split("|")}
        for text in (found, gold)
    )
    plain_words = set(re.findall(r"[^\W\d_]+", found.lower()))
    if ours - theirs or theirs - ours - plain_words:
        return "other words or units"
    one_of, right_of = (Counter(SIGNS.findall(text)) for text in (found, gold))
    if one_of != right_of:
        return f"{min((one_of - right_of) + (right_of - one_of))} in one of them alone"
    named, known = ({"".join(name) for name in NAMES.findall(text)} for text in (found, gold))
    if strange := named - known - KNOWN:
        return f"{min(strange)}, which the right answer has not"
    if found.count("=") > max(gold.count("="), 1):
        return "more than one equation"
    if re.search(r"[,;](?!\d{3}(?!\d))", re.sub(r"\\[,;]", "", found)) and not re.search("[,;]", gold):
        return "several answers"
    if ("%" in found) != ("%" in gold):
        return "per cent, or none"
    one, other = (set(re.findall(r"[A-Za-z]", NAMED.sub(" ", text))) for text in (found, gold))
    more = (
        {sign.lower() for sign in one}
        - {sign.lower() for sign in other}
        - ({"e"} if "exp" in gold else set())
    )
    if more and ("=" in gold or "=" not in found):
        return f"{min(more)} in one of them alone"
    mixed = any(sign.isupper() and sign.lower() in other for sign in other)
    if one != other and (mixed or {sign.lower() for sign in one} == {sign.lower() for sign in other}):
        return "letters of another case"
    return ""


def worded(command: str, content: str) -> list[str]:
    r"""What is said in words: names of several letters, and in a text all else but what parts a list.

    >>> worded("text", " + 3 cm, "), worded("mathrm", "d"), worded("mathrm", "cm")
    (['+', '3', 'cm'], [], ['cm'])
    """
    found = re.findall(r"[^\W\d_]+|[^\s,;:]", content.lower())
    named = command.startswith(("math", "op"))
    return [word for word in found if len(word) > 1 or (word.isdigit() if named else word != "a")]


def bare(text: str) -> str:
    r"""An answer without what leads it, its delimiters and a box round all of it.

    >>> bare(r"The answer is \(\boxed{\frac{1}{2}}\)."), bare("$x = 5$"), bare("x²")
    ('\\frac{1}{2}', 'x = 5', 'x^{2}')
    """
    text = unwrapped(folded(text)).replace("\u2013", "-")
    if "$" in text.strip("$"):
        text = unwrapped(JOINED.sub(lambda found: f" {found[1] or found[2]} ", text))
    if boxed := re.fullmatch(r"([^{}\\]*=\s*)\\boxed\s*\{(.*)\}", text, re.S):
        text = f"{boxed[1]}{unwrapped(boxed[2])}"
    text = re.sub(r"\s*\u00b0(?=\s*$)", r"^\\circ", text)
    return RAISED.sub(lambda run: f"^{{{run[0].translate(LOWERED)}}}", text)


def equated(text: str) -> tuple[str, str]:
    """The symbol that an equation begins with, empty where there is none, and what it equals.

    >>> equated("x = 3"), equated("x + 1"), equated("2x = 3")
    (('x', '3'), ('', 'x + 1'), ('', '2x = 3'))
    """
    match = EQUATION.fullmatch(text)
    return (match[1] + (match[2] or ""), match[3].strip()) if match else ("", text)


def plain_number(text: str) -> Quantity | None:
    r"""The number that a text is, without any unit; None for anything else.

    >>> plain_number(r"\frac{1}{2}").value, plain_number("10^3").value, plain_number("2+3")
    (0.5, 1000.0, None)
    """
    if "!" in text:  # a factorial, as `reward/math` reads it
        return None
    text = text.replace("{,}", ",").replace("\u2212", "-")
    if match := FRACTION.fullmatch(text):
        above, below = int(match["above"] or match["one"]), int(match["below"] or match["other"])
        if not below or (match["whole"] and above < 0):
            return None
        value = int(match["whole"] or 0) + above / below
        return Quantity(-value if match["sign"] == "-" else value, fraction=True)
    if (match := INVERSE.fullmatch(text)) and int(match["below"]) > 1:
        return Quantity((-1 if match["sign"] == "-" else 1) / int(match["below"]), fraction=True)
    if match := POWER.fullmatch(text):
        value = float(match["times"] or 1) * 10.0 ** int(match["ten"] or match["digits"])
        return Quantity(-value if match["sign"] == "-" else value)
    try:
        found = read_quantity(text)
    except Unreadable:
        return None
    return None if found.unit else found


def _value(text: str) -> float | None:
    found = plain_number(text)
    return None if found is None else found.value


def latex(text: str) -> str:
    r"""Plain signs as LaTeX: `sqrt(2)`, a radical sign, `x**2`, `2*pi`.

    >>> latex("2*sqrt(3) + x**(1/2)"), latex(r"\frac{1}{2}")
    ('2 \\cdot \\sqrt{3} + x^{1/2}', '\\frac{1}{2}')
    """
    text = re.sub(r"\u221a\s*(?:\(([^()]*)\)|(\w+))", lambda root: rf"\sqrt{{{root[1] or root[2]}}}", text)
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
    # 3 may stand for `x = 3`; nothing else equals what is of another kind.
    if kinds[0] != kinds[1] and kinds != ("equation", "expression"):
        return False
    if undone(other[0]) and not undone(one[0]):
        return False
    digits = 15 if relative == 0 else max(1, -round(math.log10(relative)))
    return bool(verify(one, other, float_rounding=digits, strict=True, timeout_seconds=None))


def undone(value: Any) -> bool:
    """Whether an operation of calculus is written down, and not carried out."""
    from sympy import Basic, Derivative, Integral, Limit, Product, Sum

    return isinstance(value, Basic) and value.has(Derivative, Integral, Limit, Product, Sum)


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
