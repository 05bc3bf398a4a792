"""What of a cut-out is visible, as a mask: for tasks whose truth lies in the pixels and not in the box."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from vlmloom.components.contracts.sources import Sprites

OPAQUE = 127


@lru_cache(maxsize=4096)
def silhouette(sprites: Sprites, row: int, size: int, flip: bool) -> np.ndarray:
    """Where a sprite of a size is opaque, bool `[size, size]`; read-only."""
    mask: np.ndarray = _nearest(sprites.pixels[row][..., 3], size) > OPAQUE
    mask = mask[:, ::-1] if flip else mask
    mask.setflags(write=False)
    return mask


@lru_cache(maxsize=4096)
def covered(sprites: Sprites, row: int) -> float:
    """How much of its square a sprite covers: the share of opaque pixels."""
    return float((sprites.pixels[row][..., 3] > OPAQUE).mean())


@lru_cache(maxsize=4096)
def colours(sprites: Sprites, row: int, size: int, flip: bool) -> np.ndarray:
    """Its own colours, int16 `[size, size, 3]`; read-only."""
    pixels = _nearest(sprites.pixels[row][..., :3], size)
    pixels = (pixels[:, ::-1] if flip else pixels).astype(np.int16)
    pixels.setflags(write=False)
    return pixels


def _nearest(stored: np.ndarray, size: int) -> np.ndarray:
    at = (np.arange(size) * len(stored)) // size
    return np.asarray(stored)[np.ix_(at, at)]


def on_canvas(mask: np.ndarray, x: int, y: int, width: int, height: int) -> np.ndarray:
    """A mask at a place of a canvas that holds all of it, bool `[height, width]`."""
    canvas = np.zeros((height, width), bool)
    canvas[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    return canvas
