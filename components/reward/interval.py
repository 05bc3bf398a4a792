"""Stretches of time."""

from __future__ import annotations

import re

from vlmloom.components.contracts.reward import OnError
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.parsed import Parsed, Unreadable, folded, shown, unwrapped
from vlmloom.registry import register

TIME = r"(?:(\d{1,3}):)?(\d{1,5}(?:\.\d{1,6})?)\s*(?:s|sec|seconds)?"
KEYED = re.compile(
    r'(?:\{\s*"start(?:_time)?"\s*:\s*"?([^,"]+)"?,\s*"end(?:_time)?"\s*:\s*"?([^,"]+)"?\s*\}'
    r"|start(?:[_ ]time)?\s*[:=]\s*([\d.:]+ ?s?),?\s*end(?:[_ ]time)?\s*[:=]\s*([\d.:]+ ?s?))",
    re.I,
)
LED = re.compile(
    r"(?:it|(?:the|this) (?:(?:time )?interval|event|action|segment|moment))"
    r"(?: is| happens| occurs| lasts)?:? ",
    re.I,
)
UNTIL = "(?:,|-|\u2013|\u2014|to|and|~)"
STRETCH = re.compile(
    rf"(?:from\s|between\s)?\s*[\[(]{{0,2}}\s*{TIME}\s*{UNTIL}\s*{TIME}\s*[\])]{{0,2}}\s*(?:s|sec|seconds)?\s*\.?",
    re.I,
)


@register("reward/interval")
class Interval(Parsed):
    """The overlap in time over the time that either covers; `[start, end]` in seconds, or `m:ss - m:ss`.

    A JSON object of `start` and `end` is taken too.

    Args:
        overlap: full marks from this intersection over union and none below; None gives it itself.
        on_error: see `Verifier`.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> sample = Sample("t", "test", 0, [], "[2.0, 6.0]", Scene(""))
    >>> [reward.value for reward in Interval().judge(sample, ["0:02 - 0:06", "[4, 6]", "[6, 2]", "4"])]
    [1.0, 0.5, 0.0, 0.0]
    """

    def __init__(self, *, overlap: float | None = None, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        if overlap is not None and not 0 < overlap <= 1:
            raise ValueError(f"reward/interval: overlap is {overlap}; above 0 and at most 1 would be right")
        self.overlap = overlap

    def read(self, text: str, sample: Sample) -> tuple[float, float]:
        """Start and end in seconds."""
        plain = unwrapped(folded(text)) if len(text) <= 200 else ""
        plain = plain[led.end() :] if (led := LED.match(plain)) else plain
        plain = KEYED.sub(lambda two: f"[{two[1] or two[3]}, {two[2] or two[4]}]", plain)
        plain = re.sub(r'"([\d.:]+)"', r"\1", plain)
        match = STRETCH.fullmatch(plain)
        if match is None or len(re.findall(r"[\[(]", plain)) != len(re.findall(r"[\])]", plain)):
            raise Unreadable(f"no [start, end] in {shown(text)}")
        start, end = (60 * int(match[one] or 0) + float(match[one + 1]) for one in (1, 3))
        if start >= end:
            raise Unreadable(f"starts at {start:g} and ends at {end:g}")
        return start, end

    def compare(self, found: tuple[float, float], gold: tuple[float, float], sample: Sample) -> Reward:
        """The overlap, or whether it is enough."""
        shared = max(0.0, min(found[1], gold[1]) - max(found[0], gold[0]))
        value = shared / (found[1] - found[0] + gold[1] - gold[0] - shared)
        parts = {"overlap": value}
        return Reward(
            value if self.overlap is None else float(value >= self.overlap), parts, f"overlap {value:.2f}"
        )
