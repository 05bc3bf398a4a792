"""Numbers with a tolerance."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache

from vlmloom.components.contracts.reward import OnError
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.leads import SEEN, asked, spelled
from vlmloom.components.reward.parsed import Parsed, Unreadable, folded, named_in, shown, unwrapped
from vlmloom.registry import register

DIGITS = r"(?:[0-9]{1,3}(?:[, ][0-9]{3})+|[0-9]{1,40})(?:\.[0-9]{0,40})?|\.[0-9]{1,40}"
QUANTITY = re.compile(
    rf"""
    [\s=:$]{{0,3}}?(?P<before>[$€£¥])?\s*
    (?P<sign>[-+−]?)\s*(?P<before2>[$€£¥])?\s*
    (?P<digits>{DIGITS})
    (?P<power>[eE][-+]?[0-9]{{1,2}}|\s*[x×*]\s*10\^?\{{?(?P<ten>[-+]?[0-9]{{1,2}})\}}?)?
    (?:\s*/\s*(?P<below>[0-9]{{1,20}}))?
    \s*(?P<unit>%|["\u2033]|['\u2032]{{1,2}}|°?\s*[^\W\d_]+(?:\s?[/*·]\s?[^\W\d_]+|[\^23])*(?:\s[^\W\d_]+[\^23]*){{0,2}}|°)?
    [\s.!$]*
    """,  # noqa: RUF001
    re.VERBOSE,
)
SCALES = {
    "hundred": 100,
    "thousand": 1000,
    "k": 1000,
    "million": 10**6,
    "mn": 10**6,
    "billion": 10**9,
    "bn": 10**9,
}
LARGE = {"M": 10**6, "B": 10**9}
"""Right behind the digits and in capitals; else a unit."""
BEYOND = 10**300
ROUGH = 0.01
"""From this tolerance on an answer may say that it is about right."""
SAID = re.compile(
    r"(?:(?:there (?:are|is)(?: a total of| exactly)?|i (?:can )?(?:count|see)"
    r"|the (?:missing )?(?:value|number|digit|sum|total|count|result|year|angle|price|reading)(?: shown)? is"
    r"|the (?:dial|needle|gauge|meter|scale|thermometer) (?:shows|reads|points to|indicates)|an?|the"
    r"|[a-z\u03b1-\u03c9] =|es (?:sind|gibt)|(?:en la imagen )?hay"
    r"|(?:total|count|number|sum|value)\s*[:=])\s+|(?:图(?:片|像)?[中里])?(?:一?共)?有\s*|一?共\s*)?(minus\s+|[\u2013\u2012](?=\s?\d))?",
    re.I,
)
"""Words before a number that add nothing to it, and a minus in words."""
ABOUT = re.compile(
    r"(?:about|approximately|approx\.?|around|roughly|ca\.|etwa|ungefähr|unos|unas|大?约[是为]?)\s*(?=[\d$*])"
    r"|(?:[~≈]|\\approx)\s*(?=\d)",
    re.I,
)
"""What may stand before a number that need not be exact."""
THERE = re.compile(rf"\s+(?:in total|(?:in|on) (?:the|this) {SEEN})[\s.!]*$", re.I)
OF = re.compile(r"(?<=the )(value|number|total|count|price|sum) (?:of|for) ((?:\w+ ){1,4})(?=is\b)", re.I)
"""What it is of, in words of the question."""
LATEX = (
    (re.compile(r"\s*\^\s*\{?\s*\\(?:circ|degree)\s*\}?|\\degree(?![a-z])"), "\u00b0"),
    (re.compile(r"\\(?:text|mathrm)\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"\\([%$])"), r"\1"),
    (re.compile(r"\\[,;: ]|(?<=\d)\{,\}(?=\d)"), ""),
)
"""How LaTeX writes a unit, and groups of digits."""
NUMERALS = {
    "en": "zero one two three four five six seven eight nine ten eleven twelve",
    "de": "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce",
    "zh": "零 一 二 三 四 五 六 七 八 九 十 十一 十二",
}
"""Small numbers in words, from 0."""
OTHERWISE = {"ein": 1, "eine": 1, "un": 1, "una": 1, "两": 2}
MEASURE = "[个只朵张条辆头本件位颗棵]"
"""What stands behind a number of things in Chinese."""
YEAR = re.compile(
    r"(?:it (?:is|was)\s+)?(?:in\s+)?(?:the\s+year\s+)?(?:AD\s+)?([12][0-9]{3})"
    r"(?:\s*(?:AD|CE|A\.D\.?|C\.E\.?|年))?",
    re.I,
)
CURRENCIES = {"$", "€", "£", "¥", "usd", "eur", "gbp", "dollars", "euros"}
"""What may stand with a number whose gold answer has no unit, because it changes no number."""
SAME = {
    **dict.fromkeys(("degree", "deg", "grad", "grado", "度"), "°"),
    **dict.fromkeys(("degreecelsius", "degreescelsius", "celsius", "degreec", "degreesc", "c"), "°c"),
    **dict.fromkeys(
        ("degreefahrenheit", "degreesfahrenheit", "fahrenheit", "degreef", "degreesf", "f"), "°f"
    ),
    **dict.fromkeys(("kelvin", "°k"), "k"),
    **dict.fromkeys(("centimetre", "centimeter"), "cm"),
    **dict.fromkeys(("millimetre", "millimeter"), "mm"),
    **dict.fromkeys(("inche", "inch"), "in"),
    **dict.fromkeys(
        (
            "kmh",
            "kph",
            "kmperhour",
            "kilometreperhour",
            "kilometresperhour",
            "kilometerperhour",
            "kilometersperhour",
        ),
        "km/h",
    ),
    **dict.fromkeys(('"', "''", "\u2033", "\u2032\u2032"), "in"),
    **dict.fromkeys(("'", "\u2032", "foot", "feet"), "ft"),
    **dict.fromkeys(("metre", "meter"), "m"),
    **dict.fromkeys(("kilogram", "kilo"), "kg"),
    **dict.fromkeys(("unit", "squareunit", "cubicunit", "squnit", "unit2", "unit3"), "unit"),
    "volt": "v",
    **dict.fromkeys(("percent", "prozent", "porciento"), "%"),
    **dict.fromkeys(("公斤", "千克"), "kg"),
}
"""Other words for a unit, as `singular` leaves them."""
LESS = {"°c": "°", "°f": "°"}
"""Units of which a part may be said: 20 degrees of a thermometer in Celsius."""
ENDS = "are|is|was|were|can|do|does|did|have|has|in|on|of|at|there|with|that|you|to"
"""Words that end the name of what is counted."""
HEDGES = {
    "or",
    "and",
    "to",
    "more",
    "less",
    "plus",
    "minus",
    "not",
    "about",
    "maybe",
    "than",
    "least",
    "most",
}
"""Words that make a number less than a number."""


@dataclass(frozen=True)
class Quantity:
    """A number as it was written.

    Attributes:
        value: finite.
        unit: lower case, empty where none was given.
        year: whether it may be one: four digits from 1000 to 2999 and nothing else.
        fraction: whether it is one number over another.
        exact: the value without what binary fractions lose.
    """

    value: float
    unit: str = ""
    year: bool = False
    fraction: bool = False
    exact: Fraction | None = field(default=None, repr=False)


@register("reward/number")
class Number(Parsed):
    """Full marks for the right number, within a tolerance; without one, to the last digit.

    Years are always exact, as in the published rewards for charts: a gold answer of four digits from 1000 to
    2999, or as `truth["year"]` says. Where the gold answer, or `truth["unit"]`, has a unit, an answer may
    leave it out but not give another; where neither has one, an answer has none but a sign of a currency. One
    number and nothing around it but a unit and what says no more ("There are 4.", "in 1996"): a range is no
    number, nor is a comparison. `truth["of"]` is what it is of (weight in lbs), whose words may follow it. A
    fraction is right where the gold answer is one or is not whole, since 10/2 is a calculation that is not
    carried out.

    Args:
        relative: of the gold value, e.g. 0.05 for charts.
        absolute: what is allowed beside it; the larger of the two holds.
        on_error: see `Verifier`.

    Reference: arXiv 2507.01006, table 1 (charts: numbers with a tolerance, except years); arXiv 2203.10244
        (relaxed accuracy, 5 %).

    >>> from vlmloom.components.contracts.sample import Scene
    >>> sample = Sample("t", "test", 0, [], "1,250 kg", Scene(""))
    >>> answers = ["1250", "1.25e3 kg", "1240", "1250 m", "between 0 and 1250"]
    >>> [reward.value for reward in Number(relative=0.05).judge(sample, answers)]
    [1.0, 1.0, 1.0, 0.0, 0.0]
    """

    def __init__(self, *, relative: float = 0.0, absolute: float = 0.0, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        for name, value in (("relative", relative), ("absolute", absolute)):
            if not 0 <= value < math.inf:
                raise ValueError(f"reward/number: {name} is {value}; 0 or more would be right")
        self.relative, self.absolute = relative, absolute

    def read(self, text: str, sample: Sample) -> Quantity:
        """The number."""
        question = f"{spelled(sample.prompt)} {sample.truth.get('of') or ''}"
        plain = unwrapped(folded(text[:300])) if "=" in text else ""
        text = led if (led := asked(plain, question)) != plain else text
        if (of := OF.search(text[:300])) and (
            counted(question, of[2].strip())
            if of[1].lower() in ("number", "count")
            else named_in(question, of[2]) and not re.search(r"\d", of[2])
        ):
            text = f"{text[: of.start()]}{of[1]} {text[of.end() :]}"
        expected, language = str(sample.truth.get("unit") or ""), sample.truth.get("language", "en")
        return read_quantity(text, expected, language, near=self.relative >= ROUGH)

    def compare(self, found: Quantity, gold: Quantity, sample: Sample) -> Reward:
        """1 or 0."""
        unit = str(sample.truth.get("unit") or gold.unit).lower()
        off = abs(found.value - gold.value)
        said = f"answered {found.value:g}, right is {gold.value:g}"
        named = set(map(singular, str(sample.truth.get("of") or "").lower().split())) - set(ENDS.split("|"))
        if (
            found.unit
            and found.unit not in (CURRENCIES if not unit else ())
            and not counted(spelled(sample.prompt), found.unit)
            and not set(map(singular, found.unit.split())) <= named
        ):
            said_unit, right_unit = usual(found.unit), usual(unit)
            if not (said_unit == "unit" if not unit else said_unit in (right_unit, LESS.get(right_unit))):
                wanted = repr(unit) if unit else "none"
                return Reward(
                    0.0, {"distance": off}, f"{said}; the unit is {found.unit!r}, right is {wanted}"
                )
        if found.fraction and not gold.fraction and gold.value.is_integer():
            return Reward(0.0, {"distance": off}, f"{said}; a fraction, where a whole number is right")
        year = sample.truth.get("year", gold.year)
        room = 0.0 if year else max(self.relative * abs(gold.value), self.absolute)
        if room:
            # What binary fractions lose is no error of the answer.
            right = off <= room + 1e-9 * max(abs(gold.value), abs(found.value))
        else:
            right = found.exact == gold.exact
        return Reward(float(right), {"distance": off}, said)


def counted(question: str, words: str) -> bool:
    """Whether words are the things that a question asks how many there are of.

    >>> question = "How many red dogs are left of the cat?"
    >>> [counted(question, words) for words in ("dogs", "red dog", "cat", "dozen")]
    [True, True, False, False]
    """
    things = re.search(rf"\bhow many:? ((?:(?!(?:{ENDS})\b)[^\W\d_]+\s?){{1,4}})", question.lower())
    named, said = [singular(word) for word in (things[1] if things else "").split()], words.lower().split()
    return [singular(word) for word in said] == named[-len(said) :]


def singular(unit: str) -> str:
    """A unit without the s of a plural and without spaces.

    >>> singular("dogs"), singular("km/h")
    ('dog', 'km/h')
    """
    unit = unit.replace(" ", "")
    return unit[:-1] if len(unit) > 2 and unit.endswith("s") else unit


def usual(unit: str) -> str:
    """A unit as others write it too.

    >>> usual("Degrees"), usual("volts"), usual("degrees Celsius")
    ('°', 'v', '°c')
    """
    unit = singular(unit.lower()).translate({0xB2: "2", 0xB3: "3", ord("^"): None})
    if square := re.fullmatch(r"(?:square|sq(?!uare)\.?)(?!unit)(.+)", unit):
        unit = f"{usual(square[1])}2"
    return SAME.get(unit, SAME.get(unit + "s", unit))


@cache
def _numerals(language: str) -> tuple[re.Pattern[str], dict[str, int]]:
    """What begins with a number in words, or with digits before a measure word, and the words' numbers."""
    words = NUMERALS["en"].split(), NUMERALS.get(language, "").split()
    known = {word: number for several in words for number, word in enumerate(several)} | OTHERWISE
    either = "|".join(sorted(known, key=len, reverse=True))
    return re.compile(rf"({either}|[0-9]{{1,3}}(?={MEASURE})){MEASURE}?(?![^\W\d_]|[-/])", re.I), known


def read_quantity(text: str, expected: str = "", language: str = "en", near: bool = False) -> Quantity:
    """The one number that a text is; a unit that is expected is no thousand, as the K of a thermometer.

    A small one may be in words, in English or in the language that is asked in. One that need not be exact
    (`near`) may be said to be about right.

    Raises:
        Unreadable: it is none, several, a range, or has words around it.

    >>> read_quantity("-3.5 °C")
    Quantity(value=-3.5, unit='°c', year=False, fraction=False)
    >>> read_quantity("1 250").value, read_quantity("2 million").value, read_quantity("1.2M").value
    (1250.0, 2000000.0, 1200000.0)
    >>> read_quantity("There are 4.").value, read_quantity("minus 3").value, read_quantity("in 1996 AD").year
    (4.0, -3.0, True)
    >>> read_quantity("Two dogs"), read_quantity("zwei", language="de").value
    (Quantity(value=2.0, unit='dogs', year=False, fraction=False), 2.0)
    """
    short = unwrapped(folded(text[:300].replace("\u00ba", "\u00b0")))
    for written, meant in LATEX if "\\" in short or "{" in short else ():
        short = written.sub(meant, short).strip()
    if era := YEAR.fullmatch(short):
        short = era[1]
    short = THERE.sub("", short)
    said = SAID.match(short)
    if said and said.end():
        short = unwrapped(short[said.end() :])
    if near and (about := ABOUT.match(short)):
        short = unwrapped(short[about.end() :])
    numeral, known = _numerals(language)
    if word := numeral.match(short):
        short = f"{known.get(word[1].lower(), word[1])} {short[word.end() :]}"
    short = f"-{short}" if said and said[1] else short
    match = QUANTITY.fullmatch(short) if len(text) <= 300 else None
    if match is None:
        raise Unreadable(f"no single number in {shown(text)}")
    unit = (match["unit"] or "").lower().replace("° ", "°")
    words = unit.split()
    if HEDGES & set(words):
        raise Unreadable(f"no single number in {shown(text)}")
    value = Fraction(match["digits"].replace(",", "").replace(" ", ""))
    if match["power"]:
        value *= Fraction(10) ** int(match["ten"] or match["power"].lower().lstrip("e"))
    if match["below"]:
        if not int(match["below"]):
            raise Unreadable(f"a division by zero in {shown(text)}")
        value /= int(match["below"])
    if match["unit"] in LARGE and unit != expected.lower() and short[match.start("unit") - 1].isdigit():
        value, unit = value * LARGE[match["unit"]], ""
    elif words and words[0] in SCALES and unit != expected.lower():
        value *= SCALES[words.pop(0)]
        unit = " ".join(words)
    if match["sign"] and match["sign"] != "+":
        value = -value
    unit = unit or match["before"] or match["before2"] or ""
    if abs(value) > BEYOND:
        raise Unreadable(f"a number beyond all bounds in {shown(text)}")
    year = re.fullmatch(r"[12][0-9]{3}", short) is not None
    return Quantity(float(value), unit, year, bool(match["below"]), value)
