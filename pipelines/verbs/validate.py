"""`vlmloom validate`: check YAML, run nothing."""

from __future__ import annotations

import argparse
from typing import Any

from vlmloom.pipelines.arguments import add_composition, verb_parser

SUMMARY = "check assemblies, experiments and ablations, and train nothing"

EXPERIMENT = {"assembly", "model", "data", "stages"}
"""Keys by which an experiment is known from an assembly that lacks its `use`."""

EPILOG = """examples:
  vlmloom validate my_experiment.yaml
  vlmloom validate native adapter nano/cascade experiments/mmtp
  vlmloom validate my_assembly.yaml --scale small --set language.depth=6

Every error is one line: file:line: key: what was found; what would be right. Exit status 2 if there are any.
"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "validate", SUMMARY, EPILOG)
    parser.add_argument("files", nargs="+", metavar="FILE", help="a YAML's path, or a name")
    add_composition(parser)
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Check every file, tell all errors of all of them."""
    from vlmloom.pipelines.ablate import check_ablation, is_ablation
    from vlmloom.registry.compose import compose, find
    from vlmloom.registry.errors import UserError
    from vlmloom.registry.walk import check

    lines: list[str] = []
    for file in args.files:
        try:
            composed = compose(file, scale=args.scale, sets=args.sets, swaps=args.swaps, lenient=True)
            if is_ablation(composed.root):
                path = str(find(file, args.scale))
                check_ablation(path, scale=args.scale, sets=args.sets, swaps=args.swaps)
                print(f"{file}: ok")
                continue
            shape: Any = Any
            if not composed.root.names_component() and EXPERIMENT & composed.root.value.keys():
                from vlmloom.pipelines.loading import lost_weights, shape_of

                shape = shape_of(composed)
                composed.problems.extend(lost_weights(composed))
            check(composed, shape)
        except UserError as error:
            lines.extend(line for line in error.lines if line not in lines)
        else:
            print(f"{file}: ok")
    if lines:
        raise UserError(*lines)
    return 0
