"""Answers a second that rule verifiers judge, one after the other; there is nobody to compare with."""

from __future__ import annotations

import itertools
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil

from benchmarks.models import Shape
from benchmarks.timing import median
from vlmloom.components.contracts.sample import Sample, Scene
from vlmloom.registry import build

FAST = ("text, exact", "text, edits", "numbers", "boxes, one", "boxes, list", "JSON")
GOALS = dict.fromkeys(FAST, 2000)
GOALS |= {"mathematics, numbers": 300, "mathematics, expressions": 30, "tables, TEDS": 20}
"""Answers a second of one core."""
Make = Callable[[random.Random], tuple[str, str]]
Case = tuple[dict[str, Any], Make]


def text(dice: random.Random) -> tuple[str, str]:
    words = [f"word{dice.randint(0, 999)}" for _ in range(6)]
    return " ".join(words), " ".join(words[: dice.randint(1, 6)])


def number(dice: random.Random) -> tuple[str, str]:
    gold = dice.randint(10, 9999)
    return f"{gold} kg", dice.choice((f"{gold:,} kg", f"{gold}.0", f"The answer is {gold + 1}."))


def box(dice: random.Random) -> list[int]:
    x, y = dice.randint(0, 800), dice.randint(0, 800)
    return [x, y, x + dice.randint(20, 199), y + dice.randint(20, 199)]


def one_box(dice: random.Random) -> tuple[str, str]:
    gold = box(dice)
    return str(gold), str([place + dice.randint(0, 1) for place in gold])


def boxes(dice: random.Random) -> tuple[str, str]:
    gold = [box(dice) for _ in range(4)]
    return json.dumps(gold), json.dumps([box(dice), *gold[1:]])


def fields(dice: random.Random) -> tuple[str, str]:
    gold: dict[str, Any] = {"shop": "Ada", "date": "2024-05-01", "total": dice.randint(1, 999) / 10}
    gold["items"] = [{"name": f"item {n}", "price": dice.randint(1, 99)} for n in range(3)]
    return json.dumps(gold), json.dumps(gold | {"shop": "Bob"})


def plain(dice: random.Random) -> tuple[str, str]:
    gold = dice.randint(1, 9999)
    return str(gold), dice.choice((f"${gold}$", f"\\boxed{{{gold}}}", f"{gold}.0", f"{gold + 1}"))


def expression(dice: random.Random) -> tuple[str, str]:
    a, b, c, d = (dice.randint(2, 99) for _ in range(4))
    off = dice.randint(0, 1)
    return f"({a}x+{b})({c}x+{d})", f"{a * c}x^2 + {a * d + b * c + off}x + {b * d}"


def table(dice: random.Random) -> tuple[str, str]:
    rows = [[str(dice.randint(0, 9999)) for _ in range(4)] for _ in range(6)]
    answer = [list(row) for row in rows]
    for _ in range(3):
        dice.choice(answer)[dice.randrange(4)] = "?"
    return markup(rows), markup(answer)


def markup(rows: list[list[str]]) -> str:
    lines = "</td></tr><tr><td>".join("</td><td>".join(row) for row in rows)
    return f"<table><tr><td>{lines}</td></tr></table>"


CASES: dict[str, tuple[Case, int]] = {
    "text, exact": (({"use": "reward/exact"}, text), 4000),
    "text, edits": (({"use": "reward/edit"}, text), 4000),
    "numbers": (({"use": "reward/number", "relative": 0.05}, number), 4000),
    "boxes, one": (({"use": "reward/box"}, one_box), 4000),
    "boxes, list": (({"use": "reward/boxes"}, boxes), 2000),
    "JSON": (({"use": "reward/json"}, fields), 2000),
    "mathematics, numbers": (({"use": "reward/math"}, plain), 2000),
    "mathematics, expressions": (({"use": "reward/math"}, expression), 60),
    "tables, TEDS": (({"use": "reward/table"}, table), 60),
}
"""What is judged and how many answers a turn; no two turns have the same, so that nothing is remembered."""


def processor() -> float:
    """Seconds of processor time of this process and those that it has started."""
    started = psutil.Process().children(recursive=True)
    return time.process_time() + sum(sum(one.cpu_times()[:2]) for one in started)


def questions(
    name: str, make: Callable[..., tuple[str, str]], count: int
) -> Iterator[list[tuple[Sample, str]]]:
    for turn in itertools.count():
        dice = random.Random(f"{name}.{turn}")
        made = (make(dice) for _ in range(count))
        yield [
            (Sample("bench", "test", n, [], gold, Scene("")), found) for n, (gold, found) in enumerate(made)
        ]


def run(shape: Shape, repeats: int, count: int | None = None) -> dict[str, Any]:
    """Judge fresh answers in every turn; the first turn, which starts processes, is not timed."""
    found: dict[str, Any] = {}
    for name, ((node, make), usual) in CASES.items():
        verifier = build(node)
        seconds = []
        for turn, asked in enumerate(questions(name, make, count or usual)):
            start = processor()
            rewards = [verifier.judge(sample, [response])[0] for sample, response in asked]
            seconds.append(processor() - start)
            if any(reward.error for reward in rewards):
                raise RuntimeError(f"{name}: {next(reward.error for reward in rewards if reward.error)}")
            if turn == repeats:
                break
        rates = [len(asked) / one for one in seconds[1:]]
        found[name] = {
            "per_second": median(rates),
            "rates": rates,
            "goal": GOALS[name],
            "answers": len(asked),
        }
    return found


def notes(found: dict[str, Any]) -> list[str]:
    lines = ["one answer after the other; processor time, that of the process for mathematics with it."]
    for name, one in found.items():
        met = "met" if one["per_second"] >= one["goal"] else "missed"
        low, high = min(one["rates"]), max(one["rates"])
        goal = f"goal {one['goal']:,}, {met}"
        lines.append(f"{name}: {one['per_second']:,.0f} answers/s ({low:,.0f} to {high:,.0f}; {goal})")
    return lines
