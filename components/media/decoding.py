"""`decode`: any file to uint8 RGB frames; `header`: what will come out, before any pixel is decoded.

What Pillow reads is a picture or an animation, other containers are videos. What cannot be read, or is too
large to be decoded, is told in one line that begins with the path.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from vlmloom.components.contracts.sample import CorruptPicture
from vlmloom.components.media import pillow, video
from vlmloom.components.media.headers import Header

MOST_CLIP_PIXELS = 2**30
"""Of the decoded frames of a clip together."""
VIDEOS = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".ogv"})
"""Names of files that hold a video."""


def is_video(path: Path) -> bool:
    """Whether a file's name says that it holds a video."""
    return path.suffix.lower() in VIDEOS


@contextmanager
def faults(path: Path, what: str) -> Iterator[None]:
    """Whatever a decoder raises, in one line."""
    try:
        yield
    except CorruptPicture:
        raise
    except FileNotFoundError:
        raise CorruptPicture(f"{path}: there is no such picture") from None
    except Exception as error:
        # Decoders raise nearly anything on damaged data: OSError, SyntaxError, struct.error, ...
        said = getattr(error, "strerror", None) or str(error)
        reason = (said.splitlines() or [type(error).__name__])[0][:120]
        raise CorruptPicture(f"{path}: {what} ({reason})") from None


def header(path: Path, moving: bool = False) -> Header:
    """What a file decodes to; an animation is a still, its first frame, unless `moving`.

    Raises:
        CorruptPicture: there is no such file, it is no picture, or it is too large.
    """
    with faults(path, "is no picture"):
        return video.header(path) if is_video(path) else pillow.header(path, moving)


def decode(path: Path, chosen: Sequence[int] = (0,)) -> np.ndarray:
    """The chosen frames, uint8 `[frames, height, width, 3]`, in the size of `header`.

    Rotation by EXIF or by the container is applied, transparent parts lie on white, greys and CMYK become
    RGB, and pictures of 16 bits or of floats are scaled by their own range.

    Args:
        path: the file.
        chosen: numbers of frames, ascending; a number may stand twice.

    Raises:
        CorruptPicture: the file cannot be read or decoded, or is too large.
    """
    size = header(path)
    frames = len(set(chosen))
    if frames * size.height * size.width > MOST_CLIP_PIXELS:
        raise CorruptPicture(
            f"{path}: {frames} frames of {size.width} x {size.height} have "
            f"{frames * size.height * size.width} pixels, at most {MOST_CLIP_PIXELS} are decoded"
        )
    with faults(path, "cannot be decoded"):
        return video.decode(path, chosen) if is_video(path) else pillow.decode(path, chosen)
