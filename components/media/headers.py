"""`Header`, and how large a frame may be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vlmloom.components.contracts.sample import CorruptPicture

MOST_PIXELS = 2**26
"""Of one frame. A larger JPEG is decoded at a half, a quarter or an eighth; any other file is refused."""


@dataclass(frozen=True)
class Header:
    """What a file decodes to.

    Attributes:
        height: of a frame in pixels, as shown: rotated, and reduced where it is too large.
        width: likewise.
        frames: 1 for a still.
        rate: frames a second; 0 for a still.
    """

    height: int
    width: int
    frames: int = 1
    rate: float = 0.0


def too_large(path: Path, height: int, width: int) -> CorruptPicture:
    """What is told of a frame that is not decoded."""
    return CorruptPicture(f"{path}: has {width} x {height} pixels, at most {MOST_PIXELS} are decoded")
