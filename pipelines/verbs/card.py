"""`vlmloom card`: a model card for a finished run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vlmloom.pipelines.arguments import verb_parser

SUMMARY = "write the model card of a finished run: recipe, data with licences, scores"

EPILOG = """examples:
  vlmloom card runs/cogvit
      README.md beside the weights
  vlmloom evaluate-vision runs/cogvit --out runs/cogvit/probes && \\
  vlmloom card runs/cogvit --scores runs/cogvit/probes/report.json
      with what its tower scores
"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "card", SUMMARY, EPILOG)
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="the folder of a finished run")
    parser.add_argument(
        "--scores", type=Path, metavar="FILE", help="report.json of evaluate-vision, with this run in it"
    )
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Write the card."""
    from vlmloom.pipelines.card import write_card
    from vlmloom.pipelines.quiet import quiet

    quiet()
    print(write_card(args.run_folder, args.scores))
    return 0
