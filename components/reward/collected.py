"""Points, sets and intervals of numbers, in LaTeX or in plain signs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import NamedTuple

FORMS = ("point", "set", "interval")
SIGNS = {"\u221e": r"\infty", "\u222a": r"\cup", "\u2212": "-", "\u2264": "<=", "\u2265": ">="}
WRITTEN = {r"\left": "", r"\right": "", r"\{": "{", r"\}": "}", r"\leq": "<=", r"\geq": ">=", r"\le": "<=",
           r"\ge": ">=", r"\lt": "<", r"\gt": ">", r"\,": "", r"\;": "", r"\quad": " "}  # fmt: skip
COMMAND = re.compile("|".join(re.escape(one) + r"(?![a-z])" * one[1:].isalpha() for one in WRITTEN))
EQUALS = re.compile(r"([a-z])\s*=\s*([^=]+)")
AND = re.compile(r"\s*(?:,|;|\band\b|\\text\{\s*and\s*\})\s*")
OR = re.compile(
    r"\s*(?:,|;|[或和]|\bund\b|\boder\b|\band\b|\bor\b|\\text\{\s*(?:and|or)\s*\}|\\lor\b|\\vee\b)\s*"
)
PAIR = re.compile(r"[(\[][^()\[\]]+,[^()\[\]]+[)\]]")
SPAN = re.compile(r"([(\[])([^,()\[\]]+),([^,()\[\]]+)([)\]])")
BETWEEN = re.compile(r"([^<>=]+)(<=?)\s*[a-z]\s*(<=?)([^<>=]+)")
BEYOND = re.compile(r"[a-z]\s*([<>]=?)([^<>=]+)")


class Collection(NamedTuple):
    """What a text lists.

    Attributes:
        form: point, set or interval.
        values: numbers in their order, those of a set and the spans of an interval from the lowest up.
        closed: of an interval, whether each end belongs to it.
    """

    form: str
    values: tuple[float, ...]
    closed: tuple[bool, ...] = ()

    def near(self, other: Collection, relative: float) -> bool:
        """Whether both are the same, numbers to within a tolerance."""
        if self.form != other.form or self.closed != other.closed or len(self.values) != len(other.values):
            return False
        pairs = zip(self.values, other.values, strict=True)
        return all(math.isclose(one, two, rel_tol=relative) for one, two in pairs)


def form_of(gold: str) -> str:
    r"""Which form a gold answer has, empty for none; a pair in round brackets is a point.

    >>> form_of(r"\{1, 2\}"), form_of("(1, 2)"), form_of(r"(1, \infty)"), form_of("x + 1")
    ('set', 'point', 'interval', '')
    >>> form_of("x = 1, x = 2")
    'set'
    """
    text = plain(gold)
    equations = [EQUALS.fullmatch(part) for part in OR.split(_unindexed(text))]
    roots = len(equations) > 1 and all(equations) and len({one[1] for one in equations if one}) == 1
    if roots or re.fullmatch(r"\{[^{}]*\}", text):
        return "set"
    if re.search(r"\\infty|\\cup", text) or (text.startswith("[") and SPAN.fullmatch(text)):
        return "interval"
    return "point" if re.fullmatch(r"\([^()]+,[^()]+\)", text) else ""


def _unindexed(text: str) -> str:
    """`x_1 = 2, x_2 = 3` as two values of x."""
    return re.sub(r"(?<![a-z\\])([a-z])_\{?[0-9]\}?(?=\s*=)", r"\1", text)


def plain(text: str) -> str:
    r"""A text with one spelling of brackets, signs and infinity.

    >>> plain(r"\left(-∞, 3\right] ∪ \{4\}")
    '(-\\infty, 3] \\cup {4}'
    """
    text = "".join(SIGNS.get(sign, sign) for sign in text)
    text = COMMAND.sub(lambda found: WRITTEN[found[0]], text)
    text = re.sub(r"(?<![\\a-z])(?:inf|infinity|oo)(?![a-z])", lambda _: r"\infty", text)
    return re.sub(r"(?<=[)\]])\s*U\s*(?=[(\[])", lambda _: r" \cup ", text).strip()


def collected(text: str, form: str, number: Callable[[str], float | None]) -> Collection | None:
    r"""What a text lists, read as an answer of a form; None where it is of another, or no list of numbers.

    Points are read as `(1, 2)`, `1, 2`, `x = 1, y = 2`; sets as `\{1, 2\}`, `1, 2`, `x = 1 or x = 2`;
    intervals in brackets and by inequalities.

    >>> points = ("x = 1 and y = 2", "{1, 2}", "[1, 2]", "x = 1 or y = 2")
    >>> [collected(one, "point", float) is None for one in points]
    [False, True, True, True]
    >>> collected("x < 1 or x >= 2", "interval", float) == collected("[2, ∞) ∪ (-∞, 1)", "interval", float)
    True
    """
    text = plain(text)
    read = {"point": _point, "set": _set, "interval": _interval}[form]
    try:
        return read(text, lambda one: _sure(number(one.strip())))
    except ValueError:
        return None


def _sure(value: float | None) -> float:
    if value is None:
        raise ValueError("no number")
    return value


def _point(text: str, number: Callable[[str], float]) -> Collection | None:
    text = re.sub(r"^\(\s*x\s*,\s*y\s*\)\s*=\s*(?=\()", "", text)
    if match := re.fullmatch(r"\((.*)\)", text, re.S):
        return Collection("point", tuple(map(number, match[1].split(","))))
    parts = AND.split(text)
    equations = [EQUALS.fullmatch(part) for part in parts]
    if not any(equations):
        return Collection("point", tuple(map(number, parts)))
    named = {match[1]: number(match[2]) for match in equations if match}
    return (
        Collection("point", tuple(named[name] for name in sorted(named)))
        if len(named) == len(parts)
        else None
    )


def _set(text: str, number: Callable[[str], float]) -> Collection | None:
    if match := re.fullmatch(r"(?:[a-z]\s*(?:=|\\in\b)\s*)?\{(.*)\}", text, re.S):
        parts = match[1].split(",")
    else:
        parts = OR.split(_unindexed(text))
        equations = [EQUALS.fullmatch(part) for part in parts]
        names = {match[1] for match in equations if match}
        if len(names) > 1 or (names and equations[0] is None):
            return None
        parts = [match[2] if match else part for part, match in zip(parts, equations, strict=True)]
    return Collection("set", tuple(sorted(set(map(number, parts)))))


def _interval(text: str, number: Callable[[str], float]) -> Collection | None:
    spans = []
    text = re.sub(r"^[a-z]\s*\\in\s*", "", text)
    for part in re.split(r"\\cup|\bor\b|\\text\{\s*or\s*\}|\\lor\b|\\vee\b", text):
        if match := SPAN.fullmatch(part.strip()):
            spans.append((_end(match[2], number), _end(match[3], number), match[1] == "[", match[4] == "]"))
        elif match := BETWEEN.fullmatch(part.strip()):
            low, high = _end(match[1], number), _end(match[4], number)
            spans.append((low, high, match[2] == "<=", match[3] == "<="))
        elif match := BEYOND.fullmatch(part.strip()):
            end, closed = _end(match[2], number), match[1].endswith("=")
            low = match[1][0] == "<"
            infinity = float("inf")
            spans.append((-infinity, end, False, closed) if low else (end, infinity, closed, False))
        else:
            return None
    spans.sort()
    ends = tuple(end for low, high, *_ in spans for end in (low, high))
    return Collection("interval", ends, tuple(closed for *_, one, two in spans for closed in (one, two)))


def _end(text: str, number: Callable[[str], float]) -> float:
    if match := re.fullmatch(r"([-+]?)\s*\\infty", text.strip()):
        return float(f"{match[1]}inf")
    return number(text)
