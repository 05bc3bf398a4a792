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
        seed: of all draws; another seed gives other pictures of the same things. The same one gives, of other
            sprites or at another side, pictures of the same places, sizes and grounds.
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
    ground = _ground(side, rng)
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
    top, left = (rng.random(2) * (side - reach + 1)).astype(int)
    mask = _lay(ground, thing, top, left)
    centre = (np.array([top, left]) + reach / 2) / side
    return ground, mask, centre, size / side, float(np.deg2rad(degrees))


@dataclass(frozen=True)
class Crowds:
    """Square pictures of equal things.

    Attributes:
        frames: uint8 `[N, side, side, 3]`.
        things: `[N]` which thing.
        counts: `[N]` how many of it.
    """

    frames: np.ndarray
    things: np.ndarray
    counts: np.ndarray


def draw_crowds(
    sprites: Sprites, things: np.ndarray, most: int, views: int, side: int, seed: tuple[int, ...]
) -> Crowds:
    """Every thing 1 to `most` times in a picture, so many pictures a thing and count.

    Those of one picture stand in cells of their own, 3 x 3 of them or as many more as are needed, and are of
    one size, drawn from half to the whole of a cell, so that the area they cover says little of their number.
    """
    rng = np.random.default_rng(seed)
    cells = max(3, int(np.ceil(np.sqrt(most))))
    frames, counts = [], np.arange(1, most + 1)
    for thing in things:
        for count in np.repeat(counts, views):
            ground, cell = _ground(side, rng), side / cells
            size = max(1, int(cell * rng.uniform(0.5, 1)))
            picture = Image.fromarray(np.array(sprites.pixels[thing]))
            pixels = np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC))
            for place in rng.permutation(cells**2)[:count]:
                corner = np.array(divmod(place, cells)) * cell + rng.random(2) * (cell - size)
                _lay(ground, pixels, *corner.astype(int))
            frames.append(ground)
    each = most * views
    return Crowds(
        np.stack(frames),
        np.repeat(np.arange(len(things)), each),
        np.tile(np.repeat(counts, views), len(things)),
    )


def _ground(side: int, rng: np.random.Generator) -> np.ndarray:
    # A coarse random field, enlarged, is a ground with edges and colours of its own, so that neither says
    # where the thing is.
    field = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.array(Image.fromarray(field).resize((side, side), Image.Resampling.BICUBIC))


def _lay(ground: np.ndarray, thing: np.ndarray, top: int, left: int) -> np.ndarray:
    """Lay a square cut-out on a ground, in place, and say where it is."""
    reach = len(thing)
    alpha = thing[..., 3:].astype(np.float32) / 255
    place = slice(top, top + reach), slice(left, left + reach)
    ground[place] = np.rint(thing[..., :3] * alpha + ground[place] * (1 - alpha)).astype(np.uint8)
    mask = np.zeros(ground.shape[:2], bool)
    mask[place] = alpha[..., 0] > 0.5
    return mask
