"""`vlmloom compare`: designs under one budget, and a report of how they differ."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from vlmloom.pipelines.arguments import add_composition, verb_parser

SUMMARY = "train designs under one budget and report how they differ"

EPILOG = """examples:
  vlmloom compare native adapter cascade --seeds 2 --out runs/compare
      the main comparison; interrupted and run again, it goes on where it stopped
  vlmloom compare native my_design.yaml --budget flops=2e13 --seeds 3 --out runs/mine
      a design of your own (an experiment's YAML) beside a shipped one
  vlmloom compare native adapter --budget seconds=120 --out runs/quick
      equal wall time instead of equal FLOPs
"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "compare", SUMMARY, EPILOG)
    parser.add_argument("designs", nargs="+", help="names (configs/SCALE/NAME.yaml) or paths of experiments")
    parser.add_argument(
        "--budget",
        metavar="UNIT=AMOUNT",
        help="flops, samples or seconds of each design and seed, all "
        "stages included (default: the first design's own)",
    )
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each design (default: 2)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/compare"), help="folder (default: runs/compare)"
    )
    parser.add_argument("--items", type=int, default=100, help="test items a category (default: 100)")
    parser.add_argument(
        "--other-items", type=int, default=40, help="items a category of other splits (default: 40)"
    )
    parser.add_argument("--no-blind", action="store_true", help="leave the design without pictures out")
    add_composition(parser)
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Compare."""
    from vlmloom.pipelines.compare import Plan, compare
    from vlmloom.pipelines.evaluate import Items
    from vlmloom.pipelines.exams import ORACLE
    from vlmloom.pipelines.experiment import NAME, NAMING
    from vlmloom.pipelines.gather import BLIND
    from vlmloom.pipelines.quiet import plain_console, quiet
    from vlmloom.registry.errors import UserError

    quiet()
    for option, value in (("seeds", args.seeds), ("items", args.items), ("other-items", args.other_items)):
        if value < 1:
            raise UserError(f"compare: --{option} is {value}; 1 or more would be right")
    designs: dict[str, str] = {}
    for design in args.designs:
        is_path = design.endswith((".yaml", ".yml"))
        name = Path(design).stem if is_path else design.rsplit("/", 1)[-1]
        if name in (BLIND, ORACLE):
            raise UserError(
                f"compare: {name!r} is made by the comparison itself; another file name would be right"
            )
        if not NAME.fullmatch(name):
            raise UserError(
                f"compare: {design}: its file name names its runs' folders; {NAMING} would be right"
            )
        if name in designs:
            raise UserError(f"compare: two designs are called {name!r}; other file names would be right")
        designs[name] = design if is_path or "/" in design else f"{args.scale}/{design}"
    plan = Plan(
        designs=designs,
        out=args.out,
        budget=parse_budget(args.budget),
        seeds=args.seeds,
        exam=Items(args.items, args.other_items),
        blind=not args.no_blind,
        sets=tuple(args.sets),
        swaps=tuple(args.swaps),
        scale=args.scale,
        command=shlex.join(["vlmloom", *sys.argv[1:]]),
    )
    print(compare(plan, plain_console()))
    return 0


def parse_budget(text: str | None) -> tuple[str, float] | None:
    """`flops=2e13` as a unit and an amount.

    Raises:
        UserError: it is none.
    """
    from vlmloom.registry.errors import UserError

    if text is None:
        return None
    unit, _, amount = text.partition("=")
    try:
        value = float(amount)
    except ValueError:
        value = 0.0
    fits = 0 < value < float("inf") and (unit != "samples" or value == int(value))
    if unit not in ("flops", "samples", "seconds") or not fits:
        raise UserError(f"--budget {text}: flops=2e13, samples=50000 or seconds=180 would be right")
    return unit, int(value) if unit == "samples" else value
