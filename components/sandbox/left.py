"""Pictures that code nobody trusts has left behind."""

from __future__ import annotations

import io

from PIL import Image

LARGEST = 4 << 20
"""Pixels of such a picture."""


def left(content: bytes | None) -> Image.Image:
    """A PNG in RGB.

    Raises:
        ValueError: it is none, is broken, or has more than `LARGEST` pixels.
    """
    try:
        with Image.open(io.BytesIO(content or b""), formats=["PNG"]) as picture:
            if picture.width * picture.height <= LARGEST:
                return picture.convert("RGB")
    except Exception as error:  # Pillow has many kinds for what is broken
        raise ValueError(f"no picture: {type(error).__name__}") from None
    raise ValueError(f"a picture of more than {LARGEST} pixels")
