"""Labelled answers of points and of stretches of time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from vlmloom.pipelines.trust.attacks import DIGITS
from vlmloom.pipelines.trust.boxes import box_at
from vlmloom.pipelines.trust.labelled import Labelled


def point(dice: random.Random) -> Iterator[Labelled]:
    """`reward/point`, in a box and near a point."""
    for _ in range(16):
        x1, y1, x2, y2 = one = box_at(dice)
        x, y = (x1 + x2) // 2, (y1 + y2) // 2
        right = (
            f"({x}, {y})",
            f"{x} {y}",
            f"[{x}.0, {y}.0]",
            f"point: [{x},{y}]",
            f"left_click(start_box='[{x},{y}]', element_info='Chapter 2')",
            f"[{x + 5},{y + 5}]",
            f"[{x - 3}, {y}]",
        )
        wrong = (
            f"[{y}, {x}]",
            str(one),
            f"[{x}]",
            f"[{x}, {y}, 0]",
            "[0, 0]",
            "[1000, 1000]",
            "[500, 500]",
            f"[{x}, {y + 200}]",
            f"not [{x},{y}]",
            f"right_click(start_box='[{x},{y}]')",
            f"WAIT {x} {y}",
        )
        chain = tuple(f"[{x - by}, {y}]" for by in range(0, 400, 20))
        attacks = {
            "every point": " ".join(f"[{a},{y}]" for a in range(0, 1000, 10)),
            "NaN point": "[nan, nan]",
            "two points": f"[{x},{y}] [0,0]",
        }
        truths: tuple[dict[str, Any], ...] = ({"box": one}, {})
        for truth in truths:
            yield Labelled(
                {"use": "reward/point"},
                f"[{x},{y}]",
                truth,
                right=right,
                wrong=wrong,
                attacks=attacks,
                fair=DIGITS | {"turned writing"},
                worse=chain,
            )


def interval(dice: random.Random) -> Iterator[Labelled]:
    """`reward/interval`."""
    for _ in range(20):
        start, length = dice.randint(2, 40), dice.randint(4, 12)
        end = start + length
        yield Labelled(
            {"use": "reward/interval"},
            f"[{start}.0, {end}.0]",
            right=(
                f"[{start}, {end}]",
                f"{start} - {end}",
                f"({start}, {end})",
                f"{start}s to {end}s",
                f"from {start} to {end} seconds",
                f"between {start} and {end}",
                f"[{start}, {end}] seconds",
                f'["{start}", "{end}"]',
                f"start: {start}.0, end: {end}.0",
                f"The event happens from {start} to {end} seconds.",
                f"0:{start:02d} - 0:{end:02d}" if end < 60 else f"{start} - {end}",
            ),
            wrong=(
                f"[{end}, {start}]",
                f"[{start}]",
                f"[{start}, {end}",
                f"[{start}, {start}]",
                f"[{end}, {end + 5}]",
                "[0, 1]",
                f"[{start}, {end}] or [{end}, {end + 9}]",
            ),
            attacks={
                "the whole clip": "[0, 600]",
                "for ever": "[0, 99999]",
                "negative": f"[-{end}, {end * 4}]",
                "infinite": "[0, inf]",
            },
            fair=DIGITS,
            worse=tuple(f"[{start + by}, {end + by}]" for by in range(0, length + 3)),
        )
