"""A thousand distinct items of every category in train and in test, and none that is in both."""

import pytest

from vlmloom.components.contracts.sample import Picture
from vlmloom.components.task.full import Full
from vlmloom.registry import catalog

NAMES = [entry.name.partition("/")[2] for entry in catalog().list("task") if entry.family]
ENOUGH = 1000
FEWER = {"gui_grounding": 500}
"""Of test: a page is in one split alone, and the packages that are installed have few."""
MOST = 12_000
"""Indices that are looked at; items are drawn at random, so that some come twice."""


@pytest.fixture(scope="module")
def full():
    suite = Full(shift=[])
    suite.prepare()
    return suite


def told(sample):
    """What is asked and seen; equal keys mean equal pixels."""
    return tuple(part.key if isinstance(part, Picture) else part for part in sample.prompt)


def distinct(task, split):
    """The first `ENOUGH` distinct items of a split, or all that are in the first `MOST`."""
    found = {}
    for index in range(MOST):
        sample = task.plan(split, index)
        found.setdefault(told(sample), sample)
        if len(found) == ENOUGH:
            break
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_thousand_items_of_train_and_of_test_are_distinct_and_none_is_in_both(full, name):
    if name not in full.tasks:
        pytest.skip(full.availability()[f"task/{name}"])
    train, test = (distinct(full.tasks[name], split) for split in ("train", "test"))
    least = FEWER.get(name, ENOUGH)
    assert len(train) == ENOUGH and len(test) >= least, f"{len(train)} of train, {len(test)} of test differ"
    assert not train.keys() & test.keys()
    assert not {one.scene.key for one in train.values()} & {one.scene.key for one in test.values()}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_other_keys_are_other_pixels(full, name):
    """So that counting keys counts pictures."""
    if name not in full.tasks:
        pytest.skip(full.availability()[f"task/{name}"])
    samples = [full.tasks[name].plan("test", index) for index in range(24)]
    pictures = {picture.key: picture for sample in samples for picture in sample.pictures}
    pixels = {picture.render().tobytes() for picture in pictures.values()}
    assert len(pixels) == len(pictures)
