"""Scenes as layers on a backdrop, drawn with numpy only when the pixels are asked for.

Coordinates are pixels, origin top left. A layer is a plain tuple-like record, so that the key of a drawing is
the digest of what it is made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vlmloom.components.contracts.sample import Picture
from vlmloom.components.contracts.sources import Sprites

RGB = tuple[int, int, int]


class Layer(Protocol):
    """Something drawn onto a canvas."""

    def paint(self, canvas: np.ndarray) -> None:
        """Draw onto uint8 `[H, W, 3]`, in place."""


@dataclass(frozen=True)
class Cutout:
    """A sprite, scaled to `size`, in its own colours or in shades of one hue."""

    sprites: Sprites = field(repr=False)
    style: str
    row: int
    x: int
    y: int
    size: int
    hue: RGB | None = None
    flip: bool = False

    def paint(self, canvas: np.ndarray) -> None:
        """Blend the sprite over the canvas."""
        scaled = _scaled if self.size <= SMALL else _scaled_large
        colour, keep = scaled(self.sprites, self.row, self.size, self.hue, self.flip)
        _blend(canvas, colour, keep, self.x, self.y)


@dataclass(frozen=True)
class Writing:
    """A line of text in a font, its ink fitted into `width` x `height`, on a plate if one is given."""

    text: str
    font: str = field(repr=False)
    face: str
    x: int
    y: int
    width: int
    height: int
    ink: RGB = (0, 0, 0)
    plate: RGB | None = None

    def paint(self, canvas: np.ndarray) -> None:
        """Write over the canvas."""
        if self.plate is not None:
            x, y = max(self.x - 2, 0), max(self.y - 2, 0)
            canvas[y : self.y + self.height + 2, x : self.x + self.width + 2] = self.plate
        colour, keep = _written(self.text, self.font, self.width, self.height, self.ink)
        _blend(canvas, colour, keep, self.x, self.y)


@dataclass(frozen=True)
class Block:
    """A filled rectangle."""

    x1: int
    y1: int
    x2: int
    y2: int
    colour: RGB

    def paint(self, canvas: np.ndarray) -> None:
        """Fill it."""
        canvas[self.y1 : self.y2, self.x1 : self.x2] = self.colour


@dataclass(frozen=True)
class Pixels:
    """A small grey picture (0 is paper, 255 is ink) enlarged to `size`, in ink on paper."""

    values: np.ndarray = field(repr=False, compare=False)
    name: str
    x: int
    y: int
    size: int

    def paint(self, canvas: np.ndarray) -> None:
        """Draw it."""
        grey = Image.fromarray(255 - self.values).resize((self.size, self.size), Image.Resampling.BILINEAR)
        canvas[self.y : self.y + self.size, self.x : self.x + self.size] = np.asarray(grey)[:, :, None]


@dataclass(frozen=True)
class Backdrop:
    """A plain shade, or a piece of a photograph softened towards it."""

    shade: RGB
    photo: np.ndarray | None = field(default=None, repr=False, compare=False)
    name: str = ""
    x: int = 0
    y: int = 0

    def canvas(self, height: int, width: int) -> np.ndarray:
        """A fresh uint8 `[height, width, 3]`."""
        canvas = np.empty((height, width, 3), np.uint8)
        canvas[:] = self.shade
        if self.photo is not None:
            piece = self.photo[self.y : self.y + height, self.x : self.x + width]
            if piece.shape[:2] != (height, width):
                # A photograph that is smaller than the picture is enlarged to it.
                piece = np.asarray(Image.fromarray(piece).resize((width, height)))
            canvas = (canvas >> 1) + (piece >> 1)
        return canvas


class Drawing(Picture):
    """A planned still or clip: layers for each frame on one backdrop.

    Args:
        width: in pixels.
        height: in pixels.
        backdrop: behind every frame.
        frames: the layers of each frame, from back to front.
        times: when each frame of a clip was taken, in seconds, where that is known.
    """

    def __init__(
        self,
        width: int,
        height: int,
        backdrop: Backdrop,
        frames: tuple[tuple[Layer, ...], ...],
        times: Sequence[float] = (),
    ) -> None:
        self.width = width
        self.height = height
        self.backdrop = backdrop
        self.layers = frames
        self.frames = len(frames)
        self.times = times

    @property
    def key(self) -> str:  # type: ignore[override]
        """The digest of everything that is drawn."""
        text = repr((self.width, self.height, self.backdrop, self.layers))
        return blake2b(text.encode(), digest_size=12).hexdigest()

    def render(self) -> np.ndarray:
        """The pixels, uint8 `[frames, height, width, 3]`."""
        out = np.empty((self.frames, self.height, self.width, 3), np.uint8)
        ground = self.backdrop.canvas(self.height, self.width)
        for frame, layers in zip(out, self.layers, strict=True):
            frame[:] = ground
            for layer in layers:
                layer.paint(frame)
        return out


def _blend(canvas: np.ndarray, colour: np.ndarray, keep: np.ndarray, x: int, y: int) -> None:
    """`canvas = colour + canvas * keep / 256` where the patch lies; parts outside the canvas are cut off."""
    height, width = canvas.shape[:2]
    left, top = max(-x, 0), max(-y, 0)
    right, bottom = min(colour.shape[1], width - x), min(colour.shape[0], height - y)
    if right <= left or bottom <= top:
        return
    under = canvas[y + top : y + bottom, x + left : x + right]
    under[:] = colour[top:bottom, left:right] + ((under * keep[top:bottom, left:right]) >> 8).astype(np.uint8)


def _ready(rgb: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Colour times alpha as uint8, and 256 minus alpha as uint16, ready for `_blend`."""
    weight = alpha.astype(np.uint16)
    weight += weight > 127
    colour = ((rgb.astype(np.uint16) * weight[..., None]) >> 8).astype(np.uint8)
    return colour, np.ascontiguousarray(np.repeat((256 - weight)[..., None], 3, axis=2))


def _scale(
    sprites: Sprites, row: int, size: int, hue: RGB | None, flip: bool
) -> tuple[np.ndarray, np.ndarray]:
    pixels = np.asarray(sprites.pixels[row])
    if hue is not None:
        pixels = _in_shades(pixels, _shades_of(sprites, row), hue)
    picture = Image.fromarray(pixels, "RGBA").convert("RGBa")
    picture = picture.resize((size, size), Image.Resampling.BOX).convert("RGBA")
    pixels = np.asarray(picture)
    if flip:
        pixels = pixels[:, ::-1]
    return _ready(pixels[..., :3], pixels[..., 3])


SMALL = 64
"""Cut-outs up to this many pixels are kept in thousands; larger ones would fill every worker's memory."""

_scaled = lru_cache(maxsize=8192)(_scale)
_scaled_large = lru_cache(maxsize=1024)(_scale)


def tinted(pixels: np.ndarray, hue: RGB) -> np.ndarray:
    """A sprite in shades of one hue: its own light and dark, stretched, times the hue.

    Args:
        pixels: uint8 `[H, W, 4]`.
        hue: the colour of its lightest part.
    """
    return _in_shades(pixels, _shades(pixels), hue)


def _shades(pixels: np.ndarray) -> np.ndarray:
    light = pixels[..., :3] @ np.array([0.299, 0.587, 0.114])
    seen = light[pixels[..., 3] > 127]
    low, high = np.percentile(seen, (5, 95)) if seen.size else (0.0, 255.0)
    if high - low < 4:
        # A drawing of one shade wears the hue itself: at half its light orange would be brown.
        return np.ones_like(light)
    shades: np.ndarray = 0.5 + 0.5 * np.clip((light - low) / max(high - low, 32.0), 0.0, 1.0)
    return shades


@lru_cache(maxsize=256)
def _shades_of(sprites: Sprites, row: int) -> np.ndarray:
    return _shades(np.asarray(sprites.pixels[row]))


def _in_shades(pixels: np.ndarray, shades: np.ndarray, hue: RGB) -> np.ndarray:
    out = pixels.copy()
    out[..., :3] = (shades[..., None] * np.array(hue)).astype(np.uint8)
    return out


@lru_cache(maxsize=4096)
def _written(text: str, font: str, width: int, height: int, ink: RGB) -> tuple[np.ndarray, np.ndarray]:
    mask = _mask(text, font).resize((width, height), Image.Resampling.BOX)
    alpha = np.asarray(mask)
    return _ready(np.broadcast_to(np.array(ink, np.uint8), (height, width, 3)), alpha)


@lru_cache(maxsize=1024)
def _mask(text: str, font: str) -> Image.Image:
    """The ink of a text at 64 px, cropped to what is visible."""
    face = ImageFont.truetype(font, 64)
    left, top, right, bottom = face.getbbox(text)
    mask = Image.new("L", (int(right - left) + 8, int(bottom - top) + 8))
    ImageDraw.Draw(mask).text((4 - left, 4 - top), text, font=face, fill=255)
    bounds = mask.getbbox()
    return mask.crop(bounds) if bounds else mask


@lru_cache(maxsize=4096)
def writing_width(text: str, font: str | Path, height: int) -> int:
    """How wide a text is in a font when its visible pixels are `height` high."""
    mask = _mask(text, str(font))
    return max(1, round(mask.width * height / mask.height))
