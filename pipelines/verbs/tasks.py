"""`vlmloom tasks`: look at what the tasks of a suite ask."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vlmloom.pipelines.arguments import add_overrides, verb_parser

SUMMARY = "draw items of every task on a page, with what their verifiers say"

EPILOG = """examples:
  vlmloom tasks preview --out runs/preview
      four items of each category of suite full
  vlmloom tasks preview --out runs/preview --task count relation --split corrupt
      two categories, with spoilt pictures
  vlmloom tasks preview --out runs/preview --suite documents --set answers=boxed
      a family, in the format of thoughts and a box

`vlmloom ls task` lists the tasks.
"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "tasks", SUMMARY, EPILOG)
    parser.add_argument("what", choices=["preview"], help="preview: a page of items")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where preview.html goes")
    parser.add_argument("--suite", default="full", metavar="NAME|FILE|RUN", help="(default: full)")
    parser.add_argument("--task", nargs="+", metavar="NAME", help="these alone")
    parser.add_argument("--split", default="test", help="(default: test)")
    parser.add_argument("--items", type=int, default=4, help="of each category (default: 4)")
    add_overrides(parser, "give a setting of the suite another value")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Write the page."""
    from vlmloom.pipelines.evaluate_suite.preview import preview
    from vlmloom.pipelines.files import open_file, write_text
    from vlmloom.pipelines.quiet import plain_console, quiet
    from vlmloom.pipelines.suites import open_suite
    from vlmloom.registry.errors import UserError

    quiet()
    if args.items < 1:
        raise UserError(f"tasks preview: --items is {args.items}; 1 or more would be right")
    suite, _ = open_suite(args.suite, args.sets, args.swaps)
    path = open_file(args.out / "preview.html")
    console = plain_console()
    with console.status("") as status:
        page = preview(suite, Path(args.suite).stem, args.split, args.items, args.task, status.update)
    write_text(path, page)
    print(path)
    return 0
