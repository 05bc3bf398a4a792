"""`vlmloom trust`: what the verifiers make of right, wrong and adversarial answers."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from vlmloom.pipelines.arguments import verb_parser

SUMMARY = "measure verifiers on labelled answers: right ones, wrong ones and attacks"

EPILOG = """examples:
  vlmloom trust
  vlmloom trust reward/number reward/table
  vlmloom trust reward/math --json > math.json
  vlmloom trust --all --markdown

The exit status is 1 where a verifier accepts a wrong answer or an attack, cannot judge one, misses 1 % of the
right answers or more, or pays more for a worse answer.
"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "trust", SUMMARY, EPILOG)
    parser.add_argument(
        "verifiers", nargs="*", metavar="VERIFIER", help="such as reward/number (default: all quick ones)"
    )
    parser.add_argument(
        "--all", action="store_true", help="those too that run code or open a Chromium: some minutes"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="every number, and every answer that went wrong")
    form.add_argument("--markdown", action="store_true", help="the table as it stands in docs/rewards.md")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Measure, and print the table."""
    from rich.console import Console
    from rich.progress import Progress

    from vlmloom.pipelines.trust.table import NEITHER, SLOW, labelled, measure
    from vlmloom.registry.errors import UserError, nearest

    sets = labelled(slow=[name for name in SLOW if args.all or name in args.verifiers])
    for name in args.verifiers:
        if name not in sets:
            why = f" ({NEITHER[name]})" if name in NEITHER else ""
            near = nearest(name, {*sets, *SLOW})
            raise UserError(f"trust: {name or 'an empty name'} has no labelled answers{why}; {near}")
    rows = []
    with Progress(console=Console(stderr=True), transient=True) as bar:
        for name in dict.fromkeys(args.verifiers) or sets:
            task = bar.add_task(name, total=len(sets[name]))
            rows.append(measure(name, sets[name], lambda task=task: bar.advance(task)))  # type: ignore[misc]
            bar.remove_task(task)
    if args.json:
        print(json.dumps([asdict(row) | {"sound": row.sound} for row in rows], indent=1))
    else:
        _print(rows, args.markdown, {} if args.verifiers else NEITHER)
    return int(not all(row.sound for row in rows))


COLUMNS = ("verifier", "right", "missed", "wrong", "passed", "attacks", "accepted", "errors", "slowest")


def _print(rows: list[Any], markdown: bool, neither: dict[str, str]) -> None:
    from rich.console import Console
    from rich.table import Table

    cells = [
        (
            f"`{row.verifier}`" if markdown else row.verifier,
            str(row.right), f"{len(row.missed) / max(row.right, 1):.1%}",
            str(row.wrong), f"{len(row.passed) / max(row.wrong, 1):.1%}",
            str(row.attacks), str(len(row.accepted)), str(len(row.errors)), f"{row.slowest:.2f} s",
        )
        for row in rows
    ]  # fmt: skip
    if markdown:
        without = [(f"`{name}`: {why}", *["-"] * 8) for name, why in neither.items()]
        for line in (COLUMNS, ("---", *["---:"] * 8), *cells, *without):
            print(f"| {' | '.join(line)} |")
        return
    # Without rules, so that names and numbers have their room in 80 columns.
    table = Table(title="labelled answers", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column == "verifier" else "right", no_wrap=True)
    for line in cells:
        table.add_row(*line)
    console = Console()
    console.print(table)
    for name, why in neither.items():
        console.print(f"{name}: no labelled answers; {why}", markup=False, highlight=False, soft_wrap=True)
    for row in rows:
        for kind in ("missed", "passed", "accepted", "errors", "unordered"):
            for one in getattr(row, kind)[:3]:
                console.print(f"{row.verifier} {kind}: {one}", markup=False, highlight=False, soft_wrap=True)
