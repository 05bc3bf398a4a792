"""What a clause denies, before the words, within them or behind them."""

from __future__ import annotations

import re

STOP = frozenset("a an the is are be there to on at its it which that el la los las un una es está".split())
"""Words that may stand anywhere in a clause without changing what it says."""

NO = r"no|not|without|neither|nor|never|nobody|isn't|aren't|doesn't|don't|cannot|sin|ni|kein\w*|nicht|ohne"
IS_NOT = re.compile(r"\b(?:(?:is|are|does|do|ist|sind) (?:not|nicht)|isn't|aren't|doesn't|don't|no está)\b")
BEFORE = re.compile(
    rf"(?<!\S)(?:{NO}|pas|anything but|either|or else|不是\S*"
    r"|missing|absent|lacks?|lacking|fehlt|fehlen|falta|faltan) (?:\S+ ){0,2}$"
)
WITHIN = re.compile(rf"(?<!\S)(?:{NO})(?!\S)")
BEHIND = re.compile(
    r"(?<!\S)(?:isn't|missing|absent|false|untrue|wrong|incorrect|lacking|nowhere|gone"
    r"|falsch|fehlt|fehlen|falta|faltan|falso|falsa)(?!\S)"
)
RETRACTS = re.compile(
    r"\b(?:that|this|it|all of it|answer|caption|description|above)(?:'s| is| was) (?:all |actually )?"
    r"(?:not (?:true|so|right|correct|the case)|wrong|false|untrue|incorrect|a lie|made up)\b"
    r"|\bwhich (?:(?:it|this|that) is not\b|is (?:not true|wrong|false))|\b(?:no,? wait|scratch that)\b"
    r"|\bi take (?:it|that|this) back\b|\bjust kidding\b",
    re.I,
)


def retracted(text: str) -> bool:
    """Whether a text takes back what it has said.

    >>> retracted("A red hat. No, wait, that is wrong."), retracted("A hat; it is right there.")
    (True, False)
    """
    return bool(RETRACTS.search(text.replace("\u2019", "'")))


def bare(clause: str) -> str:
    """The words of a clause in lower case, single spaces between, without those that say nothing here.

    >>> bare("A red hat is to the left of a blue sofa."), bare("The hat is not there")
    ('red hat left of blue sofa', "hat isn't")
    """
    text = " ".join(re.findall(r"\w+(?:'\w+)?", clause.lower().replace("\u2019", "'")))
    words = IS_NOT.sub("isn't", text).split()
    return " ".join([word for word in words if word not in STOP] or words)


def denied(clause: str, start: int, end: int) -> bool:
    """Whether what stands from start to end of a bare clause is denied.

    >>> denied("no dog", 3, 6), denied("dog missing", 0, 3), denied("dog without hat", 0, 3)
    (True, True, False)
    """
    before, within, behind = clause[:start], clause[start:end], clause[end:]
    return any((BEFORE.search(before), WITHIN.search(within), BEHIND.search(behind)))
