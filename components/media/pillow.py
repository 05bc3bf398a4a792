"""Pictures and animations, by Pillow."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from vlmloom.components.media.headers import MOST_PIXELS, Header, too_large

ORIENTATION = 0x0112
ANIMATED = frozenset({"GIF", "WEBP", "PNG", "AVIF"})
"""Formats whose further frames follow in time; those of others are pages or thumbnails."""
UNTIMED = 0.1
"""Seconds of a frame that does not say how long it stays, as browsers show it."""

_limit = threading.Lock()


def header(path: Path, moving: bool) -> Header:
    """See `decoding.header`."""
    with _opened(path) as picture:
        height, width = picture.height, picture.width
        if _orientation(picture) >= 5:
            height, width = width, height
        count = getattr(picture, "n_frames", 1) if moving and picture.format in ANIMATED else 1
        if count == 1:
            return Header(height, width)
        seconds = 0.0
        for number in range(count):
            picture.seek(number)
            seconds += picture.info.get("duration", 0) / 1000 or UNTIMED
        return Header(height, width, count, count / seconds)


def decode(path: Path, chosen: Sequence[int]) -> np.ndarray:
    """See `decoding.decode`."""
    found: dict[int, np.ndarray] = {}
    with _opened(path) as picture:
        orientation = _orientation(picture)
        height, width = picture.height, picture.width
        for number in dict.fromkeys(chosen):
            if number:
                picture.seek(number)
            # A later frame of an animation may lie partly beyond the first.
            found[number] = _turned(_rgb(picture)[:height, :width], orientation)
    return np.stack([found[number] for number in chosen])


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The picture, its header read, bound to be decoded at no more than `MOST_PIXELS`."""
    with _limit:
        # Pillow would refuse large pictures before we can ask for fewer of their pixels.
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            picture = Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = before
    with picture:
        width, height = picture.size
        if width * height > MOST_PIXELS:
            # The decoder of JPEG gives a half, a quarter or an eighth without decoding the whole.
            for part in (2, 4, 8) if picture.format in ("JPEG", "MPO") else ():
                if -(-width // part) * -(-height // part) <= MOST_PIXELS:
                    picture.draft(picture.mode, (width // part, height // part))
                    break
        if picture.width * picture.height > MOST_PIXELS:
            raise too_large(path, height, width)
        yield picture


def _orientation(picture: Image.Image) -> int:
    """How EXIF says that the picture was held, 1 for upright; no pixel is decoded for it."""
    if picture.format == "TIFF":
        return 1  # Pillow turns these by itself.
    if picture.format == "PNG":
        exif = Image.Exif()
        exif.load(picture.info.get("exif", b""))
    else:
        exif = picture.getexif()
    found = exif.get(ORIENTATION, 1)
    return found if found in range(1, 9) else 1


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Upright pixels: orientations 5 to 8 swap the axes, then rows and columns may run backwards."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _rgb(picture: Image.Image) -> np.ndarray:
    if picture.mode.startswith(("I", "F")):
        # Pillow would cut 16-bit and float pictures off at 255.
        values = np.asarray(picture, np.float64)
        known = values[np.isfinite(values)]
        low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
        scaled = (values - low) * (255 / (high - low) if high > low else 0)
        grey = np.nan_to_num(scaled).clip(0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if picture.has_transparency_data:
        ground = Image.new("RGBA", picture.size, "white")
        return np.array(Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB"))
    return np.array(picture.convert("RGB"))
