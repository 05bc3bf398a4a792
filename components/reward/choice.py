"""One of several options."""

from __future__ import annotations

import re
from typing import Any

from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.parsed import Parsed, Unreadable, folded, shown, unwrapped
from vlmloom.components.reward.wording import beside, normal
from vlmloom.registry import register

LETTER = re.compile(r"(?!-\S)\W{0,3}([A-Za-z])(\W{0,3})(?:\s+(\S.*))?", re.S)
GLUED = re.compile(r"\(?([A-Za-z])\s?([.):|\u3001\uff0e\uff1a]\s?)(\S.*)", re.S)
"""The letter of an option, then its words, apart from it or not."""


@register("reward/choice")
class Choice(Parsed):
    """Full marks for the right option alone, by its letter, its words or both.

    The options are `truth["options"]`, letter -> words, where the question has letters, else
    `Sample.choices`, in words. An answer that names several, or a letter with the words of another, is wrong.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> sample = Sample("t", "test", 0, [], "B", Scene(""), truth={"options": {"A": "cat", "B": "dog"}})
    >>> [reward.value for reward in Choice().judge(sample, ["(b)", "B. dog", "dog", "A or B", "B. cat"])]
    [1.0, 1.0, 1.0, 0.0, 0.0]
    """

    longest = 2000

    def read(self, text: str, sample: Sample) -> str:
        """The letter, or the words where there are no letters."""
        options: dict[str, Any] = sample.truth.get("options") or {}
        language = sample.truth.get("language", "en")
        words = {letter: normal(str(words), language) for letter, words in options.items()}
        if not options:
            words = {normal(choice, language): normal(choice, language) for choice in sample.choices}
            if not words and re.fullmatch("[A-Z]", sample.answer.strip()):
                words = {letter: "" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
        whole = folded(text)
        text = unwrapped(whole)
        said = normal(text, language)
        match = LETTER.fullmatch(text) or GLUED.fullmatch(text)
        # "A dog" has an article, "A. dog" a letter, as "A" on a line of its own is.
        apart = re.search(r"[\n\t]", text)
        if match and match[1].upper() in words and (match[2].strip() or not match[3] or apart):
            letter, rest = match[1].upper(), normal(match[3] or "", language)
            alone = normal(text[: match.end(2)], language) == letter.lower()
            others = [one for key, one in words.items() if key != letter]
            if alone and (not rest or rest == words[letter]) and not beside(whole, text, others, language):
                return letter
            raise Unreadable(f"the letter of one option with other words in {shown(text)}")
        named = [letter for letter, one in words.items() if one and one == said]
        if len(named) == 1:
            others = [
                one for letter, one in words.items() if letter != named[0] and f" {one} " not in f" {said} "
            ]
            if other := beside(whole, text, others, language):
                raise Unreadable(f"{other!r} beside the option in {shown(whole)}")
            return named[0]
        raise Unreadable(f"no single option in {shown(text)}")

    def compare(self, found: str, gold: str, sample: Sample) -> Reward:
        """1 or 0."""
        return Reward(float(found == gold), reason=f"chose {found!r}, right is {gold!r}")
