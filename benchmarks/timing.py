"""Timing that a noisy machine cannot tilt: both sides take turns, and medians are compared."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from vlmloom.components.optimizer.muon import native_bfloat16

Run = Callable[[], object]
PRECISIONS = ("fp32", "medium", "bf16") if native_bfloat16(torch.device("cpu")) else ("fp32",)
"""fp32; fp32 with matrix products in bf16 passes; bf16 (autocast in training, weights in decoding).

Without bf16 instructions a CPU emulates it, a hundred times slower than fp32: fp32 is best without a trial.
"""


def seconds(run: Run) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def interleave(sides: Mapping[str, Run], repeats: int) -> dict[str, list[float]]:
    """Seconds of every side, taking turns; one turn to warm up is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, run in sides.items():
            spent = seconds(run)
            if turn:
                taken[name].append(spent)
    return taken


def trial(candidates: Mapping[str, Run]) -> dict[str, float]:
    """The better of two interleaved runs of each candidate, warmed up."""
    return {name: min(spent) for name, spent in interleave(candidates, 2).items()}


def quickest(trials: Mapping[str, float]) -> str:
    return min(trials, key=trials.__getitem__)


def median(values: list[float]) -> float:
    return statistics.median(values)


def choose(candidates: Mapping[str, Run]) -> dict[str, float]:
    """Trials, where there is something to choose between; else none."""
    return trial(candidates) if len(candidates) > 1 else {}


def contests(
    title: str,
    ours: Mapping[str, Run],
    theirs: Mapping[str, Run],
    *,
    repeats: int,
    count: int | Mapping[str, int],
    goals: Mapping[str, float],
    peer: str = "glm4v_moe",
    unit: str = "tokens",
    beside: Mapping[str, Run] | None = None,
    trials: tuple[Mapping[str, float], Mapping[str, float]] | None = None,
) -> list[dict[str, Any]]:
    """Time both sides, each in its best way: in fp32, and in its best precision where that is another.

    Args:
        title: of the rows.
        ours: candidates; their names end with one of `PRECISIONS`.
        theirs: candidates of the peer.
        repeats: timed turns.
        count: real tokens of a run, or what else `unit` says; of each side where they differ.
        goals: of the ratio, `fp32` and perhaps `best`.
        peer: its name.
        unit: what is counted.
        beside: what else takes turns.
        trials: of the candidates, where they were tried before.
    """
    tried = trials or (choose(ours), choose(theirs))
    done: list[tuple[str, str]] = []
    found = []
    for precisions, goal in goals.items():
        ends = "fp32" if precisions == "fp32" else PRECISIONS
        own, other = (
            quickest({name: times.get(name, 0.0) for name in side if name.endswith(ends)})
            for side, times in zip((ours, theirs), tried, strict=True)
        )
        if (own, other) in done:
            continue
        done.append((own, other))
        sides = {"ours": ours[own], "theirs": theirs[other], **(beside or {})}
        taken = interleave(sides, repeats)
        counts = count if isinstance(count, Mapping) else {"ours": count, "theirs": count}
        rates = {side: number / median(taken[side]) for side, number in counts.items()}
        found.append(
            {
                "title": title,
                "peer": peer,
                "best": {"ours": own, "theirs": other},
                "trials": {"ours": dict(tried[0]), "theirs": dict(tried[1])},
                "seconds": taken,
                "unit": unit,
                "per_second": rates,
                "ratio": rates["ours"] / rates["theirs"],
                "goal": goal,
            }
        )
    return found


@contextmanager
def precision(name: str, autocast: bool) -> Iterator[None]:
    """Run in one of `PRECISIONS`; `autocast` casts on the fly where bf16 is not in the weights."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium" if name == "medium" else "highest")
    try:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast and name == "bf16"):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def machine() -> dict[str, object]:
    """What a number of this run depends on."""
    information = Path("/proc/cpuinfo")
    text = information.read_text() if information.exists() else ""
    names = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")]
    flags = set(next((line.split() for line in text.splitlines() if line.startswith("flags")), []))
    classes = ("avx2", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": cores,
        "threads": torch.get_num_threads(),
        "flags": [name for name in classes if name in flags],
        "torch": torch.__version__,
        "precisions": list(PRECISIONS),
    }
