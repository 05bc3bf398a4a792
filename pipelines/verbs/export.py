"""`vlmloom export`: an assembly of ours to a checkpoint that transformers loads."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vlmloom.pipelines.arguments import add_shard_size, verb_parser

SUMMARY = "export an import or a trained run as a Hugging Face folder"

EPILOG = """examples:
  vlmloom export models/glm-ocr back
      an import: its own config.json, tokenizer and other files go along
  vlmloom export runs/tuned out --like checkpoints/GLM-OCR --dtype BF16
      a trained run, with what else belongs to a checkpoint from a released one
  vlmloom export runs/tuned/checkpoints/0-joint/step=200.ckpt out
      a training checkpoint, also a folder of torch.distributed.checkpoint below a run

What fits no released architecture is told in one line. HF_DIR is written whole or not at all.
"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "export", SUMMARY, EPILOG)
    parser.add_argument(
        "checkpoint", type=Path, metavar="CKPT", help="an import, a run or a training checkpoint"
    )
    parser.add_argument("out", type=Path, metavar="HF_DIR", help="a folder to be made")
    parser.add_argument(
        "--like",
        type=Path,
        metavar="HF_DIR",
        help="a released checkpoint whose config.json, tokenizer and other files go along",
    )
    parser.add_argument("--dtype", choices=("BF16", "F16", "F32"), help="of the weights (default: theirs)")
    add_shard_size(parser)
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Export."""
    from vlmloom.pipelines.weights.exporting import export_released

    export_released(
        args.checkpoint, args.out, like=args.like, dtype=args.dtype, shard_bytes=args.shard_size, tell=print
    )
    print(args.out)
    return 0
