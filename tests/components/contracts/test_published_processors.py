"""Pixels, grids and frames beside those of the image and video processors in transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from einops import rearrange

from vlmloom.components.contracts.patches import cut
from vlmloom.components.contracts.resizing import PixelBudget
from vlmloom.components.contracts.sampling import sample
from vlmloom.components.contracts.visuals import PatchSpec

pytest.importorskip("transformers")

# Sides that are smaller than a merged patch, lie on a boundary, round to even, and overrun the budget.
SIZES = [
    (1, 1),
    (1, 150),
    (28, 28),
    (30, 97),
    (41, 43),
    (111, 13),
    (70, 98),
    (250, 130),
    (300, 20),
    (13, 300),
]
PIXELS_A_TOKEN = 2 * 28 * 28


def image_processor(family: str, **changes):
    from transformers.models.glm4v.image_processing_glm4v import Glm4vImageProcessor
    from transformers.models.glm5_next.image_processing_glm5_next import Glm5NextImageProcessor
    from transformers.models.glm46v.image_processing_glm46v import Glm46VImageProcessor

    classes = {
        "glm4v": Glm4vImageProcessor,
        "glm46v": Glm46VImageProcessor,
        "glm5_next": Glm5NextImageProcessor,
    }
    return classes[family](**changes)


def video_processor(family: str, **changes):
    from transformers.models.glm4v.video_processing_glm4v import Glm4vVideoProcessor
    from transformers.models.glm5_next.video_processing_glm5_next import Glm5NextVideoProcessor
    from transformers.models.glm46v.video_processing_glm46v import Glm46VVideoProcessor

    classes = {
        "glm4v": Glm4vVideoProcessor,
        "glm46v": Glm46VVideoProcessor,
        "glm5_next": Glm5NextVideoProcessor,
    }
    return classes[family](**changes)


def budget(family: str, tokens: tuple[int, int]) -> tuple[dict, PixelBudget]:
    """The same small budget for both sides."""
    pixels = (tokens[0] * PIXELS_A_TOKEN, tokens[1] * PIXELS_A_TOKEN)
    if family == "glm5_next":
        told = {"min_image_tokens": tokens[0], "max_image_tokens": tokens[1]}
        return told, PixelBudget(still=pixels, clip=pixels, pad=True)
    told = {"size": {"shortest_edge": pixels[0], "longest_edge": pixels[1]}}
    return told, PixelBudget(still=pixels, clip=pixels)


def noise(frames: int, height: int, width: int) -> np.ndarray:
    """Half noise, half ramp: kernels and their edges both show."""
    ramp = np.linspace(0, 127, height * width * 3).reshape(height, width, 3)
    random = np.random.default_rng(height * 1000 + width).integers(0, 128, (frames, height, width, 3))
    return (ramp + random).astype(np.uint8)


def folded(patches: torch.Tensor, frames: int) -> torch.Tensor:
    """Our rows, one a stored frame, as the reference's, one a pair of frames."""
    stored = rearrange(patches, "(f n) (c p) -> f n c p", f=frames, c=3)
    if frames == 1:
        stored = stored.expand(2, -1, -1, -1)
    return rearrange(stored, "(f t) n c p -> (f n) (c t p)", t=2)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("family", ["glm4v", "glm46v", "glm5_next"])
def test_stills(family, size):
    told, resize = budget(family, (4, 24))
    frames = noise(1, *size)
    given = image_processor(family, **told)(
        images=[torch.from_numpy(frames[0]).permute(2, 0, 1)], return_tensors="pt"
    )
    patches, grid = cut(frames, PatchSpec(14, temporal=2, block=2, resize=resize))
    assert [list(grid)] == given["image_grid_thw"].tolist()
    torch.testing.assert_close(folded(patches, 1), given["pixel_values"], atol=2e-6, rtol=0)


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("size", [(28, 28), (41, 43), (250, 130), (10, 300)], ids=str)
@pytest.mark.parametrize("family", ["glm4v", "glm46v", "glm5_next"])
def test_clips(family, size, count):
    told, resize = budget(family, (4, 40))
    frames = noise(count, *size)
    given = video_processor(family, **told)(
        videos=[torch.from_numpy(frames).permute(0, 3, 1, 2)], do_sample_frames=False, return_tensors="pt"
    )
    patches, (stored, rows, columns) = cut(frames, PatchSpec(14, temporal=2, block=2, resize=resize))
    assert [[stored // 2, rows, columns]] == given["video_grid_thw"].tolist()
    torch.testing.assert_close(folded(patches, stored), given["pixel_values_videos"], atol=2e-6, rtol=0)


@pytest.mark.parametrize("family", ["glm4v", "glm46v", "glm5_next"])
def test_published_budgets(family):
    """A thousand sizes, from specks to posters, against the reference's own count; no pixels."""
    images, videos = image_processor(family), video_processor(family)
    if family == "glm5_next":
        resize = PixelBudget(
            still=(16 * PIXELS_A_TOKEN, 8000 * PIXELS_A_TOKEN),
            clip=(16 * PIXELS_A_TOKEN, 240000 * PIXELS_A_TOKEN),
            pad=True,
        )
    else:
        resize = PixelBudget()
        assert images.size == {"shortest_edge": resize.still[0], "longest_edge": resize.still[1]}
        assert videos.size == {"shortest_edge": resize.clip[0], "longest_edge": resize.clip[1]}
    spec = PatchSpec(14, temporal=2, block=2, resize=resize)
    dice = np.random.default_rng(0)
    for _ in range(1000):
        height = int(2 ** dice.uniform(0, 13))
        width = max(1, int(height * 2 ** dice.uniform(-5, 5)))
        _, rows, columns = spec.grid(1, height, width)
        assert rows * columns == images.get_number_of_image_patches(height, width), (height, width)
        frames = int(dice.integers(2, 641))
        stored, rows, columns = spec.grid(frames, height, width)
        given = videos.get_num_of_video_patches(frames, height, width)
        assert stored // 2 * rows * columns == given, (frames, height, width)


@pytest.mark.parametrize("family", ["glm4v", "glm46v", "glm5_next"])
def test_frames_and_times(family):
    from transformers.video_utils import VideoMetadata

    processor = video_processor(family)
    dice = np.random.default_rng(1)
    cases = [
        (1, 30.0),
        (2, 30.0),
        (31, 30.0),
        (900, 30.0),
        (901, 30.0),
        (9000, 30.0),
        (9031, 30.0),
        (80000, 30.0),
    ]
    cases += [
        (int(2 ** dice.uniform(0, 15)), float(dice.choice([0.5, 5, 12.5, 23.976, 25, 29.97, 60])))
        for _ in range(300)
    ]
    for total, rate in cases:
        for duration in (None, total / rate):
            known = VideoMetadata(total_num_frames=total, fps=rate, duration=duration)
            wanted = processor.sample_frames(known).tolist()
            chosen = sample(family, total, rate, duration)
            if wanted:
                assert chosen == wanted, (total, rate, duration)
            else:
                assert chosen == [0, 0], "the reference looks at nothing of a video this short"
            assert len(chosen) % 2 == 0
            known.frames_indices = chosen
            assert known.timestamps == [frame / rate for frame in chosen]
