"""`vlmloom evaluate-vision`: towers side by side, by probes of their frozen features."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from vlmloom.pipelines.arguments import verb_parser

SUMMARY = "put vision towers side by side by probes of their frozen features"

EPILOG = """examples:
  vlmloom evaluate-vision teacher/efficientnet_lite0 vision/cogvit,width=192,depth=4,heads=4,patch=16
  vlmloom evaluate-vision runs/native teacher/timm,model=vit_small_patch16_224,weights=null --only knn linear
      the tower of a finished run beside one of timm
"""
NAMES = ("knn", "linear", "segmentation", "position", "correspondence")


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "evaluate-vision", SUMMARY, EPILOG)
    parser.add_argument(
        "towers", nargs="+", metavar="TOWER", help="KIND/NAME[,KEY=VALUE] or the folder of a finished run"
    )
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES), help="these probes")
    parser.add_argument("--source", default="source/openmoji", help="of cut-outs (default: source/openmoji)")
    parser.add_argument("--things", type=int, default=40, help="to tell apart (default: 40)")
    parser.add_argument("--views", type=int, default=10, help="pictures a thing to learn from (default: 10)")
    parser.add_argument("--side", type=int, default=128, help="of a picture in pixels (default: 128)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and pictures (default: 0)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="where report.json goes")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Probe, print and write."""
    from rich.console import Console
    from rich.table import Table

    from vlmloom.pipelines.evaluate_vision.compare import Plan, compare
    from vlmloom.pipelines.quiet import quiet
    from vlmloom.registry.errors import UserError

    quiet()
    for option, least in (("things", 2), ("views", 1), ("side", 16)):
        if (value := getattr(args, option)) < least:
            raise UserError(f"evaluate-vision: --{option} is {value}; {least} or more would be right")
    plan = Plan(args.things, args.views, args.side, args.seed)
    found = compare(args.towers, args.source, args.only, plan)
    console = Console(highlight=False, soft_wrap=True)
    table = Table(title=f"{plan.things} things of {args.source}, {plan.side} px", title_justify="left")
    table.add_column("tower", overflow="fold")
    for probe in args.only:
        table.add_column(probe, justify="right", no_wrap=True)
    cells = {
        (row["tower"], row["probe"]): f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        for row in found
    }
    for tower in args.towers:
        table.add_row(tower, *(cells[tower, probe].replace("[", r"\[") for probe in args.only))
    console.width = max(console.width, 120)
    console.print(table)
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        document = {"source": args.source, **vars(plan), "results": found}
        (args.out / "report.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0
