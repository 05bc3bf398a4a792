"""What a clause denies, before the words, within them or behind them."""

from __future__ import annotations

import re
from collections.abc import Collection

STOP = frozenset(
    "a an the is are be there to its it which that el la los las un una es está color "
    "der die das den dem ein eine einen einem einer ist sind".split()
)
"""Words that may stand anywhere in a clause without changing what it says."""

NO = (
    r"no|zero|hardly|barely|scarcely|not|without|neither|nor|never|none|nothing|nobody|isn't|aren't|doesn't|don't|cannot|sin|ni|nunca|jamás"
    r"|tampoco|ning\w+|kein\w*|nicht|nie|niemals|weder|ohne"
)
IS_NOT = re.compile(r"\b(?:(?:is|are|does|do|ist|sind) (?:not|nicht)|isn't|aren't|doesn't|don't|no está)\b")
SIDES = (
    "left|right|above|below|over|under|beside|near|behind|next|between|by|on|at|in|of|from|izquierda|derecha|encima|debajo|sobre|bajo"
    "|links|rechts|über|unter|neben"
)
"""Words that tell of two things where they are: what stands before one is said of another thing."""
GAP = rf"(?:(?!(?:{SIDES})(?!\S))\S+ ){{0,2}}"
"""Up to two words that stand between what belongs together."""
BEFORE = re.compile(
    rf"(?<!\S)(?:{NO}|pas|anything but|either|or else|不是\S*|instead of|rather than|except|unlike|en vez de"
    rf"|en lugar de|salvo|excepto|statt|anstatt|außer|missing|absent|lacks?|lacking|fehlt|fehlen|falta"
    rf"|faltan) {GAP}$"
)
WITHIN = re.compile(rf"(?<!\S)(?:{NO})(?!\S)")
BEHIND = re.compile(
    r"(?<!\S)(?:isn't|missing|absent|false|untrue|wrong|incorrect|lacking|nowhere|gone"
    r"|falsch|fehlt|fehlen|falta|faltan|falso|falsa)(?!\S)"
)
RETRACTS = re.compile(
    # What is said of a whole text: that it is wrong, or not so.
    r"\b(?:wrong|false|untrue|incorrect|inaccurate|mistaken|nonsense|a lie|i am lying|just kidding|joking"
    r"|ma[dk]e (?:\w+ ){0,2}up|fiction|fabricated|a joke"
    r"|(?:just|only) guessing|negate|can(?:not|'t) see (?:the|this|any)|ignore"
    r"|disregard|forget|doubt|deny|pretend|falsos?|falsas?|mentira"
    r"|incorrect[oa]|equivocad[oa]|olvida|falsch|unwahr|gelogen|erfunden|bezweifle|vergiss|unsinn"
    r"|stimmt (?:so )?nicht)\b"
    r"|\b(?:not|n't|nicht|no es|pas) (?:at all )?(?:true|so|correct|accurate|the case|this|these|that|those"
    r"|what|it|sure|certain|real|the (?:answer|description|caption)|wahr|richtig|korrekt|cierto|verdad|así"
    r"|correcto|est[aeo]|vrai|ça)\b|\b(?:none|nothing|nada|nichts) (?:of|de|von|davon)\b"
    r"|\bused to be\b|\b(?:was|were|been) (?:removed|taken away)\b|\bimagine\b"
    r"|\bwhich (?:it|this|that) is not\b|\bnot really\b|\ba myth\b|\bi wish\b|\bimaginary\b"
    r"|\bfails? to show\b|\b(?:absence|devoid|free) of\b|\b(?:no|any) (?:sign|trace|hint)s? of\b"
    r"|\b(?:the opposite|the contrary|lo contrario|das gegenteil) (?:is|es|ist|holds)\b"
    r"|\b(?:no,? wait|scratch that)\b|\bi take (?:it|that|this) back\b"
    # A question, a denial that leads to what follows it, and one that stands for itself.
    rf"|[?\uff1f]|(?<!\w)(?:{NO})\b[^.;!?\n]{{0,200}}:|[不没无非][^。；！\n]{{0,100}}[\uff1a:]"  # noqa: RUF001
    rf"|(?<!\w)(?:{NO}|no such|nothing like)\s*\n"
    r"|\b(?:missing|absent|lacking)\s*:|[.;!\n。]\s*(?:(?:or|oder|o|ou)(?!\w)|或)"
    r"|(?:^|[.,;:!\n-])\s*(?:no|not|nope|never|no more|nein|nicht|nunca|missing|absent"
    r"|(?:what is )?not (?:shown|visible|there|present|here|in (?:the|this) (?:image|picture|photo|scene)))"
    rf"\s*(?:[.;!\n]|$)|\b(?:{NO}|except)\W*$"
    r"|(?:^|[，。；！\n])\s*(?:不|不是|没有)\s*(?:[。；！\n]|$)"  # noqa: RUF001
    r"|不对|不是真|是错|错的|错误|假的|并非|不是这|相反|才怪|忽略|怀疑|编的",
    re.I,
)
HEDGE = (
    "or|either|maybe|perhaps|possibly|probably|presumably|supposedly|allegedly|may|might|could|would|if|unsure|guess"
    "|o|quizás?|acaso|tal vez|podría|si|oder|vielleicht|eventuell|könnte|falls|wäre"
)
HEDGES = re.compile(rf"\b(?:{HEDGE})\b|或|还是|可能|也许|大概|如果", re.I)
"""What leaves a sentence open."""
ASIDE = re.compile(
    r"^\s*(?:(?:possibly|probably|perhaps|maybe|presumably"
    r"|(?:(?:it|this|which|that|the (?:scene|picture|photo)) )?(?:may|might|could) (?:well )?be)"
    r" (?:taken )?(?:(?:out|in)doors?|outside|inside"
    r"|(?:in|on|at|near) an? \w+)"
    r"|(?:quizás?|tal vez|probablemente) (?:al aire libre|(?:en|sobre) una? \w+)"
    r"|(?:vielleicht|eventuell|wahrscheinlich) (?:draußen|drinnen|(?:in|an|auf) eine[mr] \w+)"
    r"|(?:可能|也许|大概)是?在(?:户外|室外|室内|外面|里面))\s*$"
)
"""A clause that guesses no more than a place, and leaves open nothing beside it."""


def retracted(text: str) -> bool:
    """Whether a text takes back what it has said.

    >>> retracted("A red hat. No, wait, that is wrong."), retracted("A hat; it is right there.")
    (True, False)
    """
    return bool(RETRACTS.search(text.replace("\u2019", "'")))


UNFINISHED = re.compile(
    rf"\b(?:{NO}|missing|absent|nowhere|lacks?|lacking|except|instead|isn't|fehlt|falta)\b"
    r"(?!.*\b(?:else|other|andere|más|more)\b)[^.!;]*+(?:\.{2,}+\W*+)?$"
)


def denying(line: str, named: set[str]) -> bool:
    """Whether a line of its own, no sentence, denies and names nothing: what stands above or below it, then.

    >>> [denying(line, {"hat"}) for line in ("not in the picture", "no dog with a hat", "There is no text.")]
    [True, False, False]
    """
    things = named.difference(SIDES.split("|"), ("to", "with", "and", "is", "are"))
    return bool(UNFINISHED.search(line.lower())) and not things.intersection(bare(line).split())


def hedged(sentence: str) -> bool:
    """Whether a sentence leaves open whether it is so: it names another possibility or doubts.

    >>> hedged("a red or blue hat"), hedged("maybe a red hat"), hedged("a red hat")
    (True, True, False)
    """
    return bool(HEDGES.search(sentence))


def aside(clause: str, named: Collection[str]) -> bool:
    """Whether a clause guesses a place that is none of the words named, so that only itself is open.

    >>> aside(" possibly outdoors", ()), aside(" perhaps a blue one", ()), aside(" maybe on a sofa", {"sofa"})
    (True, False, False)
    """
    return bool(ASIDE.search(clause)) and not any(word in clause for word in named)


def bare(clause: str) -> str:
    """The words of a clause in lower case, single spaces between, without those that say nothing here.

    >>> bare("A red hat is to the left of a blue sofa."), bare("The hat is not there")
    ('red hat left of blue sofa', "hat isn't")
    """
    text = " ".join(re.findall(r"\w+(?:'\w+)?", clause.lower().replace("\u2019", "'")))
    text = re.sub(r"\b(?:on|at) the (left|right)\b", r"\1", re.sub(r"\bdel\b", "de el", text))
    words = IS_NOT.sub("isn't", text).split()
    return " ".join([word for word in words if word not in STOP] or words)


def denies(name: str) -> bool:
    """Whether what stands where a thing is named says that it is none, or leaves it open.

    >>> denies("the brown dog"), denies("not this"), denies("anything but it"), denies("maybe a dog")
    (False, True, True, True)
    """
    name = name.lower()
    found = WITHIN.search(name) or BEFORE.search(f"{name} ") or BEHIND.search(name)
    return bool(found) or hedged(name) or retracted(name)


def denied(clause: str, start: int, end: int) -> bool:
    """Whether what stands from start to end of a bare clause is denied.

    >>> denied("no dog", 3, 6), denied("dog missing", 0, 3), denied("dog without hat", 0, 3)
    (True, True, False)
    """
    before, within, behind = clause[:start], clause[start:end], clause[end:]
    return any((BEFORE.search(before), WITHIN.search(within), BEHIND.search(behind)))
