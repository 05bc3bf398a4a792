"""Which crops have patches hidden, and how many."""

from __future__ import annotations

import numpy as np

from vlmloom.components.contracts.visuals import Grid
from vlmloom.components.objective.masking import draw_mask


def draw_masks(
    grid: Grid, count: int, masked: float, shares: tuple[float, float], generator: np.random.Generator
) -> list[np.ndarray]:
    """Masks of `count` crops of this grid: `round(masked * count)` of them hide blocks, the others nothing.

    The shares that are hidden are spread evenly: one is drawn from each of as many equal parts of `shares`
    as crops hide something.

    Reference: facebookresearch/dinov2 `data/collate.py`.
    """
    masks = [np.zeros(grid, bool)] * count
    chosen = generator.permutation(count)[: round(masked * count)]
    edges = np.linspace(*shares, len(chosen) + 1)
    for crop, low, high in zip(chosen, edges[:-1], edges[1:], strict=True):
        masks[crop] = draw_mask(grid, generator.uniform(low, high), "block", generator)
    return masks
