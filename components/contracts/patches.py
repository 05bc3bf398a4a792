"""Pictures to patches, and one order of patches to another. Pure; shared by every tower and the collator."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from vlmloom.components.contracts.resizing import Fit
from vlmloom.components.contracts.visuals import Grid, PatchSpec, VisualFeatures, Visuals, raster


def cut(frames: np.ndarray, spec: PatchSpec) -> tuple[Float[Tensor, "patches pixels"], Grid]:
    """Cut one item, a still or a clip, into normalised patches.

    The frames are brought to the sizes of `spec.fit` (bicubic, antialiased) unless they fit already, and a
    clip is padded to a multiple of `spec.temporal` by repeating its last frame. Normalisation is one
    multiplication and one addition in patch space.

    Args:
        frames: uint8 `[frames, height, width, 3]`.
        spec: what the tower wants.

    Returns:
        `[frames * rows * columns, 3 * patch * patch]` float32, frame by frame in the order of `raster`,
        channel first within a patch; and the grid.

    Raises:
        ValueError: the frames are not uint8 `[frames, height, width, 3]`, or there are none.
        UnfitPicture: their size cannot be fitted.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise ValueError(
            f"cut: found pixels of {frames.dtype} {list(frames.shape)}; "
            "uint8 [frames, height, width, 3] would be right"
        )
    count, rows, columns = grid = spec.grid(frames.shape[0], frames.shape[1], frames.shape[2])
    frames = _brought(frames, spec.fit(*frames.shape[:3]), spec)
    if count > frames.shape[0]:
        frames = np.concatenate([frames, np.repeat(frames[-1:], count - frames.shape[0], axis=0)])
    block, patch = spec.block, spec.patch
    # f frames, R/r rows of groups and within, C/c columns of groups and within, y/x pixels, k channels
    pixels = frames.reshape(count, rows // block, block, patch, columns // block, block, patch, 3)
    pixels = pixels.transpose(0, 1, 4, 2, 5, 7, 3, 6).reshape(count * rows * columns, 3, patch * patch)
    scale, offset = _affine(tuple(spec.mean), tuple(spec.std))
    patches = np.multiply(pixels, scale, dtype=np.float32)
    patches += offset
    return torch.from_numpy(patches.reshape(len(patches), -1)), grid


def join(cuts: Sequence[tuple[Tensor, Grid]], spec: PatchSpec) -> Visuals:
    """All items of a batch on one flat axis; `Visuals.blank` where there are none."""
    if not cuts:
        return Visuals.blank(spec)
    patches = [patches for patches, _ in cuts]
    shapes = [grid for _, grid in cuts]
    flat = patches[0] if len(patches) == 1 else torch.cat(patches)
    return Visuals(flat, torch.tensor(shapes), shapes, spec.block)


def reorder(
    shapes: Sequence[Grid], source: int, target: int, device: torch.device | str = "cpu"
) -> Tensor | None:
    """Where each patch of the order of block `target` lies in the order of block `source`.

    `tokens[reorder(shapes, features.block, 1)]` is plain raster order. None says that nothing moves.

    Raises:
        ValueError: a grid does not divide into blocks of either size.
    """
    if source == target:
        return None
    return _reorder(tuple(map(tuple, shapes)), source, target, torch.device(device))


@lru_cache(maxsize=64)
def _reorder(shapes: tuple[Grid, ...], source: int, target: int, device: torch.device) -> Tensor:
    parts, start = [], 0
    for grid in shapes:
        frames, rows, columns = grid
        order = _frame_order(rows, columns, source, target)
        parts.append((start + np.arange(frames)[:, None] * (rows * columns) + order).reshape(-1))
        start += frames * rows * columns
    with torch.inference_mode(False):
        return torch.from_numpy(np.concatenate(parts)).to(device)


@lru_cache(maxsize=512)
def _frame_order(rows: int, columns: int, source: int, target: int) -> np.ndarray:
    old, new = (raster((1, rows, columns), block) @ np.array([columns, 1]) for block in (source, target))
    return np.argsort(old)[new]


def resample(features: VisualFeatures, shapes: list[Grid], block: int = 1) -> Tensor:
    """Features on other grids: `[P, D]` tokens of items of these shapes, in the order of `block`.

    Trilinear over frames, rows and columns of each item, sampled at the middles of the new places; a grid
    that stays as it is keeps its features to the last bit.

    Raises:
        ValueError: there are not as many items.
    """
    if len(shapes) != len(features.shapes):
        raise ValueError(f"resample: {len(features.shapes)} items, but shapes for {len(shapes)}")
    tokens = features.tokens
    order = reorder(features.shapes, features.block, 1, tokens.device)
    tokens = tokens if order is None else tokens[order]
    pieces = []
    sizes = [frames * rows * columns for frames, rows, columns in features.shapes]
    for item, was, wanted in zip(tokens.split(sizes), features.shapes, shapes, strict=True):
        if was != wanted:
            volume = item.t().reshape(1, -1, *was)
            item = torch.nn.functional.interpolate(volume, wanted, mode="trilinear", align_corners=False)
            item = item[0].flatten(1).t()
        pieces.append(item)
    joined = torch.cat(pieces)
    back = reorder(shapes, 1, block, tokens.device)
    return joined if back is None else joined[back]


@lru_cache(maxsize=32)
def _affine(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """`(pixel / 255 - mean) / std` as `pixel * scale + offset`, each `[3, 1]`."""
    deviation = np.asarray(std, dtype=np.float64)[:, None]
    offset = -np.asarray(mean, dtype=np.float64)[:, None] / deviation
    return (1 / (255 * deviation)).astype(np.float32), offset.astype(np.float32)


def _brought(frames: np.ndarray, fit: Fit, spec: PatchSpec) -> np.ndarray:
    """Frames resized to the content and laid on the canvas."""
    if frames.shape[1:3] != fit.content:
        # The two rules resample by two libraries, whose bicubic kernels differ: each as its models were made.
        resample = _resize if spec.resize is None else _interpolate
        frames = resample(frames, *fit.content)
    if fit.content != fit.canvas:
        height, width = fit.content
        canvas = np.zeros((len(frames), *fit.canvas, 3), np.uint8)
        canvas[:, :height, :width] = frames
        return canvas
    return frames


def _resize(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    size, kernel = (width, height), Image.Resampling.BICUBIC
    return np.stack([np.asarray(Image.fromarray(frame).resize(size, kernel)) for frame in frames])


def _interpolate(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """As torchvision resizes uint8 tensors, which is how the published processors do it."""
    pixels = torch.from_numpy(np.require(frames, requirements=["C", "W"])).permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(
        pixels, (height, width), mode="bicubic", align_corners=False, antialias=True
    )
    return resized.permute(0, 2, 3, 1).numpy()
