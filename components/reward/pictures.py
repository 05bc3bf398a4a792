"""How alike two pictures are."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

Likeness = Callable[[np.ndarray, np.ndarray], float]
SIDE = 128


def shrunk(picture: np.ndarray, side: int = SIDE) -> np.ndarray:
    """A square of floats from 0 to 1, `[side, side, 3]`."""
    small = Image.fromarray(picture).resize((side, side), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64) / 255


def structure(one: np.ndarray, other: np.ndarray) -> float:
    """Structural similarity of two pictures, each shrunk to a square of 128 pixels; not below 0.

    Args:
        one: uint8 `[height, width, 3]`.
        other: of any size too.

    Reference: Wang et al., "Image quality assessment", IEEE Transactions on Image Processing 13, 2004.
    """
    from skimage.metrics import structural_similarity

    found = structural_similarity(shrunk(one), shrunk(other), channel_axis=2, data_range=1.0)
    return min(1.0, max(0.0, float(found)))


def closeness(one: np.ndarray, other: np.ndarray) -> float:
    """1 - the mean difference of the shrunk pictures."""
    return 1 - float(np.abs(shrunk(one) - shrunk(other)).mean())


def gained(likeness: Likeness, found: np.ndarray, gold: np.ndarray) -> float:
    """How much more alike than an empty sheet: 0 for white paper and worse, 1 for the same picture."""
    empty = likeness(np.full_like(gold, 255), gold)
    if empty >= 1:
        return float(likeness(found, gold) >= 1)
    return max(0.0, (likeness(found, gold) - empty) / (1 - empty))


@lru_cache(maxsize=2)
def learned(model: str, weights: str) -> Likeness:
    """The cosine of two pictures' embeddings by a model whose weights lie here; not below 0.

    Args:
        model: a name that open_clip knows, e.g. `ViT-B-32`, or one of timm's behind `timm/`, e.g.
            `timm/vit_base_patch32_clip_224`, whose pooled features are compared.
        weights: the file.

    Raises:
        ValueError: there is no such file or no such model.
    """
    import torch

    embed, prepare = (
        _timm(model.removeprefix("timm/"), weights)
        if model.startswith("timm/")
        else _open_clip(model, weights)
    )

    def likeness(one: np.ndarray, other: np.ndarray) -> float:
        pixels = torch.stack([prepare(Image.fromarray(picture)) for picture in (one, other)])
        with torch.inference_mode():
            features = torch.nn.functional.normalize(embed(pixels).float(), dim=-1)
        return min(1.0, max(0.0, float(features[0] @ features[1])))

    return likeness


def _open_clip(model: str, weights: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    import open_clip

    if model not in open_clip.list_models():
        raise ValueError(
            f"reward/html: open_clip has no model {model!r}; ViT-B-32 or timm/NAME would be right"
        )
    tower, _, prepare = open_clip.create_model_and_transforms(model, pretrained=weights)
    return tower.eval().encode_image, prepare


def _timm(model: str, weights: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    import timm

    if not timm.is_model(model):
        raise ValueError(
            f"reward/html: timm has no model {model!r}; timm/vit_base_patch32_clip_224 would be right"
        )
    # Given so, a file with a classifier fits a tower without one.
    tower = timm.create_model(model, pretrained=True, pretrained_cfg_overlay={"file": weights}, num_classes=0)
    return tower.eval(), timm.data.create_transform(**timm.data.resolve_model_data_config(tower))
