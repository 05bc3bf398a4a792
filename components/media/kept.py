"""Pictures that are slow to draw, kept on disk: found by what they are, whole or not at all, and bounded."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
from PIL import Image

from vlmloom.components.media.cache_root import cache_root

LIMIT = 1 << 30
"""Bytes that are kept; the oldest go first."""
ROUND = 512
"""So many pictures are written by a process before it looks how much there is."""


def kept(name: str, draw: Callable[[], np.ndarray]) -> np.ndarray:
    """The pixels under this name: read where they were drawn before, else drawn and written.

    A file appears whole, under its final name, so processes share the folder without a lock. A file that
    cannot be read is drawn again, and where nothing can be written the pictures are drawn each time.

    Args:
        name: says all that the pixels depend on.
        draw: gives uint8 `[height, width, 3]`.
    """
    digest = blake2b(name.encode(), digest_size=16).hexdigest()
    path = cache_root() / "renders" / digest[:2] / f"{digest}.png"
    with suppress(OSError, SyntaxError, ValueError):
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    pixels = draw()
    with suppress(OSError):
        _write(path, pixels)
    return pixels


def _write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as file:
            Image.fromarray(pixels).save(file, "PNG", compress_level=1)
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise
    _count(path.parent.parent)


@cache
def _written(folder: Path) -> list[int]:
    return [0]


def _count(folder: Path) -> None:
    count = _written(folder)
    count[0] += 1
    if count[0] % ROUND == 0:
        bound(folder, LIMIT)


def bound(folder: Path, limit: int) -> None:
    """Remove the oldest pictures of a folder until a tenth below the limit, if they are above it."""
    files = []
    for path in folder.glob("*/*"):
        with suppress(OSError):
            state = path.stat()
            files.append((state.st_mtime_ns, state.st_size, path))
    size = sum(one for _, one, _ in files)
    if size <= limit:
        return
    for _, one, path in sorted(files):
        with suppress(OSError):
            path.unlink()
        size -= one
        if size <= limit * 0.9:
            break
