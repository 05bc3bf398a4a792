"""Chess positions."""

from __future__ import annotations

import re

from vlmloom.components.contracts.reward import OnError
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.parsed import Parsed, Unreadable, folded, shown, unwrapped
from vlmloom.registry import register

FEN = re.compile(r"(\S+)(?:\s+[wb](?:\s+[KQkq-]{1,4}(?:\s+(?:-|[a-h][36])(?:\s+[0-9]+){0,2})?)?)?")
"""The placement, and what may follow it."""


@register("reward/fen")
class Fen(Parsed):
    """Full marks for the same position; `parts` holds the share of pieces that stand right.

    The first field of FEN is compared, the placement; the others, such as who is to move, may be there.
    The share is of the squares that are occupied in either position: an empty board is worth nothing.

    Args:
        whole: full marks or none; else the share.
        on_error: see `Verifier`.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> sample = Sample("t", "test", 0, [], "8/8/8/4k3/8/8/4P3/4K3", Scene(""))
    >>> answers = ["8/8/8/4k3/8/8/4P3/4K3 w - - 0 1", "8/8/8/4k3/8/8/3P4/4K3", "8/8/8/8/8/8/8/8"]
    >>> [reward.value for reward in Fen(whole=False).judge(sample, answers)]
    [1.0, 0.5, 0.0]
    """

    def __init__(self, *, whole: bool = True, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        self.whole = whole

    def read(self, text: str, sample: Sample) -> str:
        """64 squares, from a8 to h1; a dot is an empty one."""
        return squares(text)

    def compare(self, found: str, gold: str, sample: Sample) -> Reward:
        """1 or 0, or the share."""
        taken = [(one, other) for one, other in zip(found, gold, strict=True) if (one, other) != (".", ".")]
        right = sum(one == other for one, other in taken)
        share = right / len(taken) if taken else 1.0
        value = float(found == gold) if self.whole else share
        return Reward(value, {"pieces": share}, f"{right} of {len(taken)} occupied squares")


def squares(text: str) -> str:
    """The 64 squares of a FEN's placement.

    Raises:
        Unreadable: it is none.
    """
    bare = re.sub(r"^(?:the\s+)?fen\s*(?:is\b)?\s*[:=]?\s+", "", unwrapped(folded(text[:250])), flags=re.I)
    match = FEN.fullmatch(unwrapped(bare)) if len(text) <= 200 else None
    ranks = match[1].split("/") if match else []
    rows = ["".join("." * int(sign) if sign in "12345678" else sign for sign in rank) for rank in ranks]
    if len(rows) != 8 or not all(re.fullmatch("[prnbqkPRNBQK.]{8}", row) for row in rows):
        raise Unreadable(f"no position in FEN: {shown(text)}")
    return "".join(rows)
