"""Lists of words, with and without an order."""

from __future__ import annotations

import ast
import re
from collections import Counter
from typing import Any

from vlmloom.components.contracts.reward import OnError
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.json_text import read_json
from vlmloom.components.reward.leads import spelled
from vlmloom.components.reward.parsed import Parsed, Unreadable, named_in, shown, unboxed, unwrapped
from vlmloom.components.reward.wording import normal
from vlmloom.registry import register

ORDER = re.compile(r"(?:the order )?(from(?: \w{1,20}){1,6}?)(?: is:?|:)\s++", re.I)
"""The question's own words for an order, before one."""
MOST = 1000
"""Items of one answer, blank ones among them."""
BULLET = re.compile(r"\s*(?:[-*•]|([0-9]{1,3})[.)])\s+")
"""What stands before an item of a list."""


class Listed(Parsed):
    """A verifier of lists, whose items are compared as `reward/exact` does.

    Items stand in JSON, one a line, or between commas, "and", "then" or ">".
    """

    ordered = False

    def __init__(self, *, whole: bool = False, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        self.whole = whole

    def read(self, text: str, sample: Sample) -> list[str]:
        """The items, those of the gold answer as they stand there."""
        language = sample.truth.get("language", "en")
        answer = text.lstrip()
        if (order := ORDER.match(answer)) and named_in(spelled(sample.prompt), order[1]):
            text = answer[order.end() :]
        if text != sample.answer:
            text = parted(unboxed(text), read_items(sample.answer, language))
        return read_items(text, language, self.ordered)

    def marked(self, right: int, total: int, found: list[str]) -> Reward:
        """The share, or all or nothing."""
        share = right / total
        value = float(share == 1) if self.whole else share
        return Reward(value, {"share": share}, f"{right} of {total} items in {shown(', '.join(found))}")


def read_items(text: str, language: str = "en", ordered: bool = False) -> list[str]:
    r"""A list in words: JSON, one item a line (with or without bullets), or commas within one line.

    Raises:
        Unreadable: it is empty or too long, or JSON of another form, or ordered and has numbers in
            another order.

    >>> read_items('["Cat", "a dog"]'), read_items("- cat\n- dog"), read_items("cat, dog.")
    (['cat', 'dog'], ['cat', 'dog'], ['cat', 'dog'])
    """
    text = unwrapped(text)
    if text.startswith(("[", "{")):
        items = literal(text) if "'" in text and '"' not in text else read_json(text)
        if not isinstance(items, list) or not all(isinstance(item, (str, int, float)) for item in items):
            raise Unreadable(f"no list of texts: {shown(text)}")
    else:
        pieces = text.splitlines()
        items = pieces if len(pieces) > 1 else re.split(r"[,;，、；]", text)
        signs = [BULLET.match(item) for item in items]
        places = [int(sign[1]) for sign in signs if sign and sign[1]]
        if ordered and places != sorted(places):
            raise Unreadable(f"numbers in another order than the items: {shown(text)}")
        items = [item[sign.end() :] if sign else item for item, sign in zip(items, signs, strict=True)]
    if len(items) > MOST:
        raise Unreadable(f"{len(items)} items; at most {MOST} are judged")
    found = [normal(str(item), language) for item in items]
    if not found or not any(found):
        raise Unreadable("an empty list")
    return [item for item in found if item]


JOINED = r" ?[,;]? ?(?:(?<![-=])[-=]*+>|→|&|\b(?:and\s+then|and|then|y|luego|und|dann)\b|然后|和) ?"
"""What stands between the items of a list in a sentence."""


def literal(text: str) -> Any:
    """A list as Python writes it.

    Raises:
        Unreadable: it is none.

    >>> literal("['cat', 'dog']")
    ['cat', 'dog']
    """
    try:
        found = ast.literal_eval(text)
        str(found)  # an integer may be too long to be written
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise Unreadable(f"no list: {shown(text)}") from None
    return found


def parted(text: str, known: list[str]) -> str:
    """A list with commas for the words and arrows between its items; names that are known stay whole.

    >>> parted("cat > dog, then salt and pepper", ["salt and pepper"])
    'cat, dog, salt and pepper'
    """
    if "```" in text or text.lstrip().startswith(("[", "{")) or len(text.strip().splitlines()) > 1:
        return text
    text = " ".join(text.split())
    if not any(name.startswith("first") for name in known):
        text = re.sub(r"^first,? ", "", text, flags=re.IGNORECASE)
    whole = "|".join(rf"\b{re.escape(name)}\b" for name in sorted(known, key=len, reverse=True))
    return re.sub(rf"({whole or '(?!)'})|{JOINED}", lambda found: found[1] or ", ", text, flags=re.IGNORECASE)


@register("reward/set")
class Set(Listed):
    """The items that both lists have over those that either has, in any order; repeated items count apart.

    Args:
        whole: full marks or none.
        on_error: see `Verifier`.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> sample = Sample("t", "test", 0, [], "cat, dog", Scene(""))
    >>> [reward.value for reward in Set().judge(sample, ["dog, cat", "cat", "cat, dog, cow, hen"])]
    [1.0, 0.5, 0.5]
    """

    def compare(self, found: list[str], gold: list[str], sample: Sample) -> Reward:
        """The share."""
        one, other = Counter(found), Counter(gold)
        return self.marked((one & other).total(), (one | other).total(), found)


@register("reward/sequence")
class Sequence(Listed):
    """The longest common subsequence over the length of the longer list.

    Numbers before the items have to rise.

    Args:
        whole: full marks or none.
        on_error: see `Verifier`.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> sample = Sample("t", "test", 0, [], "cat, dog, cow", Scene(""))
    >>> answers = ["Cat, Dog, Cow", "cat > dog and cow", "cat, cow, dog", "cow"]
    >>> [round(reward.value, 2) for reward in Sequence().judge(sample, answers)]
    [1.0, 1.0, 0.67, 0.33]
    """

    ordered = True

    def compare(self, found: list[str], gold: list[str], sample: Sample) -> Reward:
        """The share."""
        return self.marked(common(found, gold), max(len(found), len(gold)), found)


def common(one: list[str], other: list[str]) -> int:
    """The length of the longest common subsequence.

    >>> common(list("abcd"), list("acbd"))
    3
    """
    row = [0] * (len(other) + 1)
    for item in one:
        before = 0
        for place, against in enumerate(other, 1):
            here = row[place]
            row[place] = before + 1 if item == against else max(here, row[place - 1])
            before = here
    return row[-1]
