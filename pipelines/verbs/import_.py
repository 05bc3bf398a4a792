"""`vlmloom import`: a released checkpoint to an assembly and weights of ours."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from vlmloom.pipelines.arguments import add_shard_size, verb_parser

SUMMARY = "import a released checkpoint from its Hugging Face folder"

EPILOG = """examples:
  vlmloom import checkpoints/GLM-OCR models/glm-ocr
      config.json becomes assembly.yaml, the weights lie beside it in our names
  vlmloom show models/glm-ocr
  vlmloom ask models/glm-ocr page.png "Text Recognition:"
  vlmloom evaluate models/glm-ocr
      on the data that models/glm-ocr/config.yaml names
  vlmloom export models/glm-ocr back
      and back again: the same tensors, the same config.json

Architectures: glm4v, glm4v_moe, glm46v, glm_ocr, glm_moe_dsa; of glm5_next the tower and the merger.
From Python: vlmloom.pipelines.loading.load_assembly("models/glm-ocr").
OUT is written whole or not at all. docs/checkpoints.md says what is checked.
"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """The verb's options."""
    parser = verb_parser(subparsers, "import", SUMMARY, EPILOG)
    parser.add_argument("source", type=Path, metavar="HF_DIR", help="the folder of a checkpoint")
    parser.add_argument("out", type=Path, metavar="OUT", help="a folder to be made")
    add_shard_size(parser)
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Import."""
    from vlmloom.pipelines.weights.importing import import_released

    import_released(args.source, args.out, shard_bytes=args.shard_size, tell=print)
    print(f"{args.out}; next: vlmloom show {args.out}")
    return 0
