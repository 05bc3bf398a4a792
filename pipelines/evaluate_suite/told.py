"""What an evaluation says on a terminal: how far it is, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from vlmloom.pipelines.evaluate_suite.ask import Tick
from vlmloom.pipelines.evaluate_suite.page import names
from vlmloom.pipelines.report.document import is_mean
from vlmloom.pipelines.report.plots import readable
from vlmloom.pipelines.report.wording import chance_of, duration, find, span

Row = dict[str, Any]
PLAIN_LINES = 10
"""Where no terminal watches, a target prints this many lines instead of a bar."""


@contextmanager
def bar(console: Console, name: str) -> Iterator[Tick]:
    """A bar of a target's items with what failed and when it will be done, or a line now and then."""
    if not console.is_terminal:
        yield _lines(console, name)
        return
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]}"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(escape(name), total=None, failed="")

        def tick(done: int, total: int, failed: int) -> None:
            told = f"{failed} failed" if failed else ""
            progress.update(task, completed=done, total=total, failed=told)

        yield tick


def _lines(console: Console, name: str) -> Tick:
    begun, told = time.perf_counter(), 0

    def tick(done: int, total: int, failed: int) -> None:
        nonlocal told
        if done * PLAIN_LINES // total > told:
            told = done * PLAIN_LINES // total
            left = (time.perf_counter() - begun) / done * (total - done)
            more = f", {failed} failed" if failed else ""
            console.print(f"{name}: {done} of {total}{more}, ETA {duration(left)}")

    return tick


def show(document: Row, console: Console) -> None:
    """Accuracy by category, the answers, and what failed."""
    targets, suite = [design["name"] for design in document["designs"]], document["suite"]
    table = Table(title=f"suite {suite['name']}, {suite['split']} split", title_justify="left")
    table.add_column("category", no_wrap=True)
    table.add_column("chance", justify="right")
    for target in targets:
        table.add_column(escape(target), justify="right", overflow="fold")
    chances = {category["name"]: category["chance"] for category in document["categories"]}
    for name in names(document):
        cells = [_cell(find(document["summary"], design=target, category=name)) for target in targets]
        if any(cells):
            chance = chances.get(name)
            guess = "" if chance is None else f"{chance:.1%}"
            table.add_row(readable(name), guess, *cells, style="bold" if is_mean(name) else "")
    console.print(table)
    for row in document["differences"]:
        if row["category"] == "mean of all":
            reach = span(row["low"], row["high"], signed=True)
            p = "" if row["p"] is None else f", {chance_of(row['p'])}"
            console.print(
                f"{row['design']} minus {row['against']}: {100 * row['difference']:+.1f} points ({reach}){p}"
            )
    for row in document["told"]:
        if row["category"] is None:
            console.print(_sentence(row))
            if first := next((one for one in document["faults"] if one["design"] == row["design"]), None):
                where = f"{first['category']} {first['item']}"
                console.print(
                    f"{row['design']}: the first failure, {where}: {first['error'][:300]}", markup=False
                )
    for name, missing in suite["unscripted"].items():
        told = ", ".join(f"{readable(category)} {count}" for category, count in missing.items())
        console.print(f"{name}: no script for episodes of {told}")
    for name, lacks in suite["left_out"].items():
        console.print(f"left out: {name}: {lacks}")


def _cell(row: Row | None) -> str:
    return "" if row is None else f"{row['accuracy']:.1%} ({span(row['low'], row['high'])})"


def _sentence(row: Row) -> str:
    failed = sum(row["faults"].values())
    parts = [f"{row['judged']:,} of {row['items']:,} items judged"]
    if failed:
        who = ", ".join(f"{count} by the {name}" for name, count in row["faults"].items() if count)
        parts.append(f"{failed} failed ({who})")
    if row["retried"]:
        parts.append(f"{row['retried']} asked more than once")
    if row["stopped"]:
        parts.append(f"{row['stopped']} browsers stopped and were started again")
    if row["cut"]:
        parts.append(f"{row['cut']} cut off at the longest that an answer may be")
    if row["invalid_format"] is not None:
        parts.append(f"{row['invalid_format']:.1%} in no valid form")
    if row["characters"] is not None:
        parts.append(f"{row['characters']:.0f} characters an answer")
    if row["seconds"] is not None:
        parts.append(f"{row['seconds']:.3f} s an answer")
    if row["cost"] is not None:
        parts.append(f"cost {row['cost']:.4f}")
    return f"{row['design']}: {', '.join(parts)}"
