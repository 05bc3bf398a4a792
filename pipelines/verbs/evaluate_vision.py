"""`vlmloom evaluate-vision`: towers side by side, by probes of their frozen features."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from vlmloom.pipelines.arguments import verb_parser

SUMMARY = "put vision towers side by side by probes of their frozen features"

EPILOG = """examples:
  vlmloom evaluate-vision teacher/efficientnet_lite0 vision/cogvit,width=192,depth=4,heads=4,patch=16
  vlmloom evaluate-vision runs/native teacher/timm,model=vit_small_patch16_224,weights=null --only knn linear
      the tower of a finished run beside one of timm
  vlmloom evaluate-vision runs/native teacher/dinov3 --sizes 56 224 --shift source/noto_emoji --out runs/eyes
      the test pictures at other sides and in another drawing style as well; scores are kept in --out
  vlmloom evaluate-vision runs/adapter teacher/open_clip,model=ViT-B-16,weights=openai --only zero_shot
      towers that share a space with text
"""
NAMES = (
    *("knn", "linear", "instance_recall", "segmentation", "position", "count", "correspondence"),
    *("zero_shot", "retrieval"),
)
LEAST = {"things": 2, "views": 1, "side": 16, "most": 2}


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "evaluate-vision", SUMMARY, EPILOG)
    parser.add_argument(
        "towers", nargs="+", metavar="TOWER", help="KIND/NAME[,KEY=VALUE] or the folder of a finished run"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=NAMES,
        default=list(NAMES),
        metavar="PROBE",
        help=f"of {', '.join(NAMES)}",
    )
    parser.add_argument(
        "--against", metavar="TOWER", help="that others are compared with (default: the first)"
    )
    parser.add_argument("--source", default="source/openmoji", help="of cut-outs (default: source/openmoji)")
    parser.add_argument(
        "--shift", metavar="SOURCE", help="of the same things in another style, for test pictures"
    )
    parser.add_argument(
        "--sizes", nargs="+", type=int, default=[], metavar="PX", help="further sides of test pictures"
    )
    parser.add_argument("--things", type=int, default=40, help="to tell apart (default: 40)")
    parser.add_argument("--views", type=int, default=10, help="pictures a thing to learn from (default: 10)")
    parser.add_argument("--side", type=int, default=128, help="of a picture in pixels (default: 128)")
    parser.add_argument("--most", type=int, default=6, help="things in a picture to count (default: 6)")
    parser.add_argument("--templates", nargs="+", metavar="TEXT", help="what names are put into, at {}")
    parser.add_argument(
        "--captions",
        metavar="FILE",
        help='retrieval among your own: lines {"image": "a.jpg", "text": "a dog"}',
    )
    parser.add_argument("--seed", type=int, default=0, help="of weights and pictures (default: 0)")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where report.json, report.html and scores go"
    )
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Probe, print and write."""
    from vlmloom.pipelines.evaluate_vision.compare import compare
    from vlmloom.pipelines.evaluate_vision.page import render
    from vlmloom.pipelines.evaluate_vision.pictures import Plan
    from vlmloom.pipelines.evaluate_vision.retrieval import TEMPLATES
    from vlmloom.pipelines.evaluate_vision.tables import show
    from vlmloom.pipelines.files import write_text
    from vlmloom.pipelines.machine import machine, versions
    from vlmloom.pipelines.quiet import plain_console, quiet
    from vlmloom.pipelines.report.document import dump
    from vlmloom.registry.errors import UserError

    quiet()
    numbers = [(option, least, getattr(args, option)) for option, least in LEAST.items()]
    for option, least, value in numbers + [("sizes", 16, size) for size in args.sizes]:
        if value < least:
            raise UserError(f"evaluate-vision: --{option} is {value}; {least} or more would be right")
    if wrong := [text for text in args.templates or () if "{}" not in text]:
        raise UserError(
            f"evaluate-vision: --templates {wrong[0]!r} has no place for the name; 'a {{}}' would be right"
        )
    plan = Plan(
        source=args.source,
        things=args.things,
        views=args.views,
        side=args.side,
        most=args.most,
        shift=args.shift,
        sizes=tuple(args.sizes),
        templates=tuple(args.templates or TEMPLATES),
        captions=args.captions,
        seed=args.seed,
    )
    console = plain_console(stderr=False)
    command = shlex.join(["vlmloom", *sys.argv[1:]])
    found = compare(
        args.towers,
        args.only,
        plan,
        against=args.against,
        out=args.out,
        facts={"machine": machine(), "versions": versions(), "command": command},
        tick=lambda name: console.print(f"{name} ...", style="dim"),
    )
    show(found, console)
    if args.out is not None:
        write_text(args.out / "report.json", dump(found))
        write_text(args.out / "report.html", render(found))
        console.print(args.out / "report.html")
    return 0
