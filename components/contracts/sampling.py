"""Which frames of a video a model looks at: one rule a family, by name. Pure and tensor-free.

The published rules give an even number of frames, the last one repeated where need be, so that they fold in
pairs; the time of a pair is that of its first frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np

Sampling: TypeAlias = Literal["all", "glm4v", "glm46v", "glm5_next"]
"""The name of a rule; `all` takes every frame as it is."""


def sample(rule: Sampling, total: int, rate: float, duration: float | None = None) -> list[int]:
    """The frames that are looked at, ascending; the last may stand twice.

    Args:
        rule: its name.
        total: frames of the video.
        rate: frames a second of the video.
        duration: seconds; None takes it from the two above, as the published processors do.

    Raises:
        ValueError: there is no frame, no rate, or no such rule.
    """
    if rule not in RULES:
        raise ValueError(f"sampling: found rule {rule!r}; {', '.join(RULES)} would be right")
    if total < 1 or rate <= 0:
        raise ValueError(
            f"sampling: found {total} frames at {rate:g} a second; one or more, at a positive rate, "
            "would be right"
        )
    if rule == "all":
        return list(range(total))
    duration = duration or round((total - 1) / rate) + 1
    chosen = list(dict.fromkeys(RULES[rule](total, rate, duration)))
    return chosen + chosen[-1:] if len(chosen) % 2 else chosen


def _by_second(total: int, rate: float, duration: float) -> list[int]:
    """GLM-4.1V and GLM-4.5V: two a second; beyond 300 seconds 600, evenly spread."""
    wanted, longest = 2, 300
    if duration <= longest:
        count = max(math.floor(duration * wanted), 1)
        return [min(total - 1, math.ceil(place * rate / wanted)) for place in range(count)]
    if longest * wanted >= total:
        return list(range(total))
    seconds = np.linspace(0, duration, longest * wanted)
    return [min(total - 1, math.ceil(second * rate)) for second in seconds]


def _by_length(total: int, rate: float, duration: float) -> list[int]:
    """GLM-4.6V: the longer, the fewer a second; two frames a step, 640 at most, of 2,400 seconds at most."""
    seen = min(duration, 2400)
    wanted = 3 if seen <= 30 else 1 if seen <= 300 else 0.5
    return _ticks(total, rate, duration, 2 * wanted, min(int(seen * wanted * 2), 640))


def _by_count(total: int, rate: float, duration: float) -> list[int]:
    """GLM-5.3-Flash: two a second, 2,048 at most."""
    return _ticks(total, rate, duration, 2, min(int(duration * 2), 2048))


def _ticks(total: int, rate: float, duration: float, wanted: float, count: int) -> list[int]:
    """The first frame at or after each tick; spread evenly where that is not `count` frames, one at least."""
    count = max(count, 1)
    if total < count:
        return _spread(0, total - 1, count)
    chosen: list[int] = []
    tick, step = 0.0, 1 / wanted
    frame_seconds = 1 / rate
    for frame in range(total):
        if frame * frame_seconds >= tick:
            tick += step
            chosen.append(frame)
            if tick >= int(duration):
                break
    if len(chosen) < count:
        return _spread(chosen[0], chosen[-1], count)
    return _spread(0, total - 1, count) if len(chosen) > count else chosen


def _spread(first: int, last: int, count: int) -> list[int]:
    return np.linspace(first, last, count, dtype=int).tolist()


RULES: dict[str, Callable[[int, float, float], list[int]]] = {
    "all": lambda total, rate, duration: list(range(total)),
    "glm4v": _by_second,
    "glm46v": _by_length,
    "glm5_next": _by_count,
}
"""Reference: transformers `video_processing_glm4v.py`, `video_processing_glm46v.py`, `..._glm5_next.py`."""
