"""The cascade: what overfitted specialists say together is the truth in words, and the nano YAML builds."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from vlmloom.assemblies.cascade.cascade import Cascade
from vlmloom.components.contracts.sample import Scene, Thing, describe
from vlmloom.components.contracts.spec import ShapeMismatch, Spec
from vlmloom.components.contracts.visuals import Pictures
from vlmloom.registry import build


def frame_of(index: int) -> tuple[torch.Tensor, tuple[Thing, ...]]:
    """A coloured shape above a word, 64 x 64 or 64 x 96."""
    height, width = (64, 64) if index % 3 else (64, 96)
    draw = np.random.default_rng(index)
    image = Image.new("RGB", (width, height), (235, 235, 225))
    pen = ImageDraw.Draw(image)
    name, colour = ("disc", "square")[index % 2], ("red", "blue")[(index // 2) % 2]
    x, side = int(draw.integers(2, width - 28)), int(draw.integers(18, 25))
    (pen.ellipse if name == "disc" else pen.rectangle)((x, 3, x + side, 3 + side), fill=colour)
    text, left = ("GO", "TEN")[(index // 4) % 2], int(draw.integers(2, 16))
    box = tuple(int(edge) for edge in pen.textbbox((left, 40), text, font_size=18))
    pen.text((left, 40), text, fill=(10, 10, 10), font_size=18)

    def permille(x1: int, y1: int, x2: int, y2: int) -> tuple[int, int, int, int]:
        return x1 * 1000 // width, y1 * 1000 // height, x2 * 1000 // width, y2 * 1000 // height

    shape = Thing(name, "shape", permille(x, 3, x + side, 3 + side), colour)
    return torch.from_numpy(np.array(image)), (shape, Thing("word", "writing", permille(*box), "", text))


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    frames, things = zip(*(frame_of(index) for index in range(16)), strict=True)
    return Pictures(list(frames), list(things), [str(index) for index in range(16)], list(range(16)))


@pytest.fixture(scope="module")
def nano() -> Cascade:
    torch.manual_seed(0)
    cascade = build({"extends": "cascade"})
    cascade.bind_vocabulary(["disc", "square", "word"], ["blue", "red"], "EGNOT")
    return cascade


@pytest.fixture(scope="module")
def trained(pictures: Pictures, nano: Cascade) -> Cascade:
    for name, steps in (("detector", 140), ("tagger", 40), ("reader", 120)):
        sense = nano.senses()[name].train()
        optimizer = torch.optim.AdamW(sense.parameters(), lr=4e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
        for _ in range(steps):
            loss, _ = sense.loss(pictures)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return nano.eval()


def test_perceived_words_equal_the_oracle_up_to_coordinates(trained, pictures):
    words = trained.descriptions(replace(pictures, things=[() for _ in pictures.frames]))
    for owner, things in enumerate(pictures.things):
        oracle = describe(Scene("", things))
        assert re.sub(r"\d+", "#", words[owner]) == re.sub(r"\d+", "#", oracle)
        seen, true = (np.array(re.findall(r"\d+", text), int) for text in (words[owner], oracle))
        assert np.abs(seen - true).max() <= 60


def test_frames_are_numbered_within_a_sample_and_equal_keys_are_looked_at_once(trained, pictures):
    frames, keys = pictures.frames, ["a", "b", "a", "a"]
    several = Pictures([frames[0], frames[1], frames[0], frames[0]], [()] * 4, keys, [0, 0, 1, 1])
    found = trained.perceive(several)
    assert [{thing.frame for thing in things} for things in found] == [{0}, {1}, {0}, {1}]
    assert [replace(thing, frame=0) for thing in found[3]] == list(found[0])
    # The second picture of sample 1 repeats the first, and is left out.
    assert trained.descriptions(several)[1].startswith("first: ")
    assert "second" not in trained.descriptions(several)[1]


def test_perception_is_deterministic_and_takes_no_frames(trained, pictures):
    assert trained.perceive(pictures) == trained.perceive(pictures)
    assert trained.perceive(Pictures([], [], [], [])) == []
    assert trained.descriptions(Pictures([], [], [], [])) == {}


def test_an_empty_picture_is_nothing(trained):
    blank = Pictures([torch.full((64, 64, 3), 235, dtype=torch.uint8)], [()], ["blank"], [0])
    assert trained.descriptions(blank) == {0: "nothing"}


def test_nano_declares_its_parts_and_sees_no_patches(nano, pictures):
    assert list(nano.parts()) == ["detector", "tagger", "reader", "language", "head.lm"]
    assert nano.patch_specs() == {} and nano.merged_grids([(1, 4, 4)]) == []
    for sense in nano.senses().values():
        assert sum(parameter.numel() for parameter in sense.parameters()) < 400_000
    flops = nano.perception_flops(pictures)
    assert list(flops) == ["detector", "tagger", "reader"] and min(flops.values()) > 0
    nano.dry_run()
    with pytest.raises(ShapeMismatch, match="Detector takes a stream of pictures, but is handed hidden"):
        nano.detector.shapes(Spec("hidden", 3))
