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
        sizes: `[N]` of its square, in shares of the side.
        angles: `[N]` how far it is turned, counter-clockwise, in radians.
    """

    frames: np.ndarray
    things: np.ndarray
    masks: np.ndarray
    centres: np.ndarray
    sizes: np.ndarray
    angles: np.ndarray


def draw(
    sprites: Sprites, things: np.ndarray, views: int, side: int, seed: tuple[int, ...], turn: float = 0
) -> Scenes:
    """Every thing so many times, at other places and sizes (.35 to .75 of the side), on other grounds.

    Args:
        sprites: the cut-outs.
        things: which of them.
        views: pictures a thing.
        side: in pixels.
        seed: of all draws; another seed gives other pictures of the same things.
        turn: up to so many degrees to either side.
    """
    rng = np.random.default_rng(seed)
    drawn = [_one(sprites.pixels[thing], side, turn, rng) for thing in things for _ in range(views)]
    frames, masks, centres, sizes, angles = (np.stack(column) for column in zip(*drawn, strict=True))
    return Scenes(frames, np.repeat(np.arange(len(things)), views), masks, centres, sizes, angles)


def carry(places: np.ndarray, known: Scenes, other: Scenes, index: int) -> np.ndarray:
    """Where places `[P, 2]` of a thing in one picture are in the other of the same number.

    Places are rows and columns in shares of the side.
    """
    angle = other.angles[index] - known.angles[index]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offsets = (places - known.centres[index]) * (other.sizes[index] / known.sizes[index])
    return other.centres[index] + offsets @ turn.T


def _one(
    sprite: np.ndarray, side: int, turn: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, float]:
    # A coarse random field, enlarged, is a ground with edges and colours of its own, so that neither says
    # where the thing is.
    field = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    ground = np.array(Image.fromarray(field).resize((side, side), Image.Resampling.BICUBIC))
    size: float = max(1, round(side * rng.uniform(0.35, 0.75)))
    picture = Image.fromarray(np.array(sprite)).resize((int(size), int(size)), Image.Resampling.BICUBIC)
    degrees = rng.uniform(-turn, turn) if turn else 0.0
    if degrees:
        picture = picture.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
        # Corners of a large thing that is turned would stick out of the picture.
        if (widest := picture.width) > side:
            picture, size = picture.resize((side, side), Image.Resampling.BICUBIC), size * side / widest
    thing = np.asarray(picture)
    reach = len(thing)
    top, left = rng.integers(0, side - reach + 1, 2)
    alpha = thing[..., 3:].astype(np.float32) / 255
    place = slice(top, top + reach), slice(left, left + reach)
    ground[place] = np.rint(thing[..., :3] * alpha + ground[place] * (1 - alpha)).astype(np.uint8)
    mask = np.zeros((side, side), bool)
    mask[place] = alpha[..., 0] > 0.5
    centre = (np.array([top, left]) + reach / 2) / side
    return ground, mask, centre, size / side, float(np.deg2rad(degrees))
