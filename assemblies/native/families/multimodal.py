"""What the families with pictures share: prefixes, sizes, tokens."""

from __future__ import annotations

from vlmloom.assemblies.native.families.keys import Sizes
from vlmloom.assemblies.native.families.settings import Tree, dig

OLDER = (
    ("model.language_model.model.", "model.language_model."),
    ("language_model.model.", "model.language_model."),
    ("language_model.lm_head.", "lm_head."),
    ("model.language_model.", "model.language_model."),
    ("model.visual.", "model.visual."),
    ("visual.", "model.visual."),
    ("model.", "model.language_model."),
)
"""Prefixes that files have had, and today's; the first that fits holds."""

TOKENS = {
    "image_token_id": "<|image|>",
    "image_start_token_id": "<|begin_of_image|>",
    "image_end_token_id": "<|end_of_image|>",
    "video_token_id": "<|video|>",
    "video_start_token_id": "<|begin_of_video|>",
    "video_end_token_id": "<|end_of_video|>",
}
"""Places in config.json that hold the id of a special token."""


def sizes(assembly: Tree) -> Sizes:
    """How long the shares and axes are that rows speak of."""
    size = dig(assembly, "language.head_size")
    return {
        "query": dig(assembly, "language.heads") * size,
        "key": dig(assembly, "language.kv_heads") * size,
        "frame": dig(assembly, "vision.temporal"),
        "y": dig(assembly, "vision.patch"),
        "x": dig(assembly, "vision.patch"),
        "row": dig(assembly, "projector.block"),
        "column": dig(assembly, "projector.block"),
    }
