"""`vlmloom probe-reading`: the same questions as text and as pixels."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from vlmloom.pipelines.arguments import add_overrides, verb_parser

SUMMARY = "ask the same questions as text and as pictures of the text, in several fonts and sizes"

EPILOG = """targets are those of `vlmloom evaluate`: a run, an import, a transformers model or an endpoint

examples:
  vlmloom probe-reading runs/native --suite runs/native
      on the questions that the run was trained on
  vlmloom probe-reading runs/native --fonts DejaVuSans cmtt10 --sizes 10 16 24
  vlmloom probe-reading http://localhost:8000/v1#qwen --set answers=boxed --items 200 --json > reading.json
"""
FONTS = ("DejaVuSans", "DejaVuSerif", "STIXGeneral")

LARGEST = 128
"""Pixels of a letter."""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "probe-reading", SUMMARY, EPILOG)
    parser.add_argument("target", metavar="TARGET", help="see below")
    parser.add_argument(
        "--suite", default="full", metavar="NAME|FILE|RUN", help="whose questions are asked (default: full)"
    )
    parser.add_argument("--tasks", nargs="+", metavar="NAME", help="of text alone (default: all there are)")
    parser.add_argument("--items", type=int, default=100, help="questions a task (default: 100)")
    parser.add_argument("--fonts", nargs="+", default=FONTS, metavar="NAME", help="of source/page_fonts")
    parser.add_argument("--sizes", nargs="+", type=int, default=[12, 16, 24], help="of letters in pixels")
    parser.add_argument("--tokens", type=int, help="the longest answer in tokens")
    add_overrides(parser, "give a setting of the suite another value")
    parser.add_argument("--json", action="store_true", help="a list of rows, one a way of asking")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Probe."""
    from rich.console import Console
    from rich.progress import Progress

    from vlmloom.pipelines.evaluate_suite.targets import Settings, target
    from vlmloom.pipelines.quiet import quiet
    from vlmloom.pipelines.reading_probe import probe, questions
    from vlmloom.pipelines.suites import open_suite
    from vlmloom.registry.errors import UserError

    quiet()
    for option, value in (("items", args.items), ("sizes", min(args.sizes)), ("tokens", args.tokens)):
        if value is not None and value < 1:
            raise UserError(f"probe-reading: --{option} is {value}; 1 or more would be right")
    if max(args.sizes) > LARGEST:
        raise UserError(f"probe-reading: --sizes has {max(args.sizes)}; at most {LARGEST} would be right")
    faces = _faces(args.fonts)
    # What shows pictures is not asked: its sources need not be loaded.
    suite, _ = open_suite(args.suite, (*["visual=false"] * (args.suite == "full"), *args.sets), args.swaps)
    tasks = {name: task for name, task in suite.tasks.items() if not task.visual and task.steps == 1}
    for name in args.tasks or ():
        if name not in tasks:
            raise UserError(f"probe-reading: {name} is no task of text alone; {', '.join(tasks)} are")
    tasks = {name: tasks[name] for name in args.tasks or tasks}
    asked = target(args.target, suite, Settings(tokens=args.tokens))
    samples = questions(tasks, args.items, faces, args.sizes)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(args.target, total=None)
        rows = probe(
            asked,
            tasks,
            samples,
            faces,
            args.sizes,
            tick=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if args.json:
        print(json.dumps([row.told() for row in rows], indent=1))
    else:
        _print(rows, args.target)
    return 0


def _faces(names: Sequence[str]) -> list[Any]:
    from vlmloom.components.task.sheet import Face
    from vlmloom.registry import build
    from vlmloom.registry.errors import UserError

    source = build({"use": "source/page_fonts"})
    files = source.load() | source.shifted()
    for name in names:
        if name not in files:
            raise UserError(f"probe-reading: {name} is no font here; {', '.join(files)} are")
    return [Face(name, str(files[name])) for name in names]


def _print(rows: Sequence[Any], title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for column in ("category", "asked as", "items", "accuracy", "lost to text", "words", "fewer words"):
        left = column in ("category", "asked as")
        table.add_column(column, justify="left" if left else "right", no_wrap=left)
    for row in rows:
        gap = "" if row.gap is None else "{:+.0%} ({:+.0%} to {:+.0%})".format(*row.gap)
        fewer = "" if row.words_gap is None else "{:+.1f} ({:+.1f} to {:+.1f})".format(*row.words_gap)
        asked = f"{row.font} {row.size} px" if row.size else row.font
        share = f"{row.accuracy:.0%} ({row.low:.0%} to {row.high:.0%})"
        table.add_row(row.category, asked, str(row.items), share, gap, f"{row.words:.1f}", fewer)
    Console().print(table)
