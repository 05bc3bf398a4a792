"""Requests a second of the reward service: a real process, real HTTP, groups of eight answers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import httpx

from benchmarks.models import Shape

ANSWERS = ["4", "5", "four", "The answer is 4.", "", "16", "4.0", "a much longer answer " * 20]
LINES: dict[str, dict[str, Any]] = {
    "reward/exact": {"verifier": "reward/exact", "question": "2 + 2?", "answer": "4"},
    "task count": {"task": "count", "split": "test"},
}


class Running:
    """A service in a process of its own."""

    def __init__(self, workers: int) -> None:
        options = ["--port", "0", "--suite", "suites/nano", "--workers", str(workers), "--queue", "4096"]
        call = [sys.executable, "-m", "vlmloom", "serve-rewards", *options]
        self.process = subprocess.Popen(call, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        found = re.search(r"http://\S+", self.process.stderr.readline())
        if found is None:
            raise RuntimeError(self.process.stderr.read())
        self.url = found[0]
        while httpx.get(f"{self.url}/health", trust_env=False).json().get("workers", 0) < workers:
            time.sleep(0.1)

    def rate(self, line: dict[str, Any], clients: int, seconds: float) -> tuple[float, float]:
        """Lines a second of so many clients, and the median latency of one."""
        until = time.perf_counter() + seconds

        def ask(client: int) -> list[float]:
            taken = []
            with httpx.Client(trust_env=False, timeout=60) as http:
                while (start := time.perf_counter()) < until:
                    item = {"index": (client * 7919 + len(taken)) % 64} if "task" in line else {}
                    body = json.dumps(line | item | {"responses": ANSWERS})
                    http.post(f"{self.url}/score", content=body).raise_for_status()
                    taken.append(time.perf_counter() - start)
            return taken

        start = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            taken = [one for each in pool.map(ask, range(clients)) for one in each]
        return len(taken) / (time.perf_counter() - start), median(taken)

    def stop(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=60)


def run(
    shape: Shape,
    repeats: int,
    workers: Sequence[int] = (1, 2),
    clients: Sequence[int] = (1, 16),
    seconds: float = 2.0,
) -> dict[str, Any]:
    """Measure each kind of line with each number of workers and clients."""
    found = []
    for number in workers:
        service = Running(number)
        try:
            for name, line in LINES.items():
                # What is built and planned for the first time is not timed.
                service.rate(line, 4, seconds)
                for count in clients:
                    rates = [service.rate(line, count, seconds) for _ in range(repeats)]
                    found.append(
                        {
                            "line": name,
                            "workers": number,
                            "clients": count,
                            "rates": [rate for rate, _ in rates],
                            "latency": median(latency for _, latency in rates),
                        }
                    )
        finally:
            service.stop()
    return {"answers": len(ANSWERS), "measured": found}


def notes(found: dict[str, Any]) -> list[str]:
    lines = []
    for one in found["measured"]:
        rate = median(one["rates"])
        lines.append(
            f"{one['line']}, {one['workers']} workers, {one['clients']} clients: {rate:,.0f} requests/s "
            f"({rate * found['answers']:,.0f} answers/s), median latency {one['latency'] * 1e3:.1f} ms"
        )
    return lines
