"""Summaries of an event as a title and a description, by the rules of a home camera's model."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.denial import bare, denied, retracted
from vlmloom.components.reward.json_text import once_each
from vlmloom.registry import register

REMARKS = frozenset(
    "camera footage frame frames image picture video clip blurry blurred grainy quality resolution because "
    "therefore likely probably maybe perhaps seems appears was were had".split()
)
"""Of the camera, of reasons, and in the past: not to be said in a description."""

LONGEST = 40

NO_VERBS = frozenset("bus this his its across towards always perhaps as us".split())
PLAIN_VERBS = frozenset("are go come walk run stand wait drive move stay carry arrive sit".split())


@register("reward/event_summary")
class EventSummary(Verifier):
    """Half the marks for a title and half for a description that keep the rules and tell what happened.

    The answer is one JSON object with the two strings `title` and `description`, and nothing around it. A
    title has 2 to 5 words. A description has one or two sentences of at most 40 words, with a verb,
    without remarks on the camera, reasons, or the past tense. What is denied ("no person") is not said.
    `truth["event"]` holds what they must and must not say: `title`, the exact title or a list of lists of
    words, one word of each of which has to be there; `describes`, such a list for the description; and
    `excludes`, words that are wrong in either, but that may be denied where nothing happens, which is where
    the title is exact.

    Reference: https://huggingface.co/llmvision/glimpse-v1 (the rules in its prompt).
    """

    def score(self, sample: Sample, response: str) -> Reward:
        """0, a half or 1, with the parts `title` and `description`."""
        told = sample.truth["event"]
        found = _parsed(response)
        if isinstance(found, str):
            return Reward(0.0, {"title": 0.0, "description": 0.0}, found)
        title, description = found
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
        found = json.loads(response, object_pairs_hook=once_each)
    except (ValueError, RecursionError):
        return "no JSON, or a key twice"
    if not isinstance(found, dict) or set(found) != {"title", "description"}:
        return "no object of title and description alone"
    if not all(isinstance(value, str) for value in found.values()):
        return "title or description is no text"
    return found["title"].strip(), found["description"].strip()


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def _said(text: str) -> set[str]:
    """The words of a text that it does not deny."""
    found = set()
    for clause in map(bare, re.split(r"[.;:!?,]|\b(?:and|but|while)\b", text.lower())):
        found |= {word[0] for word in re.finditer(r"[a-z]+", clause) if not denied(clause, *word.span())}
    return found


def _lacks(text: str, needed: Sequence[Sequence[str]], excluded: Sequence[str], nothing: bool = False) -> str:
    """What is not said, or must not be; where nothing happens, what is not there may be named as such."""
    words, said = _words(text), _said(text)
    for several in needed:
        if not any({word, f"{word}s"} & (set(words) if nothing else said) for word in several):
            return f"does not say {' or '.join(several)}"
    wrong = [word for word in excluded if word in (said if nothing else words)]
    return f"says {wrong[0]}" if wrong else ""


def _title(title: str, needed: str | Sequence[Sequence[str]], excluded: Sequence[str]) -> str:
    if isinstance(needed, str):
        return "" if title == needed else f"is {title[:40]!r}, but {needed!r} is right"
    if not 2 <= len(title.split()) <= 5:
        return f"has {len(title.split())} words, but 2 to 5 are right"
    return _lacks(title, needed, excluded)


def _description(
    description: str, needed: Sequence[Sequence[str]], excluded: Sequence[str], nothing: bool
) -> str:
    sentences = [part for part in re.split(r"[.!?]+(?:\s+|$)", description) if part.strip()]
    if not 1 <= len(sentences) <= 2:
        return f"has {len(sentences)} sentences, but 1 or 2 are right"
    if retracted(description):
        return "takes back what it says"
    words = _words(description)
    if len(words) > LONGEST:
        return f"has {len(words)} words, but at most {LONGEST} are right"
    remarks = sorted(REMARKS.intersection(words))
    if remarks:
        return f"says {remarks[0]!r}"
    names = {f"{word}s" for several in [*needed, excluded] for word in several}
    if not any(_verb(word) for word in words if word not in names):
        return "has no verb"
    return _lacks(description, needed, excluded, nothing)


def _verb(word: str) -> bool:
    """Whether a word may be a verb of the present tense."""
    ends = re.fullmatch(r"\w+[^s]s|\w{2,}ing|is", word)
    return word in PLAIN_VERBS or bool(ends and word not in NO_VERBS and word not in ("nothing", "something"))
