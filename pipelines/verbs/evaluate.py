"""`vlmloom evaluate`: accuracy of a trained run or an imported model by split and category."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from vlmloom.pipelines.arguments import verb_parser

SUMMARY = "score a trained run or an imported model on every split and category"

EPILOG = """examples:
  vlmloom evaluate runs/native
  vlmloom evaluate runs/native --items 200 --json > scores.json
"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "evaluate", SUMMARY, EPILOG)
    parser.add_argument("folder", type=Path, help="the folder of a finished run or of an import")
    parser.add_argument("--items", type=int, default=100, help="test items a category (default: 100)")
    parser.add_argument(
        "--other-items", type=int, default=40, help="items a category of other splits (default: 40)"
    )
    parser.add_argument(
        "--oracle", action="store_true", help="a cascade with the truth in place of its perception"
    )
    parser.add_argument(
        "--json", action="store_true", help="a list of {split, category, items, accuracy, low, high}"
    )
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Evaluate."""
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from vlmloom.pipelines.answering import Answerer
    from vlmloom.pipelines.evaluate import Items, categories, evaluate
    from vlmloom.pipelines.loading import load_run
    from vlmloom.pipelines.quiet import quiet
    from vlmloom.pipelines.report.document import build_document
    from vlmloom.pipelines.report.record import Comparison
    from vlmloom.registry.errors import UserError

    quiet()
    for option, value in (("items", args.items), ("other-items", args.other_items)):
        if value < 1:
            raise UserError(f"evaluate: --{option} is {value}; 1 or more would be right")
    experiment = load_run(args.folder)
    if args.oracle and not hasattr(experiment.assembly, "descriptions"):
        raise UserError(
            f"evaluate: --oracle replaces what specialists see, but {args.folder} has none; a cascade's run "
            "would be right"
        )
    answerer = Answerer(experiment, oracle=args.oracle)
    design = "oracle" if args.oracle else experiment.name
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(design, total=None)
        answers = evaluate(
            answerer,
            args.folder,
            design=design,
            seed=experiment.seed,
            items=Items(args.items, args.other_items),
            tick=lambda done, total: bar.update(task, completed=done, total=total),
        )
    comparison = Comparison(
        budget={},
        designs=[design],
        seeds=[experiment.seed],
        runs=[],
        answers=answers,
        categories=categories(experiment.data.suite),
        reference=None,
        oracles={},
    )
    rows = build_document(comparison)["results"]
    if args.json:
        keys = ("split", "category", "items", "accuracy", "low", "high")
        print(json.dumps([{key: row[key] for key in keys} for row in rows], indent=1))
        return 0
    table = Table(title=str(args.folder))
    for column in ("split", "category", "items", "accuracy", "95 % interval"):
        table.add_column(column, justify="left" if column in ("split", "category") else "right")
    for row in rows:
        interval = "" if row["low"] is None else f"{row['low']:.1%} to {row['high']:.1%}"
        table.add_row(row["split"], row["category"], str(row["items"]), f"{row['accuracy']:.1%}", interval)
    Console().print(table)
    return 0
