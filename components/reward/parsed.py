"""Reading answers: what has not the form that was asked for is wrong, and the reason says what was found."""

from __future__ import annotations

import re
import unicodedata
from abc import abstractmethod
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from vlmloom.components.contracts.boxes import THOUSAND
from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.denial import denies
from vlmloom.components.reward.leads import leads, unheaded, unled

Corners = tuple[float, float, float, float]
"""x1, y1, x2, y2 as somebody wrote them."""

RUN = re.compile(r"[\w.+-]*[0-9][\w.+-]*")
NUMBER = re.compile(r"[-+]?(?:[0-9]{1,20}\.?[0-9]{0,20}|\.[0-9]{1,20})(?:[eE][-+]?[0-9]{1,2})?\.?")
"""What stands together with a digit, and what of that is one number."""

KEYS = "answer|box|bbox|bbox_2d|box_2d|point|point_2d|start_box|coordinates"
NAMED = re.compile(
    r"(?:the|its)\s+(?:bounding\s+)?(?:box|point|coordinates?|location|position)(?:\s+coordinates)?"
    r"(?:\s+(?:of|for)\s+(?P<of>(?:[^\W\d_]+\s+){1,7}))?"
    r"\s*(?:is|are)\s*:?\s*"
    r"(?=[\[({\d])",
    re.I,
)
"""What may lead to it in a sentence."""
LABEL = re.compile(r"""(?<=[{,])\s*(["'])label\1\s*:\s*(["'])([^\W_][\w -]{0,60})\2\s*(?:,|(?=\}))""", re.I)
"""The name of the thing in JSON, as grounding models give it beside the box."""
KEY = re.compile(rf"""([\s\[({{]*)(?:{KEYS}|"(?:{KEYS})"|'(?:{KEYS})')\s*:""", re.I)
"""The name that may stand before a box or a point."""


TAGGED = re.compile(
    r"(?:<ref>(?P<ref>[^<>]*)</ref>)?\s*<(?P<tag>box|point)>(?P<inner>.*)</(?P=tag)>"
    r"|(?:<\|object_ref_start\|>(?P<object>[^<>]*)<\|object_ref_end\|>)?\s*"
    r"<\|(?P<mark>box|point)_start\|>(?P<own>.*)<\|(?P=mark)_end\|>",
    re.S,
)
"""Marks of grounding models round a box or a point, and round the name of what is there."""


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


FENCE = re.compile(
    r"(?<![`~])(?P<fence>`{3,9}+(?!`)|(?<![^\n])~{3,9}+(?!~))(?P<format>[^\n`]*)\n"
    r"(?P<inner>.*?)(?:(?<=\n)[ \t]*(?P=fence)[`~]*(?=[ \t.]*(?:\n|\Z))|(?P=fence)[ \t.]*\n?\Z|\Z)",
    re.S,
)
"""A code fence; the last one may be left open."""
QUOTED = re.compile(r"\s*`([^`]+)`[\s.]*")
FORMATS = frozenset(
    "json jsonc json5 html xml latex tex math text txt plain plaintext markdown md csv yaml python py js "
    "javascript fen smiles".split()
) | {""}
BEGIN, END = "<|begin_of_box|>", "<|end_of_box|>"


def unfenced(text: str) -> str:
    r"""The content of the one code fence of a text, or of its box; without one, the text itself.

    Nothing stands behind the fence, and before it at most words that only lead to it, such as "Here is the
    JSON:": whatever else is said there may deny the content, retract it or give another answer.

    Raises:
        Unreadable: it has several fences or boxes, or one with other words around it.

    >>> unfenced("Here is the list:\n```json\n[1]\n```")
    '[1]'
    >>> unfenced("This is wrong:\n```json\n[1]\n```")
    Traceback (most recent call last):
    vlmloom.components.reward.parsed.Unreadable: words around a code fence: 'This is wrong:'
    """
    text = unboxed(text)
    if (quoted := QUOTED.fullmatch(text)) and (quoted[1].lstrip()[:1] in "[{<" or "\n" in quoted[1]):
        text = quoted[1]
    fences = list(FENCE.finditer(text))
    if not fences:
        return text.strip()
    if len(fences) > 1:
        raise Unreadable(f"{len(fences)} code fences; one would be right")
    (fence,) = fences
    before, behind = text[: fence.start()], text[fence.end() :]
    if behind.strip(" \t\n.") or not leads(before, courteous=True):
        raise Unreadable(f"words around a code fence: {shown(f'{before.strip()} {behind.strip()}'.strip())}")
    if fence["format"].strip().lower() not in FORMATS:
        raise Unreadable(f"a code fence of {shown(fence['format'])}")
    return fence["inner"].strip()


def unboxed(text: str) -> str:
    """The content of the one box of a text, led to by words at most; without a box, the text itself.

    Raises:
        Unreadable: it has several boxes, half of one, or other words around it.

    >>> unboxed("So the answer is <|begin_of_box|> cat <|end_of_box|>."), unboxed("cat")
    ('cat', 'cat')
    """
    boxes = text.count(BEGIN), text.count(END)
    if boxes == (0, 0):
        return text
    before, _, rest = text.partition(BEGIN)
    inner, end, behind = rest.partition(END)
    if boxes != (1, 1) or not end:
        raise Unreadable(
            f"{boxes[0]} times {BEGIN} and {boxes[1]} times {END}; once each, in this order, would be right"
        )
    if not ((leads(before) or unled(f"{before} X") == "X") and re.fullmatch(r"[\s.!*。]*", behind)):
        raise Unreadable(f"words around the box: {shown(f'{before.strip()} {behind.strip()}'.strip())}")
    return inner.strip()


LAYERS = 8
"""Of delimiters that are taken off an answer."""
WRAPS = re.compile(
    r"""\$\$(.*)\$\$|\$(.*)\$|\\\((.*)\\\)|\\\[(.*)\\\]|\\boxed\{(.*)\}|\*\*(.*)\*\*|\*(.*)\*|`(.*)`|__(.*)__|\\text\{(.*)\}|"(.*)"|“(.*)”""",
    re.S,
)


MARKED = re.compile(r"^(?:#{1,6}|[*\u2022])[ \t]++(?=[^\n]+\Z)")
"""What makes one line a heading or an entry of a list."""


def unwrapped(text: str, stop: bool = True) -> str:
    r"""An answer without lead, code fence, delimiters of LaTeX or Markdown, quotes and full stop.

    Args:
        text: the answer.
        stop: whether a full stop behind it is none of it.

    Raises:
        Unreadable: see `unfenced`.

    >>> unwrapped("The answer is **7**."), unwrapped(r"\(\boxed{\frac{1}{2}}\)"), unwrapped("$a$ and $b$")
    ('7', '\\frac{1}{2}', '$a$ and $b$')
    """
    *_, last = peeled(text, stop)
    return last


def peeled(text: str, stop: bool = True) -> Iterator[str]:
    """An answer as `unwrapped` takes one thing after another off it, from without its fence to the last.

    Raises:
        Unreadable: see `unfenced`.

    >>> list(dict.fromkeys(peeled("The answer is **7**.")))
    ['The answer is **7**.', '**7**.', '**7**', '7']
    """
    text = unfenced(text)
    yield text
    for _ in range(LAYERS):
        yield (text := unheaded(text))
        yield (text := MARKED.sub("", unled(text)))
        if stop and text.endswith(("。", ".")) and not text.endswith(".."):
            yield (text := text[:-1].rstrip())
        match = WRAPS.fullmatch(text)
        inner = "" if match is None else next(one for one in match.groups() if one is not None)
        if not inner.strip() or not _whole(inner, text[0]):
            break
        yield (text := inner.strip())


def _whole(inner: str, sign: str) -> bool:
    """Whether delimiters round a text belong together."""
    depth = 0
    for one in inner:
        depth += (one == "{") - (one == "}")
        if depth < 0:
            return False
    return (sign == "\\" or sign not in inner) and (sign in "*_" or "$" not in inner) and depth == 0


def numbers(text: str, count: int, question: str = "") -> tuple[float, ...]:
    """The numbers of a list of exactly so many: bare, in brackets, as JSON, or after a key and a colon.

    Args:
        text: the answer.
        count: how many.
        question: what was asked; a thing that is named beside the numbers has to be named there.

    Raises:
        Unreadable: it has more or fewer, or anything stands around them.

    >>> numbers("(10, 20.5)", 2), numbers("point: 10 20", 2), numbers('{"bbox_2d": [1, 2, 3, 4]}', 4)
    ((10.0, 20.5), (10.0, 20.0), (1.0, 2.0, 3.0, 4.0))
    >>> numbers('[{"bbox_2d": [1, 2, 3, 4], "label": "dog"}]', 4), numbers("The point is (10, 20).", 2)
    ((1.0, 2.0, 3.0, 4.0), (10.0, 20.0))
    >>> numbers("not [10, 20]", 2)
    Traceback (most recent call last):
    vlmloom.components.reward.parsed.Unreadable: not just 2 numbers in 'not [10, 20]'
    """
    plain = unwrapped(folded(text)) if len(text) <= 1000 else ""
    if (named := NAMED.match(plain)) and named_in(question, named["of"]):
        plain = plain[named.end() :]
    if (tagged := TAGGED.fullmatch(plain)) and named_in(question, tagged["ref"] or tagged["object"]):
        plain = tagged["inner"] or tagged["own"]
    if (label := LABEL.search(plain)) and plain[:1] in ("[", "{") and not denies(label[3].replace("_", " ")):
        plain = plain[: label.start()] + plain[label.end() :]
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


WORD = re.compile(r"\w+")
SCENE = re.compile(r"\s+(?:in|on) (?:the|this) (?:image|picture|photo|screenshot|page)\s*$", re.I)


def named_in(question: str, name: str | None) -> bool:
    """Whether a thing is called as a question has it, word after word, or by no name.

    >>> names = ("the dog in the image", "red dog", "the cat", None)
    >>> [named_in("Where is the red dog?", name) for name in names]
    [True, True, False, True]
    """
    own, asked = (
        f" {' '.join(WORD.findall(text.lower()))} " for text in (SCENE.sub("", name or ""), question)
    )
    return re.sub(r"^ (?:the|an?) ", " ", own) in asked or not own.strip()


NOWHERE: Corners = (0.0, 0.0, 0.0, 0.0)
"""A box that overlaps nothing."""


def corners(value: Any) -> Corners:
    """A box out of JSON: four numbers in thousandths, the first corner left of and above the second.

    Four numbers that are no such box, as one a mark beyond the edge, are `NOWHERE`: a wrong box among others.

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
        return NOWHERE
    return x1, y1, x2, y2
