"""SVG that nobody trusts, drawn by resvg inside the code sandbox."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image

from vlmloom.components.sandbox.code import CodeRunner
from vlmloom.components.sandbox.left import left

DRAW = """
import resvg_py
png = bytes(resvg_py.svg_to_bytes(
    svg_string={svg!r}, width={width}, height={height}, background='white', skip_system_fonts=True
))
with open('out.png', 'wb') as file:
    file.write(png)
"""


class NotDrawn(ValueError):
    """What was given cannot be drawn; the message says why."""


@cache
def runner() -> CodeRunner:
    """With resvg imported already."""
    return CodeRunner(seconds=3.0, memory=1 << 30, preload=("resvg_py",))


def drawn(svg: str, width: int, height: int) -> np.ndarray:
    """A drawing on white, fitted into a window: uint8 `[height, width, 3]`.

    It runs locked in (no files, no network, 3 s), for an SVG may refer to files and be slow to draw.

    Raises:
        NotDrawn: it is no SVG, or takes too long.
        SandboxRefused: this machine cannot lock it in.
    """
    run = runner().run([DRAW.format(svg=svg, width=width, height=height)], files=["out.png"])
    if run.error:
        raise NotDrawn(run.error)
    try:
        picture = left(run.files.get("out.png"))
    except ValueError as error:
        raise NotDrawn(str(error)) from None
    sheet = Image.new("RGB", (width, height), "white")
    sheet.paste(picture.crop((0, 0, width, height)))
    return np.asarray(sheet)
