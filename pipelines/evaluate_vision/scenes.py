"""Pictures whose thing, place and mask are known: one cut-out laid on a drawn background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from vlmloom.components.contracts.sources import Sprites


@dataclass(frozen=True)
class Scenes:
    """Square pictures and the truth about them.

    Attributes:
        frames: uint8 `[N, side, side, 3]`.
        things: `[N]` which thing.
        masks: bool `[N, side, side]`, where it is.
        centres: `[N, 2]` row and column of the middle of its square, in shares of the side.
    """

    frames: np.ndarray
    things: np.ndarray
    masks: np.ndarray
    centres: np.ndarray


def draw(sprites: Sprites, things: np.ndarray, views: int, side: int, seed: tuple[int, ...]) -> Scenes:
    """Every thing so many times, at other places and sizes (.35 to .75 of the side), on other grounds.

    Args:
        sprites: the cut-outs.
        things: which of them.
        views: pictures a thing.
        side: in pixels.
        seed: of all draws; another seed gives other pictures of the same things.
    """
    rng = np.random.default_rng(seed)
    drawn = [_one(sprites.pixels[thing], side, rng) for thing in things for _ in range(views)]
    frames, masks, centres = (np.stack(column) for column in zip(*drawn, strict=True))
    return Scenes(frames, np.repeat(np.arange(len(things)), views), masks, centres)


def _one(
    sprite: np.ndarray, side: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # A coarse random field, enlarged, is a ground with edges and colours of its own, so that neither says
    # where the thing is.
    field = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    ground = np.array(Image.fromarray(field).resize((side, side), Image.Resampling.BICUBIC))
    size = max(1, round(side * rng.uniform(0.35, 0.75)))
    top, left = rng.integers(0, side - size + 1, 2)
    thing = np.asarray(Image.fromarray(np.array(sprite)).resize((size, size), Image.Resampling.BICUBIC))
    alpha = thing[..., 3:].astype(np.float32) / 255
    place = slice(top, top + size), slice(left, left + size)
    ground[place] = np.rint(thing[..., :3] * alpha + ground[place] * (1 - alpha)).astype(np.uint8)
    mask = np.zeros((side, side), bool)
    mask[place] = alpha[..., 0] > 0.5
    return ground, mask, (np.array([top, left]) + size / 2) / side
