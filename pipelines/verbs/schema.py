"""`vlmloom schema`: the JSON Schema that editors complete and check YAML with."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vlmloom.pipelines.arguments import verb_parser

SUMMARY = "write the JSON Schema for editors"

EPILOG = """examples:
  vlmloom schema                              print it
  vlmloom schema --out configs/schema.json    write it; a YAML names it in its first line:
                                              # yaml-language-server: $schema=../schema.json
  vlmloom schema --plugin my_parts.py         with the components of a file
"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "schema", SUMMARY, EPILOG)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write it there")
    parser.add_argument(
        "--plugin", action="append", default=[], metavar="MODULE", help="a module or a .py file"
    )
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print or write it."""
    from vlmloom.pipelines.ablate import Ablation
    from vlmloom.pipelines.alone import ComponentExperiment
    from vlmloom.pipelines.experiment import Experiment
    from vlmloom.pipelines.files import write_text
    from vlmloom.registry.catalog import catalog
    from vlmloom.registry.schema import schema, schema_text

    for plugin in args.plugin:
        catalog().add_plugin(plugin, Path.cwd())
    text = schema_text(schema(Experiment, ComponentExperiment, Ablation))
    if args.out is None:
        print(text, end="")
        return 0
    write_text(args.out, text)
    return 0
