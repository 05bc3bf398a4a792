"""`vlmloom ls`: which components there are."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from vlmloom.pipelines.arguments import verb_parser

SUMMARY = "list components with one-line summaries"

EPILOG = """examples:
  vlmloom ls                       all components
  vlmloom ls projector             those of a kind
  vlmloom ls task                  tasks, each with its family
  vlmloom ls '*mtp*' --json        those whose names match, as JSON
  vlmloom ls --plugin my_parts.py  with those of a file
"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "ls", SUMMARY, EPILOG)
    parser.add_argument(
        "pattern", nargs="?", metavar="KIND", help="a kind, a name, or a wildcard such as '*/mlp'"
    )
    parser.add_argument(
        "--plugin", action="append", default=[], metavar="MODULE", help="a module or a .py file"
    )
    parser.add_argument(
        "--json", action="store_true", help="a list of objects: name, kind, family, summary, class_path"
    )
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the list."""
    from vlmloom.registry.catalog import catalog

    known = catalog()
    for plugin in args.plugin:
        known.add_plugin(plugin, Path.cwd())
    entries = known.list(args.pattern)
    if args.json:
        keys = ("name", "kind", "family", "summary", "class_path")
        print(json.dumps([{key: getattr(entry, key) for key in keys} for entry in entries], indent=2))
        return 0
    margin = max((len(entry.name) for entry in entries), default=0) + 2
    family = max(len(entry.family) for entry in entries) + 2 if any(entry.family for entry in entries) else 0
    room = max(40, shutil.get_terminal_size((120, 24)).columns - margin - family)
    for entry in entries:
        summary = entry.summary if len(entry.summary) <= room else entry.summary[: room - 3] + "..."
        print(f"{entry.name:<{margin}}{entry.family:<{family}}{summary}".rstrip())
    return 0
