"""`vlmloom probe-reading`: the same questions as text and as pixels."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vlmloom.pipelines.arguments import verb_parser

SUMMARY = "ask the same questions as text and as pictures of the text, in several fonts and sizes"

EPILOG = """examples:
  vlmloom probe-reading runs/native
  vlmloom probe-reading runs/native --tasks arithmetic --fonts DejaVuSans cmtt10 --sizes 10 16 24
  vlmloom probe-reading runs/native --items 200 --json > reading.json
"""
FONTS = ("DejaVuSans", "DejaVuSerif", "STIXGeneral")


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "probe-reading", SUMMARY, EPILOG)
    parser.add_argument("folder", type=Path, help="the folder of a finished run or of an import")
    parser.add_argument(
        "--tasks", nargs="+", metavar="NAME", help="tasks of text alone (default: those of the run's suite)"
    )
    parser.add_argument("--items", type=int, default=100, help="questions a task (default: 100)")
    parser.add_argument("--fonts", nargs="+", default=FONTS, metavar="NAME", help="of source/page_fonts")
    parser.add_argument("--sizes", nargs="+", type=int, default=[12, 16, 24], help="of letters in pixels")
    parser.add_argument("--json", action="store_true", help="a list of rows, one a way of asking")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Probe."""
    from rich.console import Console
    from rich.progress import Progress

    from vlmloom.pipelines.answering import Answerer
    from vlmloom.pipelines.loading import load_run
    from vlmloom.pipelines.quiet import quiet
    from vlmloom.pipelines.reading_probe import probe, questions
    from vlmloom.registry.errors import UserError

    quiet()
    for option, value in (("items", args.items), ("sizes", min(args.sizes))):
        if value < 1:
            raise UserError(f"probe-reading: --{option} is {value}; 1 or more would be right")
    faces = _faces(args.fonts)
    experiment = load_run(args.folder)
    tasks = _tasks(args.tasks, experiment.data.suite)
    samples = questions(tasks, args.items, faces, args.sizes)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(experiment.name, total=None)
        rows = probe(
            Answerer(experiment).answers,
            tasks,
            samples,
            faces,
            args.sizes,
            tick=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if args.json:
        print(json.dumps([row.told() for row in rows], indent=1))
    else:
        _print(rows, str(args.folder))
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


def _tasks(names: Sequence[str] | None, suite: Any) -> dict[str, Any]:
    """The tasks that are asked: those of the run's suite, or of the whole suite where they are named."""
    from vlmloom.registry import build
    from vlmloom.registry.errors import UserError

    own = {name: task for name, task in suite.tasks.items() if not task.visual}
    if names is None:
        if not own:
            raise UserError("probe-reading: the run's suite has no task of text alone; --tasks names some")
        return own
    if all(name in own for name in names):
        return {name: own[name] for name in names}
    known = own | build({"use": "suite/full", "visual": False}).tasks
    for name in names:
        if name not in known:
            raise UserError(f"probe-reading: {name} is no task of text alone; {', '.join(known)} are")
    return {name: known[name] for name in names}


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
