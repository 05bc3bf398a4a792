"""`vlmloom score`: answers of any model, judged by the verifiers of the tasks that they answer."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from vlmloom.pipelines.arguments import add_limits, add_overrides, add_verifiers, read_limits, verb_parser

SUMMARY = "score a file of answers, of any model, by the tasks' verifiers"

EPILOG = """lines of FILE, as the service of `vlmloom serve-rewards` takes them, other keys left alone:
  {"split": "test", "index": 0, "response": "..."}           with --task
  {"task": "count", "split": "test", "index": 0, "responses": ["...", "..."]}
  {"id": "count/test/0", "response": "..."}
  {"verifier": "reward/exact", "question": "2 + 2?", "answer": "4", "response": "..."}

examples:
  vlmloom score answers.jsonl --task count
  vlmloom score answers.jsonl --suite nano --out scored.jsonl
  vlmloom score answers.jsonl --task count --set answers=boxed --json
  vlmloom score answers.jsonl --verifier near=reward/number,relative=0.05

Lines of one answer to the same item are judged together, as `responses` are, and count as their mean. An
answer that cannot be judged, or not within its seconds, is an error and no low score; the exit status is 1
then.
"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "score", SUMMARY, EPILOG)
    parser.add_argument("file", type=Path, metavar="FILE", help="JSON lines")
    parser.add_argument("--task", metavar="NAME", help="that all lines answer; else each line says it")
    parser.add_argument(
        "--suite",
        default="full",
        metavar="NAME|FILE|RUN",
        help="of configs/suites, a YAML, or a run's (default: full)",
    )
    add_overrides(parser, "give a setting of the suite another value")
    add_verifiers(parser)
    add_limits(parser)
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write every answer with value, parts and reason"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Read, judge, write, and print the summary."""
    from rich.console import Console
    from rich.progress import Progress

    from vlmloom.pipelines.files import open_file, write_text
    from vlmloom.pipelines.quiet import quiet
    from vlmloom.pipelines.scoring.file import read, score, summary
    from vlmloom.pipelines.scoring.limited import Limited
    from vlmloom.pipelines.scoring.scorer import Scorer, declared
    from vlmloom.pipelines.suites import open_suite
    from vlmloom.registry.errors import UserError, nearest

    quiet()
    if args.out is not None and args.out.resolve() == args.file.resolve():
        raise UserError(f"score: --out {args.out} is the file of the answers; another would be right")
    suite, _ = open_suite(args.suite, args.sets, args.swaps)
    if args.task is not None and args.task not in suite.tasks:
        near = nearest(args.task, suite.tasks)
        raise UserError(f"score: --task {args.task} is not in the suite; {near}")
    scorer = Scorer(suite, declared("score", args.verifier))
    limits = read_limits("score", args, suite, scorer.nodes)
    asked = read(args.file, scorer, args.task or "")
    if args.out is not None:
        open_file(args.out)
    with Limited(scorer, limits) as judge, Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(args.file.name, total=sum(len(line.responses) for line in asked.values()))
        scored = score(judge, asked, lambda count: bar.advance(task, count))
    if args.out is not None:
        write_text(args.out, "".join(json.dumps(one.document()) + "\n" for one in scored))
    rows = summary(scored)
    if args.json:
        print(json.dumps([_document(row) for row in rows], indent=1))
    else:
        _print(rows, args.file)
        for one in [one for one in scored if one.reward.error is not None][:3]:
            print(f"{args.file}:{one.number}: {one.reward.error}", file=sys.stderr)
    return int(any(row.errors for row in rows))


def _document(row: Any) -> dict[str, Any]:
    mean = row.mean
    values = {"mean": None, "low": None, "high": None}
    if mean is not None:
        values = {"mean": mean.value, "low": mean.low, "high": mean.high}
    counts = {key: getattr(row, key) for key in ("task", "split", "answers", "items", "malformed", "errors")}
    return counts | values


def _print(rows: list[Any], file: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=str(file))
    for column in ("task", "split", "answers", "items", "mean", "95 % interval", "malformed", "errors"):
        table.add_column(column, justify="left" if column in ("task", "split") else "right")
    for row in rows:
        mean = row.mean
        told = ("-", "-") if mean is None else (f"{mean.value:.3f}", f"{mean.low:.3f} to {mean.high:.3f}")
        counts = str(row.answers), str(row.items)
        table.add_row(row.task, row.split, *counts, *told, str(row.malformed), str(row.errors))
    Console().print(table)
