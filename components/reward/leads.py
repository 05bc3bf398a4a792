"""What may stand before an answer: words that only lead to it."""

from __future__ import annotations

import re
from collections.abc import Iterable

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
SEEN = r"(?:image|picture|photo|chart|figure|diagram|graph|plot|table|text|page|document|video|clip)s?"
NOUN = (
    r"(?:(?:the|my)[^\S\n]++)?(?:(?:final|correct|right|best)[^\S\n]++)?"
    r"(?:answer|option|choice|order|result|output|(?:real[^\S\n]++)?(?:solution(?:[^\S\n]++set|s)?|roots?)"
    r"(?:[^\S\n]++(?:of|to)[^\S\n]++the[^\S\n]++(?:equation|system|inequality))?"
    r"|(?:definite[^\S\n]++)?integral|point|derivative(?:[^\S\n]++of[^\S\n]++\$?[a-z]\([a-z]\)\$?)?"
    r"|formula|(?:smiles|fen)(?:[^\S\n]++(?:string|notation|representation))?"
    r"(?:[^\S\n]++(?:of|for)[^\S\n]++(?:the|this)[^\S\n]++(?:molecule|compound|position))?)"
)
ALSO = (
    r"por\s++(?:lo\s++)?tanto|entonces|así\s++que|según\s++(?:la|el|este|esta)\s++(?:imagen|gráfico|tabla|texto)"
    r"|also|daher|somit|folglich|所以|因此|根据(?:上?图|图片|图像|图表|表格|文本|视频)"
)
"""So, therefore, and according to the picture, in other languages."""
GERMAN = r"(?:die\s++(?:richtige\s++)?(?:antwort|lösung)|das\s++ergebnis)"
SPANISH = r"(?:la\s++(?:respuesta|solución)(?:\s++correcta)?|el\s++resultado)"
LEAD = re.compile(
    r"(?:(?:sure|certainly|of\s++course|absolutely|okay|ok)[,!.]\s*+(?=(?:the|my|it|this|that|so|based)\s))?"
    rf"(?:(?:so|thus|therefore|hence|(?:based\s++on|according\s++to|from|in|looking\s++at)\s++(?:the|this|these)"
    rf"\s++{SEEN})\b(?:\s*+,)?\s*+(?=\S))?"
    rf"(?:(?:{ALSO})\s*+[,，]?\s*+(?=die|das|la|el|est|ist|lautet|这|它|正|最|答|选|结))?"
    rf"(?:\*\*{NOUN}\s*+(?:(?:is|are)\b|[:=])?\s*+\*\*\s*+[:=]?\s*+(?=\S)"
    rf"|{NOUN}\s*+(?:(?:is|are)\b|[:=])\s*+[:=]?\s*+(?:(?:option|choice)\s++(?=\(?[A-Z]\b))?(?=\S)"
    r"|(?:option|choice|answer)\s++(?=\(?[A-Z]\)?[\s.]*\Z)"
    r"|(?:(?:it|this|that)(?:\s++is|['\u2019]s)|i\s++(?:choose|pick)"
    rf"|(?:es|das|dies|{GERMAN})\s++ist|{GERMAN}\s++lautet|(?:ist|lautet)\s++{GERMAN}"
    rf"|(?:est[eao]?|{SPANISH})\s++es|这是|它是"
    r"|(?:it|the\s++(?:text|word|sign|label|code|barcode))\s++(?:says|reads)|the\s++(?:text|word)\s++is"
    r"|(?:正确|最终)?答案[是为]|结果[是为]|答(?=[:\uff1a])|选[项择]?(?=[A-Z]))\s*+[:\uff1a]?\s*+(?=\S))?",
    re.I,
)
"""What may stand before an answer and adds nothing to it."""
LINE = re.compile(
    r"(?:(?P<bold>\*{1,2})?(?P<words>[^:\uff1a*\n]{0,79}[^\W\d_]{2})"
    r"(?(bold)(?:\*{1,2}[:\uff1a]|[:\uff1a]\*{1,2})|[:\uff1a])[ \t]*"
    r"|(?P<heading>#{1,6}[^\n]{1,80}|\*\*[^\n]{1,80}\*\*)\n)\s*(?=\S)"
)
"""Words before it up to their colon, or a heading; a single letter may be the answer itself."""
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


OPERATOR = re.compile(
    r"[\w)}]\s*(?:[-+*/^\u00d7\u00f7]|\\(?:times|cdot|div)\b)\s*[\w({\\-]|\\(?:int|[dt]?frac|sqrt|lim|sum)"
)
SAME = ((re.compile(r"\\,|\\left|\\right|[\s$]"), ""), (re.compile(r"\\times|\\cdot|[\u00d7\u00b7]"), "*"))


def asked(text: str, question: str) -> str:
    r"""What stands behind the question's own expression and an equals sign, where a text begins so.

    >>> asked("3 + 4 = 7", "What is $3+4$?"), asked("3 + 4 = 7", "Add up: 3 + 4 =")
    ('7', '7')
    >>> asked("5 = 7", "What is $3+4$?"), asked("3 + 4 = 7", "What is 3 + 4 + 5?")
    ('5 = 7', '3 + 4 = 7')
    """
    own, sign, rest = text.partition("=")
    if not sign or rest[:1] == "=" or not OPERATOR.search(own):
        return text
    formulas = re.compile(r"\$([^$]+)\$")
    runs = re.findall(r"(?<![\w^{}\\])[-+*/\u00d7\u00f7()\d.\s]+(?![\w^{}\\])", formulas.sub(" $ ", question))
    whole = [*formulas.findall(question), *runs]
    for other, meant in SAME:
        own, whole = other.sub(meant, own), [other.sub(meant, one) for one in whole]
    return rest.strip() if own in {one.rstrip(".") for one in whole} else text


def spelled(prompt: Iterable[object]) -> str:
    """The words of a question."""
    return " ".join(part for part in prompt if isinstance(part, str))


def unheaded(text: str) -> str:
    """An answer without words up to a colon, or a heading, that only lead to it."""
    text = text.strip()
    line = LINE.match(text)
    return text[line.end() :].strip() if line and leads(line["words"] or line["heading"]) else text
