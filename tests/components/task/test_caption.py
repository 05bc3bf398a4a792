"""Captions of all that a source has: what is shown, what is said of it, what is kept unseen."""

import re
import subprocess
import sys

import numpy as np
import pytest

from vlmloom.components.contracts.sources import unseen
from vlmloom.components.task.perception.caption import Caption
from vlmloom.components.task.suite import Nano

COUNT = 300
CHECKSUM = """
from hashlib import blake2b
from vlmloom.components.task.perception.caption import Caption
from vlmloom.components.task.suite import Nano
suite = Nano(tasks={"caption": Caption}, items=50)
plans = [suite.plan("train", index) for index in range(60)]
print(blake2b(repr([(one.captions, one.pictures[0].key) for one in plans]).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def task():
    return Caption(world=Nano().world)


@pytest.fixture(scope="module")
def codes(task):
    return dict(zip(task.sprites.names, task.sprites.codes, strict=True))


def test_things_of_the_test_split_are_in_no_training_item(task, codes):
    shown = {
        split: {thing.name for index in range(COUNT) for thing in task.plan(split, index).scene.things}
        for split in ("train", "validation", "test")
    }
    assert all(not unseen(codes[name]) for name in shown["train"] | shown["validation"])
    assert all(unseen(codes[name]) for name in shown["test"])
    assert len(shown["train"]) > 250 and len(shown["test"]) > 80


def test_captions_name_what_stands_where_in_every_language(task, codes):
    pairs = 0
    for index in range(COUNT):
        sample = task.plan("train", index)
        first, *others = sample.scene.things
        assert {"en", "zh"} <= sample.captions.keys()
        for language, said in sample.captions.items():
            names = task.world.sprites.names(language)
            for thing in sample.scene.things:
                assert (thing.name if language == "en" else names[codes[thing.name]]) in said
        for other in others:
            pairs += 1
            beside = first.box[2] <= other.box[0] + 1
            above = first.box[3] <= other.box[1] + 1
            assert beside or above
            assert (" left of " if " left of " in sample.captions["en"] else " above ") in sample.answer
            assert beside if " left of " in sample.answer else above
            assert ("左边" in sample.captions["zh"]) == (" left of " in sample.answer)
    assert 0.35 * COUNT < pairs < 0.65 * COUNT


def test_what_has_a_side_is_never_mirrored(task):
    flipped = {True: 0, False: 0}
    for index in range(COUNT):
        sample = task.plan("train", index)
        for thing, layer in zip(sample.scene.things, sample.pictures[0].layers[0], strict=True):
            sided = bool(re.search(r"left|right|button|keycap|clock", thing.name))
            flipped[sided] += layer.flip
            assert not (sided and layer.flip), thing.name
    assert flipped[False] > 0.3 * COUNT


def test_pictures_come_in_many_aspects_and_as_planned(task):
    aspects = set()
    for index in range(COUNT):
        (picture,) = task.plan("train", index).pictures
        assert picture.render().shape == (1, picture.height, picture.width, 3)
        aspects.add(picture.width / picture.height)
    assert 0.5 == min(aspects) and max(aspects) == 2 and len(aspects) > 8


def test_training_items_come_again_in_every_round():
    suite = Nano(tasks={"caption": Caption}, items=7)
    one, again, other = (suite.plan("train", index) for index in (3, 10, 4))
    assert one.captions == again.captions and one.captions != other.captions
    assert np.array_equal(one.pictures[0].render(), again.pictures[0].render())
    assert suite.plan("test", 3).captions != suite.plan("test", 10).captions


def test_items_are_the_same_in_another_process():
    found = {
        subprocess.run(
            [sys.executable, "-c", CHECKSUM], capture_output=True, text=True, check=True, env=environment
        ).stdout
        for environment in ({"PYTHONHASHSEED": seed, **_environment()} for seed in ("1", "2"))
    }
    assert len(found) == 1


def _environment() -> dict[str, str]:
    import os

    return {key: value for key, value in os.environ.items() if key != "PYTHONHASHSEED"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"pairs": 1.5}, "task/caption: pairs is 1.5; a share from 0 to 1 would be right"),
        ({"longest": 0.5}, "task/caption: longest is 0.5; 1 or more would be right"),
    ],
)
def test_shares_and_sides_out_of_range_are_refused(arguments, line):
    with pytest.raises(ValueError, match=line):
        Caption(world=Nano().world, **arguments)


def test_no_items_are_refused():
    with pytest.raises(ValueError, match="suite/nano: items is 0; 1 or more, or null, would be right"):
        Nano(items=0)


def test_any_wording_is_right():
    task = Caption(world=Nano().world, pairs=1.0)
    for index in range(20):
        sample = task.plan("train", index)
        one, other = (thing.name for thing in sample.scene.things)
        beside = " left of " in sample.answer
        said = f"{other} right of {one}" if beside else f"{other} below {one}"
        turned = f"{one} right of {other}" if beside else f"{one} below {other}"
        assert task.check(sample, sample.answer).value == task.check(sample, said).value == 1
        assert task.check(sample, turned).value < 0.5
