"""Probes of features that know the answer and of noise, and the verb."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from squares import SIDE, THINGS, sprites

from vlmloom.pipelines.cli import main
from vlmloom.pipelines.evaluate_vision import compare
from vlmloom.pipelines.evaluate_vision.features import Features, extract
from vlmloom.pipelines.evaluate_vision.probes import GUESSES, PROBES, correspondence, count, overlap
from vlmloom.pipelines.evaluate_vision.scenes import Scenes, carry, draw, draw_crowds

TINY = "vision/cogvit,width=16,depth=1,heads=2,patch=8"


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Scenes, Scenes]:
    made, things = sprites(tmp_path / "squares"), np.arange(THINGS)
    return draw(made, things, 20, SIDE, (0, 1)), draw(made, things, 10, SIDE, (0, 2))


def oracle(scenes: Scenes) -> Features:
    """The thing, and where it is, in so many words."""
    things = F.one_hot(torch.from_numpy(scenes.things)).float()
    masks = torch.from_numpy(scenes.masks).float()
    centres = torch.from_numpy(scenes.centres).float()[:, None, None].expand(-1, SIDE, SIDE, -1) * 1e-2
    return Features(things, torch.cat([masks[..., None], 1 - masks[..., None], centres], dim=-1))


def noise(scenes: Scenes, seed: int) -> Features:
    maps = torch.randn(len(scenes.things), 4, 4, 8, generator=torch.Generator().manual_seed(seed))
    return Features(maps.mean((1, 2)), maps)


@pytest.mark.parametrize("probe", ["knn", "linear", "segmentation", "position"])
def test_a_probe_reads_what_is_there_and_nothing_from_noise(probe: str, pair: tuple[Scenes, Scenes]) -> None:
    known, truth = pair
    knows = PROBES[probe](oracle(known), known)(oracle(truth), truth).mean()
    guesses = PROBES[probe](noise(known, 0), known)(noise(truth, 1), truth).mean()
    assert knows > 0.97
    # Chance is 1 of 6 things; no thing anywhere is an overlap below one half.
    assert guesses < {"knn": 0.4, "linear": 0.4, "segmentation": 0.5, "position": 0.5}[probe]


def test_correspondence_finds_turned_places_by_features_that_name_them_and_not_by_noise(
    tmp_path: Path,
) -> None:
    made, things = sprites(tmp_path / "squares"), np.arange(THINGS)
    upright, turned = draw(made, things, 4, SIDE, (0, 1)), draw(made, things, 4, SIDE, (0, 2), turn=45)
    assert np.ptp(turned.angles) > 1 and not upright.angles.any()
    middles = (np.stack(np.mgrid[:SIDE, :SIDE], -1).reshape(-1, 2) + 0.5) / SIDE

    def own(scenes: Scenes) -> Features:
        """The place on the thing in the first picture, a direction of its own for each."""
        places = np.stack([carry(middles, scenes, upright, index) for index in range(len(scenes.things))])
        offsets = torch.from_numpy(places - upright.centres[:, None])
        maps = torch.cat([offsets, torch.ones_like(offsets[..., :1])], -1).reshape(-1, SIDE, SIDE, 3)
        return Features(maps.mean((1, 2)), maps)

    assert correspondence(own(upright), upright)(own(turned), turned).mean() > 0.97
    guesses = correspondence(noise(upright, 0), upright)(noise(turned, 1), turned).mean()
    assert guesses == pytest.approx(GUESSES["correspondence"](upright, turned), abs=0.03)


def test_carrying_agrees_with_pixels_and_with_a_case_by_hand(tmp_path: Path) -> None:
    none = np.zeros((1, 2, 2))
    upright, turned = (
        Scenes(none, np.zeros(1), none, np.array([centre]), np.array([size]), np.array([angle]))
        for centre, size, angle in (((0.5, 0.5), 0.2, 0.0), ((0.4, 0.6), 0.4, np.pi / 2))
    )
    # Right of the middle is above it after a quarter turn counter-clockwise, twice as far.
    np.testing.assert_allclose(carry(np.array([[0.5, 0.6]]), upright, turned, 0), [[0.2, 0.6]])
    made = sprites(tmp_path / "squares")
    pixels = np.zeros((THINGS, 16, 16, 4), np.uint8)
    pixels[:, 3:7, 9:13] = 255  # above and right of the middle
    pixels.tofile(made.path)
    one, other = (
        draw(made, np.arange(THINGS), 2, 64, (1,)),
        draw(made, np.arange(THINGS), 2, 64, (2,), turn=45),
    )
    for index in range(len(one.things)):
        before, after = (
            (np.argwhere(scenes.masks[index]).mean(0) + 0.5)[None] / 64 for scenes in (one, other)
        )
        np.testing.assert_allclose(carry(before, one, other, index), after, atol=1.5 / 64)


def test_a_crowd_has_as_many_things_as_it_says_and_counting_reads_them(tmp_path: Path) -> None:
    from scipy.ndimage import label

    made = sprites(tmp_path / "squares")
    known, truth = (
        draw_crowds(made, things, 4, 3, 64, (0, seed))
        for seed, things in enumerate(np.arange(6).reshape(2, 3))
    )
    assert np.bincount(known.counts).tolist() == [0, 9, 9, 9, 9] and known.things.max() == 2
    for frame, thing, number in zip(truth.frames, truth.things, truth.counts, strict=True):
        colour = made.pixels[3 + thing, 8, 8, :3]
        blobs, found = label((frame == colour).all(-1))
        # A pixel of the ground may happen to have the colour.
        assert sum(np.bincount(blobs.ravel())[1:] > 4) == number <= found

    def features(counts: np.ndarray, seed: int, scale: float) -> Features:
        drawn = torch.randn(len(counts), 4, generator=torch.Generator().manual_seed(seed))
        pooled = drawn + scale * torch.from_numpy(counts)[:, None]
        return Features(pooled, pooled[:, None, None])

    reads, guesses = (
        count(features(known.counts, 0, scale), known)(features(truth.counts, 1, scale), truth).mean()
        for scale in (20.0, 0.0)
    )
    assert reads > 0.97 and guesses < 0.5  # chance is 1 of 4


def test_overlap_is_that_of_a_case_by_hand() -> None:
    truth = torch.tensor([[[1, 1], [0, 0]], [[1, 0], [0, 0]]])
    found = torch.tensor([[[1, 0], [0, 0]], [[1, 0], [0, 0]]])
    # Thing 1 of 2, ground 2 of 3; then all of both.
    torch.testing.assert_close(overlap(found, truth), torch.tensor([(1 / 2 + 2 / 3) / 2, 1.0]))


def test_scenes_are_those_of_their_seed_and_their_masks_lie_around_their_centres(tmp_path: Path) -> None:
    made, things = sprites(tmp_path / "squares"), np.arange(THINGS)
    one, same, other = (draw(made, things, 2, SIDE, (0, seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.frames, same.frames) and not np.array_equal(one.frames, other.frames)
    for mask, centre in zip(one.masks, one.centres, strict=True):
        np.testing.assert_allclose((np.argwhere(mask).mean(0) + 0.5) / SIDE, centre, atol=1.5 / SIDE)


def test_features_do_not_depend_on_the_batch(pair: tuple[Scenes, Scenes]) -> None:
    one = compare.tower(TINY, seed=0)
    together, alone = (extract(one, pair[1].frames[:4], batch=batch) for batch in (4, 1))
    assert together.maps.shape == (4, 4, 4, 16)
    torch.testing.assert_close(together.maps, alone.maps)
    torch.testing.assert_close(together.pooled, together.maps.mean((1, 2)))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["projector/mlp,in_width=8,out_width=8"], "is no tower; a vision or teacher component"),
        (
            ["runs/none"],
            "runs/none is no tower; a vision or teacher component such as vision/timm, or the folder",
        ),
        ([TINY, TINY], "stands twice"),
        ([TINY, "--against", "vision/timm"], "--against vision/timm is none of vision/cogvit"),
        ([TINY, "--sizes", "8"], "--sizes is 8; 16 or more would be right"),
        ([TINY, "--most", "1"], "--most is 1; 2 or more would be right"),
        ([TINY, "--shift", "source/photos"], "--shift source/photos has no cut-outs"),
        ([TINY, "--things", "1"], "--things is 1; 2 or more would be right"),
        ([TINY, "--source", "source/photos"], "has no cut-outs; source/openmoji would be right"),
    ],
)
def test_mistakes_are_told_in_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate-vision", *arguments]) == 2
    told = capsys.readouterr().err.strip()
    assert said in told and "\n" not in told
