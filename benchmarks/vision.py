"""CogViT on a ragged batch of pictures, forward and backward, beside glm_ocr's tower and timm's NaFlexViT."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.batches import Ragged
from benchmarks.models import Shape
from benchmarks.timing import Run, contests, precision
from benchmarks.towers import build_tower, glm_ocr, naflexvit
from vlmloom.components.contracts.patches import reorder
from vlmloom.components.contracts.visuals import Grid, Visuals, raster
from vlmloom.components.projector.merger import Merger
from vlmloom.components.vision.cogvit import CogViT

Encode = Callable[[], Tensor]
BLOCK = 2
GOALS = {"fp32": 1.3}


def pictures(shape: Shape, count: int, sides: tuple[int, int]) -> tuple[Tensor, list[Grid]]:
    """Patches in the order of the merger's groups, and grids."""
    ragged = Ragged.draw(shape, count, (2, 2), pictures=(1, 1), sides=sides)
    return ragged.patches, [grid for own in ragged.grids for grid in own]


def ours_merged(tower: CogViT, merger: Merger, patches: Tensor, grids: list[Grid]) -> Encode:
    """Tokens for a language part."""
    visuals = Visuals(patches, torch.tensor(grids), grids, BLOCK)
    return lambda: merger(tower(visuals)[0])[0].tokens


def theirs_merged(model: Any, patches: Tensor, grids: list[Grid]) -> Encode:
    """The same by transformers, which stores the two equal frames of a still."""
    pixels = patches.unflatten(1, (3, 1, -1)).expand(-1, -1, 2, -1).flatten(1).contiguous()
    shapes = torch.tensor(grids)
    return lambda: model(pixels, grid_thw=shapes).pooler_output


def ours_plain(tower: CogViT, patches: Tensor, grids: list[Grid]) -> Encode:
    """The tower alone, on patches in raster order."""
    visuals = Visuals(in_raster(patches, grids), torch.tensor(grids), grids, 1)
    return lambda: tower(visuals)[0].tokens


def theirs_padded(model: Any, patches: Tensor, grids: list[Grid], key_mask: bool) -> Encode:
    """One padded batch; `key_mask` masks padded keys alone, and not padded queries too."""
    areas = [rows * columns for _, rows, columns in grids]
    padded = patches.new_zeros(len(grids), max(areas), patches.shape[1])
    places = torch.zeros(len(grids), max(areas), 2, dtype=torch.long)
    valid = torch.zeros(len(grids), max(areas), dtype=torch.bool)
    for row, (own, grid) in enumerate(zip(in_raster(patches, grids).split(areas), grids, strict=True)):
        padded[row, : len(own)], valid[row, : len(own)] = own, True
        places[row, : len(own)] = torch.from_numpy(raster(grid, 1))

    def encode() -> Tensor:
        model.use_key_only_attn_mask = key_mask
        return model.forward_features(padded, patch_coord=places, patch_valid=valid)["patches"][valid]

    return encode


def theirs_one_by_one(model: Any, patches: Tensor, grids: list[Grid]) -> Encode:
    """A call for each picture, without padding and without a mask."""
    areas = [rows * columns for _, rows, columns in grids]
    items = [
        (own[None], torch.from_numpy(raster(grid, 1))[None])
        for own, grid in zip(in_raster(patches, grids).split(areas), grids, strict=True)
    ]
    return lambda: torch.cat(
        [model.forward_features(own, patch_coord=places)["patches"][0] for own, places in items]
    )


def in_raster(patches: Tensor, grids: Sequence[Grid]) -> Tensor:
    """Patches row by row of each picture."""
    order = reorder(grids, BLOCK, 1)
    return patches if order is None else patches[order]


def step(encode: Encode, modules: Sequence[nn.Module], slope: Tensor) -> Run:
    """Forward and backward."""

    def run() -> None:
        with precision("fp32", autocast=False):
            encode().backward(slope)
        for module in modules:
            module.zero_grad(set_to_none=True)

    return run


def run(shape: Shape, repeats: int, count: int = 8, sides: tuple[int, int] = (2, 12)) -> dict[str, Any]:
    """Both contests; outputs are compared before anything is timed."""
    patches, grids = pictures(shape, count, sides)
    tower, merger = build_tower(shape)
    ocr, naflex = glm_ocr(tower, merger), naflexvit(tower)
    merged = ours_merged(tower, merger, patches, grids), theirs_merged(ocr, patches, grids)
    plain = ours_plain(tower, patches, grids)
    ways = {
        "padded, fp32": theirs_padded(naflex, patches, grids, key_mask=False),
        "padded keys masked, fp32": theirs_padded(naflex, patches, grids, key_mask=True),
        "one by one, fp32": theirs_one_by_one(naflex, patches, grids),
    }
    with torch.no_grad():
        apart = {
            "glm_ocr": float((merged[0]() - merged[1]()).abs().max()),
            "naflexvit": max(float((plain() - way()).abs().max()) for way in ways.values()),
        }
    total = len(patches)
    slopes = (
        torch.randn(total // BLOCK**2, shape.width),
        torch.randn(total, tower.width),
    )
    found = contests(
        "vision with merger",
        {"fp32": step(merged[0], (tower, merger), slopes[0])},
        {"sdpa, fp32": step(merged[1], (ocr,), slopes[0])},
        repeats=repeats,
        count=total,
        goals=GOALS,
        peer="glm_ocr",
    ) + contests(
        "vision tower",
        {"fp32": step(plain, (tower,), slopes[1])},
        {name: step(way, (naflex,), slopes[1]) for name, way in ways.items()},
        repeats=repeats,
        count=total,
        goals=GOALS,
        peer="timm naflexvit",
    )
    areas = [rows * columns for _, rows, columns in grids]
    return {
        "patches": {"real": total, "padded": count * max(areas), "padding": 1 - total / (count * max(areas))},
        "apart": apart,
        "contests": found,
    }


def notes(found: dict[str, Any]) -> list[str]:
    patches, apart = found["patches"], found["apart"]
    return [
        f"{patches['real']} patches, which count as tokens here; a padded batch of them holds "
        f"{patches['padded']}, {patches['padding']:.0%} of them padding. All weights are equal: outputs "
        f"differ by {apart['glm_ocr']:.0e} (glm_ocr) and {apart['naflexvit']:.0e} (naflexvit) at most.",
    ]
