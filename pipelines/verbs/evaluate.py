"""`vlmloom evaluate`: what a run, an endpoint or any other model answers, by split and category."""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
from pathlib import Path
from typing import Any

from vlmloom.pipelines.arguments import DAY, add_limits, add_overrides, read_limits, verb_parser

SUMMARY = "score a run, an import, an endpoint or another model by category"

EPILOG = """targets:
  the folder of a finished run or of an import; with --suite also the folder of a transformers
  vision-language model, an OpenAI-compatible endpoint http://HOST/v1 (or http://HOST/v1#MODEL),
  and the policies oracle, random and empty, which say what the numbers of others mean

examples:
  vlmloom evaluate runs/native
      a run on the suite that it was trained on, every split
  vlmloom evaluate runs/native --suite full --out runs/full
      on all categories; report.html, report.json and every answer in runs/full
  vlmloom evaluate http://localhost:8000/v1 runs/native --model qwen --suite documents
      an outside model and a run in the same table, paired
  vlmloom evaluate http://localhost:8000/v1#qwen runs/native runs/adapter --suite runs/native
      an outside model on what two runs were trained on
  vlmloom evaluate runs/joint --against runs/plain --suite video --split corrupt
      two runs, with a paired test
  vlmloom evaluate oracle random empty --suite full --items 200
      whether questions and verifiers can be trusted
  vlmloom evaluate runs/native --suite full --set answers=boxed --set 'languages=[en, zh]'
      another setting of the suite

What is on disk is not asked again: the same command goes on where a killed one was, and asks again what
failed. A failed item is told and counts neither as right nor as wrong; the exit status is then 1.
"""

OF_SUITE = ("split", "out", "tokens", "batch", "model", "price", "sets", "seconds", "limit")
"""Options that say how a suite is asked, which nothing else is."""
LEAST = {"items": 1, "other_items": 1, "batch": 1, "concurrency": 1, "tries": 1, "tokens": 1}


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "evaluate", SUMMARY, EPILOG)
    parser.add_argument("targets", nargs="+", metavar="TARGET", help="see below")
    parser.add_argument(
        "--suite",
        metavar="NAME|FILE|RUN",
        help="of configs/suites, a YAML, or that of a run; else the run's own",
    )
    parser.add_argument("--split", default="test", help="of the suite (default: test)")
    parser.add_argument("--items", type=int, default=100, help="items a category (default: 100)")
    parser.add_argument(
        "--other-items",
        type=int,
        default=40,
        help="without --suite, of splits other than test (default: 40)",
    )
    parser.add_argument("--against", metavar="TARGET", help="the one that the others are compared with")
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder (default: runs/evaluate/SUITE)")
    parser.add_argument(
        "--oracle", action="store_true", help="a cascade with the truth in place of its perception"
    )
    parser.add_argument("--tokens", type=int, help="the longest answer in tokens")
    parser.add_argument("--batch", type=int, help="questions at a time of a model in this process")
    parser.add_argument("--model", metavar="NAME", help="of an endpoint")
    parser.add_argument(
        "--key-env",
        default="OPENAI_API_KEY",
        metavar="VARIABLE",
        help="holds an endpoint's key (default: OPENAI_API_KEY)",
    )
    parser.add_argument("--concurrency", type=int, default=8, help="questions at an endpoint (default: 8)")
    parser.add_argument(
        "--timeout", type=float, default=120.0, metavar="S", help="of a try there (default: 120)"
    )
    parser.add_argument("--tries", type=int, default=5, help="of a question there (default: 5)")
    parser.add_argument(
        "--price", type=float, nargs=2, metavar=("IN", "OUT"), help="of a million tokens read and written"
    )
    add_overrides(parser, "give a setting of the suite another value")
    add_limits(parser)
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.set_defaults(run=run, plain={name: parser.get_default(name) for name in OF_SUITE})
    return parser


def run(args: argparse.Namespace) -> int:
    """Evaluate."""
    from vlmloom.pipelines.quiet import quiet
    from vlmloom.registry.errors import UserError

    quiet()
    for option, least in LEAST.items():
        if (value := getattr(args, option)) is not None and value < least:
            raise UserError(f"evaluate: --{option.replace('_', '-')} is {value}; 1 or more would be right")
    if not 0 < args.timeout <= DAY:
        raise UserError(f"evaluate: --timeout is {args.timeout:g}; above 0, at most {DAY:,} would be right")
    if args.price is not None and not all(0 <= price < math.inf for price in args.price):
        raise UserError(f"evaluate: --price is {args.price[0]:g} {args.price[1]:g}; 0 or more would be right")
    return _own_suite(args) if args.suite is None else _suite(args)


def _suite(args: argparse.Namespace) -> int:
    """Targets on a suite."""
    from vlmloom.pipelines.evaluate_suite.evaluation import Evaluation
    from vlmloom.pipelines.evaluate_suite.targets import Settings, named, target
    from vlmloom.pipelines.evaluate_suite.told import bar, show
    from vlmloom.pipelines.machine import machine, versions
    from vlmloom.pipelines.quiet import plain_console
    from vlmloom.pipelines.suites import open_suite

    texts = [*args.targets, *([args.against] if args.against and args.against not in args.targets else [])]
    suite, composed = open_suite(args.suite, args.sets, args.swaps)
    limits = read_limits("evaluate", args, suite)
    name = Path(args.suite).stem
    shared = {key: getattr(args, key) for key in Settings.__dataclass_fields__}
    made = [target(text, suite, Settings(**shared)) for text in texts]
    targets = named(texts, made)
    against = None if args.against is None else list(targets)[texts.index(args.against)]
    out = args.out or Path("runs/evaluate") / name
    price = None if args.price is None else (args.price[0], args.price[1])
    evaluation = Evaluation(name, suite, composed, args.split, args.items, out, price, against, limits)
    console = plain_console()
    for one, answering in targets.items():
        with bar(console, one) as tick:
            evaluation.ask(one, answering, tick)
    command = shlex.join(["vlmloom", *sys.argv[1:]])
    found = evaluation.report({"machine": machine(), "versions": versions(), "command": command})
    if args.json:
        print(json.dumps({key: found[key] for key in ("summary", "differences", "told", "faults")}, indent=1))
    else:
        show(found, plain_console(stderr=False))
    console.print(out / "report.html")
    return 1 if found["faults"] else 0


def _own_suite(args: argparse.Namespace) -> int:
    """A run on every split of the suite that it was trained on."""
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from vlmloom.pipelines.answering import Answerer
    from vlmloom.pipelines.evaluate import Items, categories, evaluate
    from vlmloom.pipelines.evaluate_suite.target import POLICIES
    from vlmloom.pipelines.loading import load_run
    from vlmloom.pipelines.report.document import build_document
    from vlmloom.pipelines.report.record import Comparison
    from vlmloom.registry.errors import UserError

    if len(args.targets) > 1 or args.against is not None:
        raise UserError("evaluate: several targets need --suite NAME, which they are all asked")
    for option, plain in args.plain.items():
        if getattr(args, option) != plain:
            name = {"sets": "set", "swaps": "swap"}.get(option, option)
            raise UserError(
                f"evaluate: --{name} needs --suite NAME; a run's own suite is asked as it was trained"
            )
    if args.targets[0] in POLICIES:
        raise UserError(f"evaluate: {args.targets[0]} needs --suite NAME, whose questions it answers")
    folder = Path(args.targets[0])
    experiment = load_run(folder)
    if args.oracle and not hasattr(experiment.assembly, "descriptions"):
        raise UserError(
            f"evaluate: --oracle replaces what specialists see, but {folder} has none; a cascade's run "
            "would be right"
        )
    answerer = Answerer(experiment, oracle=args.oracle)
    design = "oracle" if args.oracle else experiment.name
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(design, total=None)
        answers = evaluate(
            answerer,
            folder,
            design=design,
            seed=experiment.seed,
            items=Items(args.items, args.other_items),
            tick=lambda done, total: progress.update(task, completed=done, total=total),
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
    table = Table(title=str(folder))
    for column in ("split", "category", "items", "accuracy", "95 % interval"):
        table.add_column(column, justify="left" if column in ("split", "category") else "right")
    for row in rows:
        interval = "" if row["low"] is None else f"{row['low']:.1%} to {row['high']:.1%}"
        table.add_row(row["split"], row["category"], str(row["items"]), f"{row['accuracy']:.1%}", interval)
    Console().print(table)
    return 0
