"""Items of every single-step category of `suite/full`, planned and drawn, a second; new ones and known."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

from benchmarks.models import Shape
from vlmloom.components.contracts.task import Task
from vlmloom.registry import build

GOAL = 200
"""Composited scenes a second and core."""

COMPOSITED = ("perception", "video")
ITEMS, WARM, SECONDS = 200, 50, 2.0


def run(shape: Shape, repeats: int, names: Collection[str] = ()) -> dict[str, Any]:
    """Items a second by category, the best of some turns; the first items of each are not counted.

    Items are new, of a seed that nobody used, then the same once more: what is slow to draw (`kept`) comes
    from the cache folder then. Such items are timed on the wall, for a browser draws in a process of its own;
    the others by the time of the processor.

    Args:
        shape: not used.
        repeats: at most three turns.
        names: the categories; empty takes all of them.
    """
    suite = build({"use": "suite/full", "seed": time.time_ns() % (1 << 31)})
    suite.prepare()
    tasks = {name: task for name, task in suite.tasks.items() if task.steps == 1}
    turns = min(repeats, 3)
    rates: dict[str, dict[str, Any]] = {}
    for name, task in tasks.items():
        if names and name not in names:
            continue
        kept = any(getattr(picture, "slow", "") for picture in task.plan("train", 0).pictures)
        clock = time.perf_counter if kept else time.process_time
        found = [_rates(task, turn, clock) for turn in range(turns)]
        new, again = (max(rates) for rates in zip(*found, strict=True))
        rates[name] = {"family": task.family, "per_second": new, "again": again, "kept": kept}
    return {"side": suite.world.side, "rates": rates, "absent": suite.availability()}


def _rates(task: Task, turn: int, clock: Any) -> tuple[float, float]:
    """New and known items a second; every turn plans others."""
    first = turn * (ITEMS + WARM)
    warm, _ = _made(task, first, WARM, clock)
    count, new = _made(task, first + warm, ITEMS, clock)
    known, again = _made(task, first + warm, count, clock)
    return count / new, known / again


def _made(task: Task, first: int, most: int, clock: Any) -> tuple[int, float]:
    """How many items were made, one at least and `SECONDS` at most, and how long that took."""
    start, end = clock(), time.perf_counter() + SECONDS
    done = 0
    while done < most and (time.perf_counter() < end or not done):
        for picture in task.plan("train", first + done).pictures:
            picture.render()
        done += 1
    return done, max(clock() - start, 1e-9)


def notes(found: Mapping[str, Any]) -> list[str]:
    """One line a family, the slowest first, what comes from the cache, and whether scenes reach the goal."""
    lines = []
    families: dict[str, list[tuple[float, str]]] = {}
    for name, rate in found["rates"].items():
        families.setdefault(rate["family"], []).append((rate["per_second"], name))
    for family, rates in families.items():
        told = ", ".join(f"{name} {rate:,.0f}" for rate, name in sorted(rates))
        lines.append(f"{family}, items a second and core at {found['side']} px: {told}")
        if family in COMPOSITED:
            slow = [name for rate, name in sorted(rates) if rate < GOAL]
            lines.append(f"{family}: goal {GOAL}: " + (f"missed by {', '.join(slow)}" if slow else "reached"))
    lines += [
        f"{name}, items a second on the wall: {rate['per_second']:,.1f} new, "
        f"{rate['again']:,.0f} from the cache"
        for name, rate in found["rates"].items()
        if rate["kept"]
    ]
    lines += [f"not measured: {line}" for line in found["absent"].values() if line != "ready"]
    return lines
