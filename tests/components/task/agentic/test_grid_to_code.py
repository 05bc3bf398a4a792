"""Grids to code: gold runs in the sandbox, rules are told by what is shown, and stay in their split."""

import ast

import numpy as np
import pytest

from vlmloom.components.sandbox.code import CodeRunner, SandboxRefused
from vlmloom.components.task.agentic.grid_to_code import GridToCode
from vlmloom.components.task.grid_rules import (
    COLOURED,
    GROWN,
    MOVED,
    TURNS,
    apply,
    told_apart,
    vocabulary,
)
from vlmloom.components.task.reasoning.arc import COLOURS

TRIANGLE = [[1, 0, 2], [0, 3, 0]]


@pytest.fixture(scope="module")
def task(world):
    try:
        CodeRunner().run(["pass"], [])
    except SandboxRefused as error:
        pytest.skip(str(error))
    return GridToCode(world=world)


def cases(sample):
    """(grid, what is right) of every hidden assert."""
    for line in sample.truth["asserts"]:
        left, right = line.removeprefix("assert transform(").split(") == ")
        yield ast.literal_eval(left), ast.literal_eval(right)


@pytest.mark.parametrize(
    ("rule", "made"),
    [
        (TURNS[0], [[2, 0, 1], [0, 3, 0]]),
        (TURNS[1], [[0, 3, 0], [1, 0, 2]]),
        (TURNS[2], [[1, 0], [0, 3], [2, 0]]),
        (TURNS[3], [[0, 1], [3, 0], [0, 2]]),
        (TURNS[4], [[2, 0], [0, 3], [1, 0]]),
        (GROWN[0], [[1, 0, 2, 2, 0, 1], [0, 3, 0, 0, 3, 0]]),
        (GROWN[1], [[1, 0, 2], [0, 3, 0], [0, 3, 0], [1, 0, 2]]),
        (GROWN[2], np.kron(TRIANGLE, np.ones((2, 2), int)).tolist()),
        (MOVED[0], [[2, 1, 0], [0, 0, 3]]),
        (MOVED[1], [[0, 3, 0], [1, 0, 2]]),
        (MOVED[2], [[0, 1, 2], [0, 0, 3]]),
        (MOVED[3], [[0, 0, 0], [1, 3, 2]]),
        (COLOURED[0].format(a=1, b=7), [[7, 0, 2], [0, 3, 0]]),
        (COLOURED[1].format(a=3), [[0, 0, 0], [0, 3, 0]]),
        (COLOURED[2].format(a=5), [[5, 0, 5], [0, 5, 0]]),
        (COLOURED[3].format(a=4), np.pad(TRIANGLE, 1, constant_values=4).tolist()),
    ],
)
def test_steps_do_what_they_are_called(rule, made):
    assert apply((rule,), TRIANGLE) == made


def test_a_rule_that_the_pictures_do_not_tell_is_refused():
    mirrored, hidden = (TURNS[0],), [[[1, 2], [0, 0]]]
    assert told_apart(mirrored, [1, 2], [[[1, 0, 2, 2], [2, 2, 1, 0], [0, 1, 1, 2]]], hidden)
    # One row falls to the right as it is mirrored.
    assert not told_apart(mirrored, [1, 2], [[[1, 0]]], hidden)
    assert len(vocabulary([1, 2, 3])) == 12 + 6 + 3 + 3 + 3


def test_gold_is_one_and_other_code_is_not(task):
    for split in task.splits():
        samples = [task.plan(split, index) for index in range(50)]
        assert {task.check(sample, sample.answer).value for sample in samples} == {1.0}
        for wrong in ("", "def transform(grid):\n    return grid", "transform = None", samples[0].prompt[-1]):
            assert {task.check(sample, wrong).value for sample in samples[:20]} == {0.0}, wrong
        others = [task.check(one, two.answer).value for one, two in zip(samples, samples[7:], strict=False)]
        assert sum(others) <= 0.15 * len(others)


def test_hidden_grids_are_not_shown_and_what_is_right_is_the_rules(task):
    for index in range(40):
        sample = task.plan("train", index)
        names = {}
        exec(sample.answer, names)
        for grid, right in cases(sample):
            assert names["transform"](grid) == right != grid
        assert len(sample.truth["asserts"]) == 4


def runs(inked):
    """The middle of every run of inked lines, and where a wide gap is."""
    places = np.flatnonzero(inked)
    pieces = np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)
    return [int(piece.mean()) for piece in pieces]


def test_the_picture_shows_grids_and_what_the_rule_makes_of_them(task):
    """Read off the pixels, the right grid of each row is what the code makes of the left one."""
    numbers = {hue: number for number, hue in enumerate(COLOURS.values())}
    for index in range(12):
        sample = task.plan("train", index)
        names = {}
        exec(sample.answer, names)
        pixels = sample.pictures[0].render()[0]
        inked = np.array([[tuple(pixel) in numbers for pixel in row] for row in pixels.tolist()])
        lines = runs(inked.any(1))
        bands = np.split(lines, np.flatnonzero(np.diff(lines) > 2 * min(np.diff(lines)) - 8) + 1)
        seen = 0
        for band in bands:
            columns = runs(inked[band[0]])
            arrow = int(np.argmax(np.diff(columns))) + 1
            read = [
                [[numbers[tuple(pixels[y, x])] for x in part if inked[y, x]] for y in band]
                for part in (columns[:arrow], columns[arrow:])
            ]
            one, other = ([row for row in grid if row] for grid in read)
            assert names["transform"](one) == other
            seen += 1
        assert seen == 3


def test_rules_are_in_one_split_and_a_thousand_items_differ(task):
    keys = {
        split: {task.plan(split, n).scene.key.split(":", 1)[-1] for n in range(300)}
        for split in task.splits()
    }
    assert not keys["train"] & keys["test"] and not keys["validation"] & (keys["train"] | keys["test"])
    samples = [task.plan("train", n) for n in range(1050)]
    assert len({(sample.answer, *sample.truth["asserts"]) for sample in samples}) >= 1000


def test_a_step_more_is_harder_and_wrong_settings_are_one_line(world):
    for steps in (1, 3):
        lengths = [
            GridToCode(world=world, operations=steps).plan("test", n).answer.count("grid = ")
            for n in range(60)
        ]
        assert max(lengths) == steps and sum(lengths) >= 0.6 * steps * 60
    with pytest.raises(ValueError, match=r"^task/grid_to_code: operations is -1; 1 to 3 would be right$"):
        GridToCode(world=world, operations=-1)
