"""Items of every single-step category of `suite/full`, planned and drawn, a second and core."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from benchmarks.models import Shape
from vlmloom.components.contracts.task import Task
from vlmloom.registry import build

GOAL = 200
"""Composited scenes a second and core."""

COMPOSITED = ("perception", "video")
ITEMS, WARM, SECONDS = 200, 50, 2.0


def run(shape: Shape, repeats: int) -> dict[str, Any]:
    """Items a second by category, the best of some turns; the first items of each are not counted."""
    suite = build({"use": "suite/full"})
    suite.prepare()
    tasks = {name: task for name, task in suite.tasks.items() if task.steps == 1}
    turns = min(repeats, 3)
    rates: dict[str, dict[str, Any]] = {}
    for name, task in tasks.items():
        found = [_rate(task, turn) for turn in range(turns)]
        rates[name] = {"family": task.family, "per_second": max(found)}
    return {"side": suite.world.side, "rates": rates, "absent": suite.availability()}


def _rate(task: Task, turn: int) -> float:
    """Items a second of processor time, of which every turn plans others."""
    first = turn * (ITEMS + WARM)
    for index in range(first, first + WARM):
        _make(task, index)
    start, end = time.process_time(), time.perf_counter() + SECONDS
    done = 0
    while done < ITEMS and (time.perf_counter() < end or not done):
        _make(task, first + WARM + done)
        done += 1
    return done / max(time.process_time() - start, 1e-9)


def _make(task: Task, index: int) -> None:
    for picture in task.plan("train", index).pictures:
        picture.render()


def notes(found: Mapping[str, Any]) -> list[str]:
    """One line a family, the slowest first, and whether composited scenes reach the goal."""
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
    lines += [f"not measured: {line}" for line in found["absent"].values() if line != "ready"]
    return lines
