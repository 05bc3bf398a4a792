"""Which patches of a picture are hidden from a student, and how."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, distributed

from vlmloom.components.contracts.visuals import Grid, Visuals, raster

Shape = Literal["random", "block"]


def generator_of(seed: int, step: int) -> np.random.Generator:
    """The generator of a step's draws on this process.

    An objective that counts its steps in its state draws, resumed, what it draws uninterrupted.
    """
    rank = distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0
    return np.random.default_rng((seed, step, rank))


def draw_mask(grid: Grid, share: float, shape: Shape, generator: np.random.Generator) -> np.ndarray:
    """`[frames, rows, columns]` booleans, True where hidden; a clip hides the same places in all frames.

    Of n places `round(share * n)` are hidden, at most n - 1, and where the share is above 0 at least one if
    there are two. `random` draws places one by one; `block` draws rectangles of at least a sixteenth of the
    picture, of aspect .3 to 3.3, until enough are hidden, and gives back what is too much.

    Args:
        grid: in tokens.
        share: in [0, 1).
        shape: of what is hidden.
        generator: of the draws.

    Reference: arXiv 2106.08254 (BEiT, blockwise masking).
    """
    _, rows, columns = grid
    places = rows * columns
    count = min(max(round(share * places), 1 if share else 0), places - 1)
    hidden = np.zeros(places, bool)
    if shape == "random":
        hidden[generator.choice(places, count, replace=False)] = True
    else:
        plane = hidden.reshape(rows, columns)
        while (missing := count - int(plane.sum())) > 0:
            area = generator.uniform(min(max(4.0, places / 16), missing), max(4.0, float(missing)))
            aspect = math.exp(generator.uniform(math.log(0.3), -math.log(0.3)))
            height = min(rows, max(1, round((area * aspect) ** 0.5)))
            width = min(columns, max(1, round((area / aspect) ** 0.5)))
            top, left = generator.integers(rows - height + 1), generator.integers(columns - width + 1)
            plane[top : top + height, left : left + width] = True
        surplus = int(hidden.sum()) - count
        hidden[generator.choice(np.flatnonzero(hidden), surplus, replace=False)] = False
    return np.broadcast_to(hidden.reshape(1, rows, columns), grid)


def flat(masks: Sequence[np.ndarray], shapes: Sequence[Grid], block: int) -> Tensor:
    """Masks of items in tokens, as booleans of the flat axis of these grids.

    A grid may have more frames, rows or columns than its mask, each a multiple: a token that a tower folds
    out of several patches hides all of them.
    """
    parts = []
    for mask, shape in zip(masks, shapes, strict=True):
        for axis, (wanted, held) in enumerate(zip(shape, mask.shape, strict=True)):
            mask = np.repeat(mask, wanted // held, axis=axis)
        row, column = raster(shape, block).T
        parts.append(mask[:, row, column].reshape(-1))
    return torch.from_numpy(np.concatenate(parts))


def hide(visuals: Visuals, hidden: Tensor, patch: Tensor) -> Visuals:
    """The same pictures with one learned patch `[3 * patch * patch]` where they are hidden.

    A tower embeds patches by a linear map, so a learned patch of pixels does what a learned token behind that
    map does, and every tower takes it.
    """
    return replace(visuals, patches=torch.where(hidden[:, None], patch.to(visuals.patches), visuals.patches))
