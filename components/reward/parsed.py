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

Corners = tuple[float, float, float, float]
"""x1, y1, x2, y2 as somebody wrote them."""

RUN = re.compile(r"[\w.+-]*[0-9][\w.+-]*")
NUMBER = re.compile(r"[-+]?(?:[0-9]{1,20}\.?[0-9]{0,20}|\.[0-9]{1,20})(?:[eE][-+]?[0-9]{1,2})?\.?")
"""What stands together with a digit, and what of that is one number."""

KEYS = "answer|box|bbox|bbox_2d|box_2d|point|point_2d|start_box|coordinates"
NAMED = re.compile(
    r"(?:the|its)\s+(?:bounding\s+)?(?:box|point|coordinates?|location|position)\s+(?:is|are)\s*:?\s*"
    r"(?=[\[({\d])",
    re.I,
)
"""What may lead to it in a sentence."""
LABEL = re.compile(r"""(?<=[{,])\s*(["'])label\1\s*:\s*(["'])([^\W_][\w -]{0,60})\2\s*(?:,|(?=\}))""", re.I)
"""The name of the thing in JSON, as grounding models give it beside the box."""
KEY = re.compile(rf"""([\s\[({{]*)(?:{KEYS}|"(?:{KEYS})"|'(?:{KEYS})')\s*:""", re.I)
"""The name that may stand before a box or a point."""


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


TELLING = frozenset(
    "answer answers result results output solution response reply here here's information "
    "requested json html latex fen smiles markdown python csv svg formula equation coordinates "
    "bounding transcription caption summary action time interval code receipt text reads says "
    "antwort ergebnis lösung hier aquí respuesta resultado 答案 答案是 答案为 结果 结果是 结果如下 答案如下 "
    "以下是答案 这是答案 正确答案 正确答案是 正确答案为 以下是结果 最终答案 最终答案是".split()
)
"""Words that tell that an answer follows, and that are hardly one."""
NEUTRAL = TELLING | frozenset(
    "is are the this these my it as in of for you so thus therefore hence there based on from "
    "according to provided asked given shown extracted final correct right best table grid list "
    "box boxes point points objects detections page position format form version below follows "
    "following detected found image picture chart data object representing representation array "
    "value content contents converted conversion order question solved board "
    "structured ist sind die der das está esta es la el las los richtige correcta lautet 如下".split()
)
"""Words that may stand with them: together they can neither deny an answer nor say something else."""
OPENING = frozenset("based according from in so thus therefore hence".split())
"""How a sentence may begin that tells of no answer, before one that does."""
COURTEOUS = frozenset("sure ok okay certainly of course absolutely go you there".split())
"""Words of a sentence of its own before that."""
COUNTING = re.compile(
    r"\b(?:an?|(?:all|each|every)(?: of)?(?: the)?) (?=(?i:json|html|markdown|table|list|grid|box|bounding"
    r"|detected|python|formula|page|object|detection|value|chart|point|summary|caption|array)s?\b)"
)
"""What may stand before a noun in such words, and by itself would be an answer: A, or all of them."""
ANSWER = (
    r"\b(?:answers?|results?|output|solution|response|reply|antwort|ergebnis|lösung|respuesta|resultado)\b"
)
GIVES = re.compile(
    rf"{ANSWER}.*\b(?:is|are|ist|sind|es|lautet)\s+(?!(?:as )?follows$|the following$)\S"
    r"|^(?:the )?(?!(?:this|that|these|here|it|below|following|das|dies|hier|aquí|est[ea])\b)\S+ "
    rf"(?:is|are|ist|sind|es)\b.*{ANSWER}"
)
"""A sentence that has an answer of its own: the answer is right, right is the answer."""
FENCE = re.compile(
    r"(?<![`~])(?P<fence>`{3,}+|(?<![^\n])~{3,}+)(?P<format>[^\n`]*)\n"
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
SEEN = r"(?:image|picture|photo|chart|figure|diagram|graph|plot|table|text|page|document|video|clip)s?"
NOUN = (
    r"(?:(?:the|my)[^\S\n]++)?(?:(?:final|correct|right|best)[^\S\n]++)?"
    r"(?:answer|option|choice|order|result|output|solution)"
)
LEAD = re.compile(
    r"(?:(?:sure|certainly|of\s++course|absolutely|okay|ok)[,!.]\s*+(?=(?:the|my|it|this|that|so|based)\s))?"
    rf"(?:(?:so|thus|therefore|hence|(?:based\s++on|according\s++to|from|in|looking\s++at)\s++(?:the|this|these)"
    rf"\s++{SEEN})\b(?:\s*+,)?\s*+(?=\S))?"
    rf"(?:\*\*{NOUN}\s*+(?:is\b|[:=])?\s*+\*\*\s*+[:=]?\s*+(?=\S)"
    rf"|{NOUN}\s*+(?:is\b|[:=])\s*+[:=]?\s*+(?:(?:option|choice)\s++(?=\(?[A-Z]\b))?(?=\S)"
    r"|(?:option|choice|answer)\s++(?=\(?[A-Z]\)?[\s.]*\Z)"
    r"|(?:(?:it|this|that)(?:\s++is|['\u2019]s)|i\s++(?:choose|pick)"
    r"|(?:es|das|dies|die\s++(?:richtige\s++)?antwort)\s++ist|die\s++(?:richtige\s++)?antwort\s++lautet|(?:est[eao]?|la\s++respuesta(?:\s++correcta)?)\s++es|这是|它是"
    r"|(?:正确|最终)?答案[是为]|选[项择]?(?=[A-Z]))\s*+:?\s*+(?=\S))?",
    re.I,
)
"""What may stand before an answer and adds nothing to it."""
LINE = re.compile(
    r"(?:(?P<bold>\*{1,2})?(?P<words>[^:\uff1a*\n]{0,79}[^\W\d_]{2})"
    r"(?(bold)(?:\*{1,2}[:\uff1a]|[:\uff1a]\*{1,2})|[:\uff1a])[ \t]*"
    r"|(?P<heading>#{1,6}[^\n]{1,80}|\*\*[^\n]{1,80}\*\*)\n)\s*(?=\S)"
)
"""Words before it up to their colon, or a heading; a single letter may be the answer itself."""


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


LONGEST = 400
"""Characters of a lead."""
PLAIN = str.maketrans("\u2019\uff1a\uff0c\u3002", "':,.")


def leads(text: str, courteous: bool = False) -> bool:
    """Whether the words before an answer only lead to it, or there are none.

    Args:
        text: the words.
        courteous: whether a courtesy alone leads to it too, as before a code fence.

    >>> leads("Sure! Here's the page:"), leads(""), leads("This is wrong:"), leads("### Right")
    (True, True, False, False)
    >>> leads("The answer is right."), leads("The right answer:"), leads("Certainly!"), leads("Sure!", True)
    (False, True, False, True)
    """
    if len(text) > LONGEST:
        return False
    lead = COUNTING.sub("", text.translate(PLAIN)).lower()
    if not re.fullmatch(r"[^\W\d]*(?:[\s':.,!*#][^\W\d]*)*", lead):
        return False
    sentences = [re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", part) for part in re.split(r"[.,!:\n]", lead)]
    told = [words for words in sentences if words and not COURTEOUS.issuperset(words)]
    if any(not NEUTRAL.issuperset(words) or GIVES.search(" ".join(words)) for words in told):
        return False
    if not told:
        return courteous or not any(sentences)
    telling = [not TELLING.isdisjoint(words) for words in told]
    return any(telling) and all(
        tells or words[0] in OPENING for tells, words in zip(telling, told, strict=True)
    )


def unled(text: str) -> str:
    r"""An answer without what only leads to it: "The answer is", "It is", words up to a colon, a heading.

    >>> unled("It is a dog"), unled("Sure! Here is the list:\n\n[1]"), unled("Not this list:\n[1]")
    ('a dog', '[1]', 'Not this list:\n[1]')
    >>> unled("So, the answer is 7"), unled("### Answer\n7"), unled("Output: 7"), unled("A: 7")
    ('7', '7', '7', 'A: 7')
    """
    return LEAD.sub("", unheaded(text), count=1).strip()


def unheaded(text: str) -> str:
    """An answer without words up to a colon, or a heading, that only lead to it."""
    text = text.strip()
    line = LINE.match(text)
    return text[line.end() :].strip() if line and leads(line["words"] or line["heading"]) else text


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
    return (sign == "\\" or sign not in inner) and "$" not in inner and depth == 0


def numbers(text: str, count: int) -> tuple[float, ...]:
    """The numbers of a list of exactly so many: bare, in brackets, as JSON, or after a key and a colon.

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
    plain = NAMED.sub("", plain, count=1) if NAMED.match(plain) else plain
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


NOWHERE: Corners = (0.0, 0.0, 0.0, 0.0)
"""A box that overlaps nothing."""


BOXED = ("bbox_2d", "bbox", "box_2d", "box")
"""The keys under which models give a box."""


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
