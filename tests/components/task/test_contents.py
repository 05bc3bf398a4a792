"""Documents and reasoning: pure plans, splits apart by content, right answers, sizes told before drawing."""

from collections import Counter

import numpy as np
import pytest

from vlmloom.components.contracts.sample import Picture
from vlmloom.components.task.content import ContentTask
from vlmloom.components.task.suite import Nano
from vlmloom.registry import catalog, resolve

FOUND = [entry.name for entry in catalog().list("task") if entry.family in ("documents", "reasoning")]
CLASSES = {name.partition("/")[2]: resolve(name) for name in FOUND}
NAMES = [name for name, task in CLASSES.items() if issubclass(task, ContentTask)]
SPLITS = ("train", "validation", "test", "shift")
MANY = 40


@pytest.fixture(scope="module")
def world():
    return Nano(shift=[]).world


@pytest.fixture(scope="module")
def tasks(world):
    return {name: CLASSES[name](world=world) for name in NAMES}


@pytest.fixture(scope="module")
def planned(tasks):
    """(task, split) -> samples; each is planned once for all tests."""
    return {
        (name, split): [task.plan(split, index) for index in range(MANY)]
        for name, task in tasks.items()
        for split in SPLITS
    }


def told(sample):
    return [part.key if isinstance(part, Picture) else part for part in sample.prompt], sample.answer


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_depends_on_nothing_but_its_place(world, planned, name):
    task = CLASSES[name](world=world)
    task.name = name
    for split in ("test", "train", "shift"):
        for index in (7, 3):
            assert told(task.plan(split, index)) == told(planned[name, split][index])
    assert task.splits() == list(SPLITS)


@pytest.mark.parametrize("name", NAMES)
def test_no_content_is_in_two_splits_and_items_differ(planned, name):
    scenes = {split: {sample.scene.key for sample in planned[name, split]} for split in SPLITS}
    for one in SPLITS:
        for other in SPLITS:
            assert one == other or not scenes[one] & scenes[other], (one, other)
        items = {str(told(sample)) for sample in planned[name, one]}
        assert len(items) >= 0.8 * MANY, f"{len(items)} of {MANY} {one} items differ"


@pytest.mark.parametrize("name", NAMES)
def test_gold_is_right_and_other_answers_are_not(tasks, planned, name):
    task = tasks[name]
    for split in SPLITS:
        samples = planned[name, split]
        for sample in samples[:20]:
            gold = task.check(sample, sample.answer)
            assert gold.value == 1 and gold.error is None, (sample.answer, gold)
            assert not task.check(sample, "").value, sample.answer
        chance = max(Counter(sample.answer for sample in samples).values()) / MANY
        others = [
            task.check(one, other.answer).value for one, other in zip(samples, samples[7:], strict=False)
        ]
        assert None not in others and np.mean(others) <= max(1.5 * chance, 0.35) + 0.1, np.mean(others)


@pytest.mark.parametrize("name", NAMES)
def test_pictures_have_the_size_that_they_say(tasks, planned, name):
    for split in SPLITS:
        for sample in planned[name, split][:2]:
            assert bool(sample.pictures) == tasks[name].visual
            for picture in sample.pictures:
                pixels = picture.render()
                assert pixels.shape == (1, picture.height, picture.width, 3) and pixels.dtype == np.uint8
                assert pixels.std() > 2 and np.array_equal(pixels, picture.render())
                assert 32 <= min(picture.height, picture.width) and max(picture.height, picture.width) <= 1600


@pytest.mark.parametrize("name", NAMES)
def test_a_task_says_what_it_is_and_what_makes_it_harder(tasks, name):
    task = tasks[name]
    assert task.name == name and task.family in CLASSES[name].__module__ and task.knob
    with pytest.raises(ValueError, match=f"task/{name}: {task.knob} is -1") as caught:
        CLASSES[name](world=task.world, **{task.knob: -1})
    assert "\n" not in str(caught.value)


def test_things_say_what_is_written_and_where(planned):
    for (name, _), samples in planned.items():
        for sample in samples[:10]:
            assert bool(sample.caption) == bool(sample.scene.things), name
            for thing in sample.scene.things:
                x1, y1, x2, y2 = thing.box
                assert 0 <= x1 < x2 <= 1000 and 0 <= y1 <= y2 <= 1000 and thing.text, (name, thing)
                assert thing.frame < len(sample.pictures)
