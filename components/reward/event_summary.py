"""Summaries of an event as a title and a description, by the rules of a home camera's model."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.denial import NO, bare, denied, hedged, retracted
from vlmloom.components.reward.json_text import read_json
from vlmloom.components.reward.parsed import Unreadable
from vlmloom.components.reward.wording import crossed
from vlmloom.registry import register

REMARKS = frozenset(
    "camera footage frame frames image picture video clip blurry blurred grainy quality resolution because "
    "therefore likely probably maybe perhaps seems appears was were had".split()
)
"""Of the camera, of reasons, and in the past: not to be said in a description."""

LONGEST, LETTERS = 40, 800
"""Words and characters of a description, and characters of a title."""

NO_VERBS = frozenset("bus this his its across towards always perhaps as us nothing something".split())
PLAIN_VERBS = frozenset("are go come walk run stand wait drive move stay carry arrive sit".split())
ACTS = frozenset(
    "is are has have walk com go approach arriv near reach enter mov head step stroll run wander trot waddl "
    "driv rid rol pul park cycl stop stand sit wait stay paus linger remain turn carri hold bring deliver "
    "drop leav plac put set start do located positioned seated parked stopped".split()
)
"""What whoever comes to a place may do there, as `_stem` leaves it."""
STILL = frozenset("is are has stand sit stay remain".split())
"""What a thing does that does not move."""
ALSO = frozenset("it he she they parcel package box delivery truck van vehicle courier".split())
"""Of what may be told beside whoever comes; where a truck would be wrong, `excludes` holds it."""
NOTHING = frozenset("no nothing nobody none not activity movement motion scene area everything all".split())
FILL = frozenset("a an the then there also now in on at of with to by near here".split())
NOUN = FILL - {"then", "there", "also", "now", "here"} | frozenset(
    "his her its their this some two another front back into onto from up no".split()
)
"""What a noun follows, so that `the steps` is no verb."""
NOT = re.compile(rf"\b(?:{NO}|fake|lack|absence|almost|hoax|denied)\b", re.I)
CLAUSE = re.compile(r"[.;:!?,]|\b(?:and|but|while|as|who|which|that)\b")


@register("reward/event_summary")
class EventSummary(Verifier):
    """Half the marks for a title and half for a description that keep the rules and tell what happened.

    The answer is one JSON object with the two strings `title` and `description`, alone or in a code fence. A
    title has 2 to 5 words. A description has one or two sentences of at most 40 words, with a verb,
    without remarks on the camera, reasons, or the past tense. What is denied ("no person") is not said.
    `truth["event"]` holds what they must and must not say: `title`, the exact title or a list of lists of
    words, one word of each of which has to be there, in this order: who before where; `describes`, such a
    list for the description; and `excludes`, words that are wrong in either, but that may be denied where
    nothing happens, which is where the title is exact. Nobody else does anything, and whoever comes does no
    more than come to the place, be there, and bring something.

    Reference: https://huggingface.co/llmvision/glimpse-v1 (the rules in its prompt).
    """

    def score(self, sample: Sample, response: str) -> Reward:
        """0, a half or 1, with the parts `title` and `description`."""
        told = sample.truth["event"]
        found = _parsed(response)
        if isinstance(found, str):
            return Reward(0.0, {"title": 0.0, "description": 0.0}, found)
        title, description = found
        if crossed(title) or crossed(description):
            return Reward(0.0, {"title": 0.0, "description": 0.0}, "struck out or denied by a sign")
        faults = {
            "title": _title(title, told["title"], told["excludes"]),
            "description": _description(
                description, told["describes"], told["excludes"], isinstance(told["title"], str)
            ),
        }
        parts = {name: float(not fault) for name, fault in faults.items()}
        reason = "; ".join(f"{name}: {fault}" for name, fault in faults.items() if fault)
        return Reward(sum(parts.values()) / 2, parts, reason or "keeps the rules and tells what happened")


def _parsed(response: str) -> tuple[str, str] | str:
    """Title and description, or what is wrong."""
    try:
        found = read_json(response)
    except Unreadable as error:
        return str(error)
    if not isinstance(found, dict) or set(found) != {"title", "description"}:
        return "no object of title and description alone"
    if not all(isinstance(value, str) for value in found.values()):
        return "title or description is no text"
    title, description = (" ".join(found[name].split()) for name in ("title", "description"))
    return title, description


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def _said(text: str) -> list[str]:
    """The words of a text that it does not deny."""
    found = []
    for clause in map(bare, re.split(r"[.;:!?,]|\b(?:and|but|while)\b", text.lower())):
        found += [word[0] for word in re.finditer(r"[a-z]+", clause) if not denied(clause, *word.span())]
    return found


def _lacks(text: str, needed: Sequence[Sequence[str]], excluded: Sequence[str], nothing: bool = False) -> str:
    """What is not said, or must not be; where nothing happens, what is not there may be named as such."""
    words, said = _words(text), _said(text)
    left = iter(words if nothing else said)
    for several in needed:
        if not any(word.removesuffix("s") in several or word in several for word in left):
            return f"does not say {' or '.join(several)}, or not in its place"
    wrong = [word for word in excluded if word in (said if nothing else words)]
    if wrong:
        return f"says {wrong[0]}"
    names = {word for several in needed for word in several}
    away = rf"\baway\b|\b(?:from|past|leav(?:es?|ing)|exit(?:s|ing)?|behind) (?:{'|'.join(needed[-1])})\b"
    if not nothing and (found := re.search(away, bare(text))):
        return f"says {found[0]!r}"
    acts = (_acts(_words(clause), names, nothing) for clause in CLAUSE.split(text.lower()))
    return next(filter(None, acts), "")


def _acts(words: Sequence[str], names: Collection[str], nothing: bool) -> str:
    """What a clause tells of another one, or of another act, empty where it does not."""
    plural = {f"{name}s" for name in names}
    verbs, noun = [], False
    for at, word in enumerate(words):
        may = (_verb(word) or (word.endswith("ed") and words[at - 1] in ("is", "are"))) and word not in plural
        noun = at > 0 and may and (noun or words[at - 1] in NOUN)
        verbs += [at] if may and not noun else []
    still = nothing and not NOTHING.intersection(words)
    for at in verbs:
        if not NOTHING.intersection(words) and _stem(words[at]) not in (STILL if still else ACTS):
            return f"says {words[at]!r}"
    subject = words[: verbs[0]] if verbs else ()
    if verbs and words[:1] == ["there"]:
        behind = words[verbs[0] + 1 :]
        subject = behind[: next((at for at, word in enumerate(behind) if at and word in NOUN), None)]
    who = [word for word in subject if word not in FILL and not word.endswith("ly")]
    known = {*names, *plural, *(NOTHING if nothing else ALSO)}
    return "" if not who or known.intersection(who) else f"tells of {' '.join(who)!r}"


def _stem(verb: str) -> str:
    """A verb without what its person and tense add.

    >>> [_stem(verb) for verb in ("walks", "stopping", "carries", "carrying", "drive", "stays", "goes")]
    ['walk', 'stop', 'carri', 'carri', 'driv', 'stay', 'go']
    """
    if verb in ACTS:
        return verb
    stem = re.sub(r"(?:ing|es|s|e)$", "", verb)
    return re.sub(r"(?<=[^aeo])y$", "i", re.sub(r"(.)\1$", r"\1", stem))


def _title(title: str, needed: str | Sequence[Sequence[str]], excluded: Sequence[str]) -> str:
    if isinstance(needed, str):
        return "" if title == needed else f"is {title[:40]!r}, but {needed!r} is right"
    if not 2 <= len(title.split()) <= 5 or len(title) > LETTERS:
        return f"has {len(title.split())} words, but 2 to 5 are right"
    if retracted(title) or hedged(title) or NOT.search(title):
        return "denies, asks or leaves open"
    return _lacks(title, needed, excluded)


def _description(
    description: str, needed: Sequence[Sequence[str]], excluded: Sequence[str], nothing: bool
) -> str:
    if len(description) > LETTERS:
        return f"has {len(description)} characters, but at most {LETTERS} are right"
    sentences = [part for part in re.split(r"[.!?]+(?:\s+|$)", description) if part.strip()]
    if not 1 <= len(sentences) <= 2:
        return f"has {len(sentences)} sentences, but 1 or 2 are right"
    words = _words(description)
    if len(words) > LONGEST:
        return f"has {len(words)} words, but at most {LONGEST} are right"
    if retracted(description) or hedged(description) or re.search(r"\bno more\W*$", description):
        return "takes back what it says, or leaves it open"
    remarks = sorted(REMARKS.intersection(words))
    if remarks:
        return f"says {remarks[0]!r}"
    names = {f"{word}s" for several in [*needed, excluded] for word in several}
    verbs = [at for at, word in enumerate(words) if _verb(word) and word not in names]
    if not verbs:
        return "has no verb"
    if not nothing and not any(word in needed[-1] for word in words[verbs[0] :]):
        return "has no verb before the place"
    return _lacks(description, needed, excluded, nothing)


def _verb(word: str) -> bool:
    """Whether a word may be a verb of the present tense."""
    ends = re.fullmatch(r"\w+[^s]s|\w{2,}ing|is", word)
    return word in PLAIN_VERBS or bool(ends and word not in NO_VERBS)
