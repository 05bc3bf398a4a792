"""Reading answers: what has not the form that was asked for is wrong, and the reason says what was found."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from abc import abstractmethod
from itertools import groupby
from typing import Any

from vlmloom.components.contracts.boxes import THOUSAND
from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.exact import normal

Corners = tuple[float, float, float, float]
"""x1, y1, x2, y2 as somebody wrote them."""

RUN = re.compile(r"[\w.+-]*[0-9][\w.+-]*")
NUMBER = re.compile(r"[-+]?(?:[0-9]{1,20}\.?[0-9]{0,20}|\.[0-9]{1,20})(?:[eE][-+]?[0-9]{1,2})?\.?")
"""What stands together with a digit, and what of that is one number."""

KEYS = "answer|box|bbox|bbox_2d|box_2d|point|point_2d|start_box|coordinates"
KEY = re.compile(rf"""([\s\[({{]*)(?:{KEYS}|"(?:{KEYS})"|'(?:{KEYS})')\s*:""", re.I)
"""The name that may stand before a box or a point."""

DEEPEST = 32
"""Levels of a JSON answer."""


class Unreadable(ValueError):
    """A text has not the form that was asked for; the message says what was found."""


class Parsed(Verifier):
    """A verifier that reads the gold answer and the response alike, then compares what it read.

    A response that cannot be read is wrong; a gold answer that cannot be read is a failure of judging.
    """

    @abstractmethod
    def read(self, text: str, sample: Sample) -> Any:
        """What a text says.

        Raises:
            Unreadable: it has another form.
        """

    @abstractmethod
    def compare(self, found: Any, gold: Any, sample: Sample) -> Reward:
        """Judge what was read."""

    def score(self, sample: Sample, response: str) -> Reward:
        """Read both, then compare."""
        try:
            gold = self.read(sample.answer, sample)
        except Unreadable as error:
            raise ValueError(f"the gold answer: {error}") from None
        try:
            if "<|begin_of_box|>" in response or "<|end_of_box|>" in response:
                raise Unreadable("signs of a box within the answer; reward/boxed takes the box off")
            found = self.read(response, sample)
        except Unreadable as error:
            return Reward(0.0, reason=str(error))
        return self.compare(found, gold, sample)


def shown(text: object) -> str:
    """A text as a reason quotes it: one line, its beginning."""
    line = " ".join(str(text)[:200].split())
    return repr(line if len(line) <= 60 else f"{line[:57]}...")


def folded(text: str) -> str:
    """A text with full-width and other compatible forms of letters and digits unified, and trimmed.

    What stands for a number and is no digit stays what it is: a raised 2 behind a 7 is not 72.

    >>> folded("７m ") == "7m", folded("7²") == "7²"
    (True, True)
    """
    if text.isascii():
        return text.strip()
    runs = groupby(text, lambda sign: unicodedata.numeric(sign, None) is not None and not sign.isdecimal())
    return "".join(
        "".join(run) if kept else unicodedata.normalize("NFKC", "".join(run)) for kept, run in runs
    ).strip()


def unfenced(text: str, languages: str = r"\w*") -> str:
    r"""The content of the one code fence of a text; without a fence, the text itself.

    Raises:
        Unreadable: it has several.

    >>> unfenced("Here:\n```json\n[1]\n```")
    '[1]'
    """
    fences = re.findall(rf"```(?:{languages})[ \t]*\n(.*?)```", text, re.S)
    if len(fences) > 1:
        raise Unreadable(f"{len(fences)} code fences; one would be right")
    return (fences[0] if fences else text).strip()


def read_json(text: str) -> Any:
    """JSON, bare or in one code fence: no key twice, no NaN or infinity, at most `DEEPEST` levels.

    Raises:
        Unreadable: it is something else.

    >>> read_json('{"a": [1, null]}')
    {'a': [1, None]}
    >>> read_json('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    vlmloom.components.reward.parsed.Unreadable: no JSON: the key 'a' twice
    """
    inner = unfenced(text)
    if not inner or inner[0] not in '[{"-0123456789tfn':
        raise Unreadable(f"no JSON in {shown(text)}")
    try:
        value = json.loads(inner, object_pairs_hook=once_each, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise Unreadable(f"no JSON: more than {DEEPEST} levels") from None
    except ValueError as error:
        raise Unreadable(f"no JSON: {error}") from None
    _shallow(value, DEEPEST)
    return value


def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The keys and values of a JSON object, for `object_pairs_hook`.

    Raises:
        ValueError: a key stands twice.
    """
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} twice")
        found[key] = value
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text}")
    return value


def _shallow(value: Any, levels: int) -> None:
    if isinstance(value, (dict, list)):
        if not levels:
            raise Unreadable(f"no JSON: more than {DEEPEST} levels")
        for inner in value.values() if isinstance(value, dict) else value:
            _shallow(inner, levels - 1)


def numbers(text: str, count: int) -> tuple[float, ...]:
    """The numbers of a list of exactly so many: bare, in brackets, as JSON, or after a key and a colon.

    Raises:
        Unreadable: it has more or fewer, or anything stands around them.

    >>> numbers("(10, 20.5)", 2), numbers("point: 10 20", 2), numbers('{"bbox_2d": [1, 2, 3, 4]}', 4)
    ((10.0, 20.5), (10.0, 20.0), (1.0, 2.0, 3.0, 4.0))
    >>> numbers("not [10, 20]", 2)
    Traceback (most recent call last):
    vlmloom.components.reward.parsed.Unreadable: not just 2 numbers in 'not [10, 20]'
    """
    plain = folded(text) if len(text) <= 1000 else ""
    if fence := re.fullmatch(r"```\w*[ \t]*\n(.*?)```", plain, re.S):
        plain = fence[1].strip()
    plain = KEY.sub(r"\1", plain, count=1) if KEY.match(plain) else plain
    runs, between = RUN.findall(plain), RUN.sub("", plain)
    closed = all(between.count(a) == between.count(b) for a, b in ("[]", "()", "{}"))
    if (
        len(runs) != count
        or not all(map(NUMBER.fullmatch, runs))
        or not closed
        or not re.fullmatch(r"[\s\[\](){},;]*\.?", between)
    ):
        raise Unreadable(f"not just {count} numbers in {shown(text)}")
    return tuple(float(run.rstrip(".")) for run in runs)


def corners(value: Any) -> Corners:
    """A box out of JSON: four numbers in thousandths, the first corner left of and above the second.

    Raises:
        Unreadable: it is something else.
    """
    if (
        not isinstance(value, list)
        or len(value) != 4
        or not all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in value)
    ):
        raise Unreadable(f"no box: {shown(value)}; [x1, y1, x2, y2] would be right")
    x1, y1, x2, y2 = value
    if not (0 <= x1 < x2 <= THOUSAND and 0 <= y1 < y2 <= THOUSAND):
        raise Unreadable(f"no box: {value}; 0 <= x1 < x2 <= 1000 and 0 <= y1 < y2 <= 1000 would be right")
    return x1, y1, x2, y2


def read_items(text: str, language: str = "en") -> list[str]:
    r"""A list in words: JSON, one item a line (with or without bullets), or commas within one line.

    Raises:
        Unreadable: it is empty, or JSON of another form.

    >>> read_items('["Cat", "a dog"]'), read_items("- cat\n- dog"), read_items("cat, dog.")
    (['cat', 'dog'], ['cat', 'dog'], ['cat', 'dog'])
    """
    text = text.strip()
    if text.startswith(("[", "{", "```")):
        items = read_json(text)
        if not isinstance(items, list) or not all(isinstance(item, (str, int, float)) for item in items):
            raise Unreadable(f"no list of texts: {shown(text)}")
    else:
        pieces = text.splitlines()
        items = pieces if len(pieces) > 1 else re.split(r"[,;，、；]", text)
        items = [re.sub(r"^\s*(?:[-*•]|\d{1,3}[.)])\s+", "", item) for item in items]
    found = [normal(str(item), language) for item in items]
    if not found or not any(found):
        raise Unreadable("an empty list")
    return [item for item in found if item]
