"""The tables that the verb prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vlmloom.pipelines.report.wording import NOTHING

Row = dict[str, Any]


def show(document: Row, console: Console) -> None:
    """Print scores, differences to one tower, and drops to other pictures, with their intervals."""
    plan, base = document["plan"], document["base"]
    towers = [design["name"] for design in document["designs"]]
    console.width = max(console.width, 120)
    shown = f"{plan['things']} things of {plan['source']} ({document['unseen']} of the unseen tenth)"
    _print(
        console, f"{shown}, {plan['side']} px", document["summary"], towers, "accuracy", _chances(document)
    )
    others = [name for name in towers if name != base]
    _print(console, f"Paired difference to {base}", document["differences"], others, "difference")
    _print(console, "Difference to the plain test pictures", document["drops"], towers, "difference")


def label(row: Row) -> str:
    """Probe and, where it is no plain test, the split.

    >>> label({"category": "knn", "split": "56 px"})
    'knn, 56 px'
    """
    return row["category"] if row["split"] == "test" else f"{row['category']}, {row['split']}"


def _chances(document: Row) -> dict[str, float | None]:
    return {category["name"]: category["chance"] for category in document["categories"]}


def _print(
    console: Console,
    title: str,
    rows: Sequence[Row],
    towers: Sequence[str],
    value: str,
    chances: dict[str, float | None] | None = None,
) -> None:
    if not rows:
        return
    table = Table(title=escape(title), title_justify="left")
    table.add_column("probe", no_wrap=True)
    if chances is not None:
        table.add_column("chance", justify="right", no_wrap=True)
    for tower in towers:
        table.add_column(escape(tower), justify="right", overflow="fold")
    sign = "+" if value == "difference" else ""
    cells = {}
    for row in rows:
        middle, low, high = (f"{row[key]:{sign}z.3f}" for key in (value, "low", "high"))
        cells[label(row), row["design"]] = f"{middle} [{low}, {high}]"
    probes = {label(row): row["category"] for row in rows}
    for name, probe in probes.items():
        guess = [] if chances is None else [_number(chances[probe])]
        table.add_row(name, *guess, *(escape(cells.get((name, tower), NOTHING)) for tower in towers))
    console.print(table)


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3f}"
