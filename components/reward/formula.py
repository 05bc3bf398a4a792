"""Formulas as they were set."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from vlmloom.components.contracts.reward import OnError
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.bounded import Overran, bounded
from vlmloom.components.reward.expressions import bare
from vlmloom.components.reward.parsed import Parsed, Unreadable, shown
from vlmloom.registry import register

DISPLAYED = re.compile(
    r"\\begin\{((?:equation|displaymath|math|align|gather)(?:ed)?\*?)\}(.*)\\end\{\1\}", re.S
)
"""What may stand round a formula and sets it apart."""
EMPTY = re.compile(r"[\^_]\s*\{\s*\}")
"""A script of nothing; mathtext would take the next sign for it."""
TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|[^\s]", re.S)
SPACES = frozenset(
    r"\, \; \: \! \quad \qquad \left \right \displaystyle \textstyle \limits \nolimits \bigl \bigr \big "
    r"\Big \bigg \Bigg \Bigl \Bigr ~".split()
) | {"\\ "}
SAME = {
    r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\le": r"\leq", r"\ge": r"\geq", r"\ne": r"\neq",
    r"\to": r"\rightarrow", r"\gets": r"\leftarrow", r"\lbrace": r"\{", r"\rbrace": r"\}", r"\vert": "|",
    r"\lvert": "|", r"\rvert": "|", r"\land": r"\wedge", r"\lor": r"\vee", r"\ast": "*",
    r"\operatorname": r"\mathrm", r"\rm": r"\mathrm", r"\dots": r"\ldots", r"\varnothing": r"\emptyset",
    r"\text": r"\mathrm", r"\textrm": r"\mathrm", r"\lt": "<", r"\gt": ">",
}  # fmt: skip


@register("reward/latex")
class Latex(Parsed):
    r"""Full marks for LaTeX that sets the same formula, as for reading one from a picture.

    Texts that differ in spaces, braces, the order of scripts and names of one sign are the same; else both
    are set by matplotlib's mathtext, in a process of its own, and have to put the same signs in the same
    places. A formula that is equal by calculation alone is another one. `parts["edit"]` is the similarity of
    the tokens.

    Args:
        whole: full marks or none; else the similarity of the tokens where the formulas differ.
        seconds: CPU time for one answer.
        on_error: see `Verifier`.

    Reference: arXiv 2409.03643 (CDM compares what is seen, for the same reason).

    >>> from vlmloom.components.contracts.sample import Scene
    >>> sample = Sample("t", "test", 0, [], r"\frac{a}{b} + x^{2}", Scene(""))
    >>> answers = [r"$$\dfrac ab+x^2$$", r"x^2 + \frac{a}{b}"]
    >>> [reward.value for reward in Latex().judge(sample, answers)]
    [1.0, 0.0]
    """

    longest = 4000

    def __init__(self, *, whole: bool = True, seconds: float = 3.0, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        self.whole, self.seconds = whole, seconds

    def read(self, text: str, sample: Sample) -> tuple[str, list[str]]:
        """The formula, and its normal tokens."""
        inner = bare(text)
        inner = EMPTY.sub("", DISPLAYED.sub(r"\2", inner) if DISPLAYED.fullmatch(inner) else inner)
        if inner.count("~~") > 1 and "~~" not in sample.answer:
            raise Unreadable(f"struck out: {shown(text)}")
        tokens = tokenised(inner)
        if not tokens:
            raise Unreadable("an empty formula")
        return inner, tokens

    def compare(self, found: tuple[str, list[str]], gold: tuple[str, list[str]], sample: Sample) -> Reward:
        """1 or 0, or the similarity."""
        from rapidfuzz.distance import Levenshtein

        alike = float(Levenshtein.normalized_similarity(found[1], gold[1]))
        same, why = alike == 1, ""
        # Few tokens can differ in formulas that look the same.
        if not same and alike > 0.3:
            try:
                same = bounded(self.seconds).ask(set_alike, found[0], gold[0])
            except Overran as error:
                why = f"; {error}"
        value = 1.0 if same else 0.0 if self.whole else min(alike, 0.99)
        return Reward(value, {"edit": alike}, f"{alike:.0%} of the tokens of {shown(gold[0])}{why}")


def tokenised(text: str) -> list[str]:
    r"""The tokens of a formula, without spaces and needless braces, and one name for one sign.

    >>> tokenised(r"\dfrac{a}{b}\, x^{2}") == tokenised(r"\frac ab x^2")
    True
    """
    tokens = [SAME.get(token, token) for token in TOKEN.findall(text) if token not in SPACES]
    found: list[str] = []
    for token in tokens:
        found.append(token)
        if len(found) >= 3 and found[-1] == "}" and found[-3] == "{" and found[-2] not in ("{", "}"):
            found[-3:] = [found[-2]]
    return ordered(found)


def ordered(tokens: list[str]) -> list[str]:
    """Tokens with what stands below before what stands above: `x^2_1` is `x_1^2`.

    >>> "".join(ordered(list("x^2_{1}")))
    'x_{1}^2'
    """
    found = list(tokens)
    for at, token in enumerate(found):
        if token == "^":
            above = _end(found, at + 1)
            if found[above : above + 1] == ["_"]:
                below = _end(found, above + 1)
                found[at:below] = [*found[above:below], *found[at:above]]
    return found


def _end(tokens: list[str], at: int) -> int:
    """Where the token or the group in braces that begins at a place is over."""
    depth = 0
    for place in range(at, len(tokens)):
        depth += (tokens[place] == "{") - (tokens[place] == "}")
        if depth <= 0:
            return place + 1
    return len(tokens)


def set_alike(found: str, gold: str) -> bool:
    """Whether two formulas put the same signs in the same places; called in the bounded process."""
    one, other = _layout(found), _layout(gold)
    return one is not None and one == other


@lru_cache(4096)
def _layout(text: str) -> tuple[Any, ...] | None:
    """Signs and lines of a formula and their places in hundredths of a point; None where it cannot be set."""
    parser = _parser()
    tokens = [SAME.get(token, token) for token in TOKEN.findall(text) if token not in SPACES]
    source = " ".join(tokens).replace("$", "")
    try:
        set_ = parser.parse(f"${source}$", dpi=72)
    except (ValueError, RecursionError):
        return None
    signs = sorted(
        # From matplotlib 3.11 a glyph's index stands between its sign and its place.
        (font.fname, size, sign, round(100 * x), round(100 * y))
        for font, size, sign, *_, x, y in set_.glyphs
    )
    lines = sorted(tuple(round(100 * one) for one in line) for line in set_.rects)
    return (tuple(signs), tuple(lines)) if signs else None


@lru_cache(1)
def _parser() -> Any:
    from matplotlib.mathtext import MathTextParser

    return MathTextParser("path")


def prepare() -> None:
    """Import and load what takes longer than an answer may."""
    _parser().parse("$x$")


set_alike.prepare = prepare  # type: ignore[attr-defined]
