"""Times of the day."""

from __future__ import annotations

import re

from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.parsed import Parsed, Unreadable, folded, shown, unwrapped
from vlmloom.registry import register

LED = re.compile(
    r"(?:it is|it's|the (?:time|clock (?:shows|reads))(?: shown)?(?: on the clock)?(?: is)?|es ist|son las"
    r"|es la|现在是|时间是)\s*",
    re.I,
)
TIME = re.compile(
    r"([0-9]{1,2})\s*[:.点时時]\s*([0-9]{2})分?(?:\s*o'?clock|\s*[ap]\.?m\.?|\s*(?:uhr|h))?[.!]?", re.I
)


@register("reward/clock_time")
class ClockTime(Parsed):
    """Full marks for the same time on a clock of twelve hours, with a zero before the hour or without.

    One time of hours and minutes, and nothing around it but "It is" and the half of the day, which no dial
    tells: 0:05 is 12:05, and 15:05 is another time than 3:05.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> sample = Sample("t", "test", 0, [], "3:05", Scene(""))
    >>> [reward.value for reward in ClockTime().judge(sample, ["03:05", "3.05", "3:50", "3:05 or 3:50"])]
    [1.0, 1.0, 0.0, 0.0]
    """

    def read(self, text: str, sample: Sample) -> tuple[int, int]:
        """Hours and minutes."""
        plain = unwrapped(folded(text[:100]))
        plain = unwrapped(plain[led.end() :]) if (led := LED.match(plain)) else plain
        match = TIME.fullmatch(plain) if len(text) <= 100 else None
        if match is None or not (int(match[1]) <= 12 and int(match[2]) < 60):
            raise Unreadable(f"no time of twelve hours in {shown(text)}; H:MM would be right")
        return int(match[1]) or 12, int(match[2])

    def compare(self, found: tuple[int, int], gold: tuple[int, int], sample: Sample) -> Reward:
        """1 or 0."""
        said = f"answered {found[0]}:{found[1]:02d}, right is {gold[0]}:{gold[1]:02d}"
        return Reward(float(found == gold), reason=said)
