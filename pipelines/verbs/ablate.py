"""`vlmloom ablate`: a design, and what changes when single values of it change."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from vlmloom.pipelines.arguments import add_composition, verb_parser

SUMMARY = "train a design with single values changed and report what each changes"

EPILOG = """examples:
  vlmloom ablate mmtp --out runs/mmtp
      an ablation that is written down (configs/experiments/mmtp.yaml); interrupted and run again, it goes on
  vlmloom ablate native --axis assembly.language.depth=2,6 --axis assembly.head.mmtp.depth=2,3
      one value at a time: four arms beside the base
  vlmloom ablate native --axis assembly.language.depth=4,6 --axis assembly.vision.depth=4,6 --grid
      every combination
  vlmloom ablate native --axis 'assembly.projector={use: projector/mlp},{use: projector/linear}'
      a component in place of another; a mapping without `use` is laid over what stands there
"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "ablate", SUMMARY, EPILOG)
    parser.add_argument("base", help="an experiment or an ablation: its name, or the path of its YAML")
    parser.add_argument(
        "--axis",
        dest="axes",
        action="append",
        default=[],
        metavar="KEY=V1,V2",
        help="a key of the experiment and the values to try, as often as needed",
    )
    parser.add_argument("--grid", action="store_true", help="every combination, not one change at a time")
    parser.add_argument(
        "--budget",
        metavar="UNIT=AMOUNT",
        help="flops, samples or seconds of an arm and seed (default: the base's)",
    )
    parser.add_argument("--seeds", type=int, help="trainings of each arm (default: 2)")
    parser.add_argument("--out", type=Path, help="folder (default: runs/ablate-NAME)")
    parser.add_argument("--items", type=int, help="test items a category (default: 100)")
    parser.add_argument("--other-items", type=int, help="items a category of other splits (default: 40)")
    add_composition(parser)
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Ablate."""
    from vlmloom.pipelines.ablate import BASE, arms, read_ablation, settings
    from vlmloom.pipelines.compare import Plan, compare
    from vlmloom.pipelines.quiet import plain_console, quiet
    from vlmloom.pipelines.verbs.compare import parse_budget

    quiet()
    root = read_ablation(args.base, args.axes, args.scale)
    given = {"seeds": args.seeds, "items.test": args.items, "items.other": args.other_items}
    asked = settings(root, {key: value for key, value in given.items() if value is not None})
    budget = parse_budget(args.budget)
    if budget is None and asked.budget is not None:
        budget = asked.budget.unit, getattr(asked.budget, asked.budget.unit)
    trees = arms(root, asked, grid=args.grid, scale=args.scale, sets=args.sets, swaps=args.swaps)
    plan = Plan(
        designs=trees,
        out=args.out or Path("runs") / f"ablate-{Path(args.base).stem}",
        budget=budget,
        seeds=asked.seeds,
        exam=asked.exam,
        base=BASE,
        blind=False,
        sets=tuple(args.sets),
        swaps=tuple(args.swaps),
        scale=args.scale,
        command=shlex.join(["vlmloom", *sys.argv[1:]]),
    )
    print(compare(plan, plain_console()))
    return 0
