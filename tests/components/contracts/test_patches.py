from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from vlmloom.components.contracts.patches import cut, join, reorder
from vlmloom.components.contracts.resizing import PixelBudget, UnfitPicture
from vlmloom.components.contracts.sampling import sample
from vlmloom.components.contracts.visuals import PatchSpec, raster


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_layout_is_that_of_the_reference_processor():
    from transformers.models.glm4v.image_processing_glm4v import Glm4vImageProcessor

    frame = noise(112, 168, 3)
    given = Glm4vImageProcessor()(images=[torch.from_numpy(frame).permute(2, 0, 1)], return_tensors="pt")
    patches, grid = cut(frame[None], PatchSpec(14, temporal=2, block=2))
    assert [list(grid)] == given["image_grid_thw"].tolist()
    first_frame = given["pixel_values"].view(-1, 3, 2, 14 * 14)[:, :, 0].flatten(1)
    torch.testing.assert_close(patches, first_frame, atol=1e-5, rtol=1e-5)


def test_patches_lie_where_raster_says():
    frame, spec = noise(1, 16, 24, 3), PatchSpec(4, block=2, mean=(0, 0, 0), std=(1, 1, 1))
    patches, grid = cut(frame, spec)
    for row, (y, x) in zip(patches, raster(grid, 2), strict=True):
        expected = torch.from_numpy(frame[0, y * 4 : y * 4 + 4, x * 4 : x * 4 + 4]).permute(2, 0, 1).flatten()
        torch.testing.assert_close(row, expected / 255)


def test_a_clip_is_padded_with_its_last_frame_and_a_still_is_not():
    spec = PatchSpec(4, temporal=2)
    clip, grid = cut(noise(3, 8, 8, 3), spec)
    assert grid == (4, 2, 2)
    torch.testing.assert_close(clip[12:], clip[8:12])
    assert cut(noise(1, 8, 8, 3), spec)[1] == (1, 2, 2)


def test_pictures_that_do_not_fit_are_resized():
    spec = PatchSpec(4, block=2, mean=(0, 0, 0), std=(1, 1, 1))
    patches, grid = cut(np.full((1, 21, 9, 3), 51, np.uint8), spec)
    assert grid == spec.grid(1, 21, 9) == (1, 6, 2)
    torch.testing.assert_close(patches, torch.full_like(patches, 0.2))


def test_without_a_budget_pillow_resizes():
    """What was trained at nano scale saw these pixels, to the bit."""
    frame, spec = noise(1, 21, 9, 3), PatchSpec(4, block=2, mean=(0, 0, 0), std=(1 / 255, 1 / 255, 1 / 255))
    resized = np.asarray(Image.fromarray(frame[0]).resize((8, 24), Image.Resampling.BICUBIC))
    assert torch.equal(cut(frame, spec)[0], cut(resized[None], spec)[0])


@pytest.mark.parametrize(
    ("budget", "frames", "size", "message"),
    [
        (PixelBudget(), 1, (1, 4000), "4000 x 1 pixels are 4000 times as long as broad; at most 200"),
        (PixelBudget(), 3, (4000, 1), "1 x 4000 pixels are 4000 times as long as broad; at most 200"),
        (
            PixelBudget(clip=(1, 9999), pad=True),
            40,
            (9, 9),
            "40 frames have 31360 pixels in one merged patch",
        ),
    ],
)
def test_sizes_that_cannot_be_fitted_are_named(budget, frames, size, message):
    with pytest.raises(UnfitPicture, match=message):
        PatchSpec(14, temporal=2, block=2, resize=budget).grid(frames, *size)


def test_a_budget_that_nothing_meets_is_refused():
    with pytest.raises(ValueError, match=r"PixelBudget: still is \[9, 8\]; the least and the most pixels"):
        PixelBudget(still=(9, 8))


@pytest.mark.parametrize(
    ("rule", "total", "rate", "message"),
    [
        ("glm4", 9, 1.0, "sampling: found rule 'glm4'; all, glm4v, glm46v, glm5_next would be right"),
        ("glm4v", 0, 1.0, "sampling: found 0 frames at 1 a second; one or more, at a positive rate"),
        ("glm4v", 9, 0.0, "sampling: found 9 frames at 0 a second; one or more, at a positive rate"),
    ],
)
def test_frames_that_cannot_be_sampled_are_named(rule, total, rate, message):
    with pytest.raises(ValueError, match=message):
        sample(rule, total, rate)


def test_join_of_nothing_is_blank():
    spec = PatchSpec(4, block=2)
    blank = join([], spec)
    assert (blank.weight, blank.shapes, tuple(blank.patches.shape)) == (0.0, [(1, 2, 2)], (4, 48))
    both = join([cut(noise(1, 8, 8, 3), spec), cut(noise(1, 16, 8, 3), spec)], spec)
    assert both.shapes == [(1, 2, 2), (1, 4, 2)] and len(both.patches) == 12 and both.block == 2


def test_reorder_goes_there_and_back():
    shapes = [(1, 4, 6), (2, 2, 4)]
    there, back = reorder(shapes, 2, 1), reorder(shapes, 1, 2)
    assert reorder(shapes, 2, 2) is None
    torch.testing.assert_close(there[back], torch.arange(40))
    order = torch.from_numpy(raster((1, 4, 6), 2) @ np.array([6, 1]))[there[:24]]
    torch.testing.assert_close(order, torch.arange(24))


@pytest.mark.parametrize("frames", [np.zeros((8, 8, 3), np.uint8), np.zeros((1, 8, 8, 3), np.float32)])
def test_wrong_pixels_are_named(frames):
    with pytest.raises(ValueError, match=r"uint8 \[frames, height, width, 3\] would be right"):
        cut(frames, PatchSpec(4))
