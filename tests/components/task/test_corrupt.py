"""The corrupt split: sound items of the test quarter, spoilt in a known way, as far as the knob says."""

import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from vlmloom.components.task.corrupt import KINDS, STRENGTHS, Spoilt
from vlmloom.components.task.perception.asked import PerceptionTask
from vlmloom.components.task.suite import NANO, Nano
from vlmloom.components.task.world import World, arrangement, split_of

SPOKEN = [name for name, task in NANO.items() if issubclass(task, PerceptionTask)]
DIGEST = """
from hashlib import blake2b
from vlmloom.components.task.perception.count import Count
from vlmloom.components.task.suite import Nano
world = Nano(shift=[]).world
world.corrupt = True
for index in range(10):
    sample = Count(world=world).plan("corrupt", index)
    print(sample.truth, sample.pictures[0].key, blake2b(sample.pictures[0].render().tobytes()).hexdigest())
"""


@pytest.fixture(scope="module")
def world():
    nano = Nano(shift=[]).world
    return World(
        sprites=nano.sprites, photos=nano.photos, fonts=nano.fonts, tables=nano.tables, side=128, corrupt=True
    )


def test_only_a_world_that_says_so_has_it():
    assert "corrupt" not in Nano(shift=[]).splits()
    with pytest.raises(ValueError, match="task name has no corrupt split here"):
        NANO["name"](world=Nano(shift=[]).world).plan("corrupt", 0)


@pytest.mark.parametrize("name", SPOKEN)
def test_items_are_those_of_the_test_quarter_spoilt(world, name):
    task = NANO[name](world=world)
    found = Counter()
    for index in range(30):
        sample = task.plan("corrupt", index)
        kind, strength = sample.truth["corruption"], sample.truth["strength"]
        found[kind] += 1
        assert kind in KINDS and 1 <= strength <= STRENGTHS
        assert split_of(arrangement(sample.scene.things)) == "test" and sample.scene.key.startswith(
            "corrupt:"
        )
        assert task.check(sample, sample.answer).value == 1
        for picture in sample.pictures:
            assert isinstance(picture, Spoilt)
            spoilt, sound = picture.render(), picture.picture.render()
            assert spoilt.shape == sound.shape == (1, picture.height, picture.width, 3)
            assert not np.array_equal(spoilt, sound) and picture.key != picture.picture.key
            assert np.array_equal(spoilt, picture.render())
            if kind in ("patch", "word"):
                changed = (spoilt != sound).any(axis=3).mean()
                assert changed < 0.5, "a thing's part is hidden, not the scene"
    assert set(found) == set(KINDS)


def test_a_wrong_word_is_wrong(world):
    for name in ("name", "choice", "colour", "count"):
        task = NANO[name](world=world)
        for index in range(60):
            sample = task.plan("corrupt", index)
            if sample.truth["corruption"] == "word":
                (writing,) = sample.pictures[0].layers
                assert writing.text not in {sample.answer, *(thing.name for thing in sample.scene.things)}
                if name in ("choice", "colour"):
                    assert writing.text in sample.choices


@pytest.mark.parametrize("kind", ["noise", "blur", "jpeg"])
def test_more_strength_is_further_from_the_sound_picture(world, kind):
    task = NANO["name"](world=world)
    distances = np.zeros(STRENGTHS)
    for index in range(12):
        sound = task.plan("test", index).pictures[0]
        pixels = sound.render().astype(int)
        distances += [
            np.abs(Spoilt(sound, kind, strength).render() - pixels).mean() for strength in (1, 2, 3)
        ]
    assert distances[0] < distances[1] < distances[2]


def test_spoilt_pixels_are_the_same_in_another_process():
    runs = [
        subprocess.run(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1] and len(set(runs[0].splitlines())) == 10
