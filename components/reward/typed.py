"""How alike a typed text is to the one that was to be typed, by the published formula."""

from __future__ import annotations

from collections import Counter

from vlmloom.components.reward.edit import similarity, spaced

EDITS = 0.6
"""The share of edits in the likeness; the rest is the Jaccard index of the pairs of letters."""
SHORT = 0.3
"""A text of less than this part of the other's length counts by that part."""
REPEATED = 0.7
"""A text of which one to four letters, repeated, make more than this part counts a little."""
LITTLE = 0.3


def typed(found: str, gold: str) -> float:
    """0.6 (1 - edits / length of the longer) + 0.4 Jaccard of pairs of letters, in lower case.

    Where one text is less than 0.3 of the other's length, times that part; where either of them mostly
    repeats itself, times 0.3. An equal text is worth 1 whatever it repeats; the published script gives 0.3.

    Reference: GLM-V, glmv_reward, `scripts/gui_agent/OSWorld.py`.

    >>> typed("green tea", "Green Tea"), round(typed("green ta", "green tea"), 3), typed("", "tea")
    (1.0, 0.8, 0.0)
    """
    found, gold = spaced(found).lower(), spaced(gold).lower()
    if not found or not gold:
        return 0.0
    if found == gold:
        return 1.0
    one, other = pairs(found), pairs(gold)
    # Two different single letters have no pairs, which are equal then, as published.
    jaccard = len(one & other) / len(one | other) if one | other else 1.0
    value = EDITS * similarity(found, gold) + (1 - EDITS) * jaccard
    length = min(len(found), len(gold)) / max(len(found), len(gold))
    value *= length if length < SHORT else 1.0
    return value * (LITTLE if repeats(found) or repeats(gold) else 1.0)


def pairs(text: str) -> set[str]:
    """Every two letters beside each other."""
    return {text[place : place + 2] for place in range(len(text) - 1)}


def repeats(text: str) -> bool:
    """Whether one run of one to four letters, counted where runs overlap too, makes most of a text.

    >>> repeats("tea tea tea tea"), repeats("a" * 9), repeats("a" * 10), repeats("green garden")
    (True, False, True, False)
    """
    if len(text) < 10:
        return False
    for length in (1, 2, 3, 4):
        runs = Counter(text[place : place + length] for place in range(len(text) - length + 1))
        if max(runs.values()) * length / len(text) > REPEATED:
            return True
    return False
