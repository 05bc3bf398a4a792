"""A source of cut-outs that needs no package: squares of one colour each."""

from pathlib import Path

import numpy as np

from vlmloom.components.contracts.sources import Sprites

THINGS, SIDE = 6, 32


def sprites(path: Path, order: list[int] | None = None, seed: int = 0) -> Sprites:
    """Opaque squares with a clear margin; the same codes in another order, of other colours."""
    order = list(range(THINGS)) if order is None else order
    pixels = np.zeros((len(order), 16, 16, 4), np.uint8)
    rng = np.random.default_rng(seed)
    pixels[:, 2:14, 2:14, :3] = rng.integers(0, 256, (THINGS, 1, 1, 3))[order]
    pixels[:, 2:14, 2:14, 3] = 255
    pixels.tofile(path)
    names = [str(thing) for thing in order]
    return Sprites(
        style=path.name, path=path, size=16, names=names, codes=names, extents=[(2, 2, 14, 14)] * len(order)
    )
