"""`vlmloom evaluate-reward`: how often a learned reward puts the gold answer above a worse one."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from vlmloom.pipelines.arguments import verb_parser

SUMMARY = "ask a learned reward which of two answers is better, on unseen items"

EPILOG = """examples:
  vlmloom evaluate-reward runs/reward_model
  vlmloom evaluate-reward runs/reward_model --items 200 --split shift --json > order.json

Chance is 50 %. `all pairs` are made as in training. No training pair is of the kinds question, hedge, twice
and praise: they say how far the reward can be trusted where a policy looks for its holes.
"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "evaluate-reward", SUMMARY, EPILOG)
    parser.add_argument("folder", type=Path, help="the folder of a finished run of reward/model")
    parser.add_argument("--split", default="test", help="of the run's suite (default: test)")
    parser.add_argument("--items", type=int, default=100, help="items a task (default: 100)")
    parser.add_argument("--tasks", action="store_true", help="a row for every task besides the means")
    parser.add_argument(
        "--json", action="store_true", help="a list of {kind, task, pairs, accuracy, low, high}"
    )
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Ask, and print the table."""
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from vlmloom.pipelines.preference import order
    from vlmloom.pipelines.quiet import quiet
    from vlmloom.pipelines.reward_run import open_reward
    from vlmloom.registry.errors import UserError

    quiet()
    if args.items < 1:
        raise UserError(f"evaluate-reward: --items is {args.items}; 1 or more would be right")
    try:
        model, data = open_reward(str(args.folder))
    except ValueError as error:
        raise UserError(str(error)) from None
    suite = data.suite
    with Progress(console=Console(stderr=True), transient=True) as bar:
        total = args.items * len(suite.splits().get(args.split, ()))
        task = bar.add_task(args.folder.name, total=total)
        rows = order(model, suite, split=args.split, items=args.items, tick=lambda: bar.advance(task))
    rows = [row for row in rows if args.tasks or args.json or row.task == "mean"]
    if args.json:
        told = [
            {"kind": row.kind, "task": row.task, "pairs": row.pairs, "accuracy": row.accuracy.value}
            | {"low": row.accuracy.low, "high": row.accuracy.high}
            for row in rows
        ]
        print(json.dumps(told, indent=1))
        return 0
    table = Table(title=f"{args.folder}: gold answer ahead, {args.split} split")
    for column in ("worse answer", "task", "pairs", "ahead", "95 % interval"):
        table.add_column(column, justify="left" if column in ("worse answer", "task") else "right")
    for row in rows:
        one = row.accuracy
        interval = f"{one.low:.1%} to {one.high:.1%}"
        table.add_row(row.kind, row.task, str(row.pairs), f"{one.value:.1%}", interval)
    Console().print(table)
    return 0
