"""Frames as PNG files, and files as data URLs."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image


def png(frame: np.ndarray) -> bytes:
    """A PNG file of uint8 `[height, width, 3]`."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(frame)).save(file, "PNG")
    return file.getvalue()


def data_url(file: bytes) -> str:
    """A PNG file as a URL that holds it.

    >>> data_url(b"PNG")
    'data:image/png;base64,UE5H'
    """
    return f"data:image/png;base64,{base64.b64encode(file).decode()}"
