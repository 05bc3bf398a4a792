"""Every task of the nano suite: pure plans, disjoint splits, fair answers, true scenes, right checkers."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from hashlib import blake2b

import numpy as np
import pytest

from vlmloom.components.contracts.sample import describe
from vlmloom.components.contracts.suite import SPLITS
from vlmloom.components.reward.wording import normal
from vlmloom.components.task.documents.bar_value import bar_height
from vlmloom.components.task.suite import NANO
from vlmloom.components.task.vocabulary import VOCABULARY
from vlmloom.components.task.world import word_pairs
from vlmloom.registry import build, compose

TASKS = list(NANO)
MANY = 1000

DIGEST = """
import json
from vlmloom.components.task.suite import Nano
suite = Nano(shift=[])
print(json.dumps({name: [repr((s.answer, s.prompt[-1], s.scene, s.choices, [p.key for p in s.pictures]))
    for s in (task.plan(split, index) for split in task.splits() for index in (0, 1, 77, 123456))]
    for name, task in suite.tasks.items()}))
"""


@pytest.fixture(scope="session")
def planned(suite):
    """(task, split) -> many samples; each is planned once for all tests."""
    return {
        (name, split): [suite.tasks[name].plan(split, index) for index in range(MANY)]
        for split, names in suite.splits().items()
        for name in names
    }


def test_plans_are_equal_in_another_process_under_another_hash_seed():
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    outputs = [json.loads(process.communicate(timeout=120)[0]) for process in processes]
    assert outputs[0] == outputs[1] and set(outputs[0]) == set(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_a_plan_depends_on_nothing_but_its_place(suite, planned, name):
    task = suite.tasks[name]
    for split in task.splits():
        for index in (999, 3):
            assert task.plan(split, index) != task.plan(split, index + 1)
            again, before = task.plan(split, index), planned[name, split][index]
            assert (again.prompt[-1], again.answer, again.scene) == (
                before.prompt[-1],
                before.answer,
                before.scene,
            )
            assert [picture.key for picture in again.pictures] == [picture.key for picture in before.pictures]


@pytest.mark.parametrize("name", TASKS)
def test_no_scene_is_in_two_splits(planned, name):
    keys = {
        split: {sample.scene.key for sample in planned[name, split]}
        for split in SPLITS
        if (name, split) in planned
    }
    for one in keys:
        for other in keys:
            assert one == other or not keys[one] & keys[other], (one, other)


@pytest.mark.parametrize("name", TASKS)
def test_held_out_pairs_are_in_the_compositional_split_only(suite, planned, name):
    for split in suite.tasks[name].splits():
        for sample in planned[name, split]:
            held = any(suite.world.held(*pair) for pair in word_pairs(sample.scene.things))
            assert held == (split == "compositional"), (split, sample.caption)


@pytest.mark.parametrize("name", TASKS)
def test_gold_is_right_and_another_answer_is_wrong(suite, planned, name):
    task = suite.tasks[name]
    for split in task.splits():
        for sample in planned[name, split][:200]:
            assert task.check(sample, sample.answer).value == 1
            article = "" if name == "box" else "The "
            assert task.check(sample, f"  {article}{sample.answer.upper()}. ").value == 1
            assert task.check(sample, "").value == 0
            for choice in sample.choices:
                assert task.check(sample, choice).value == float(choice == sample.answer)


@pytest.mark.parametrize("name", [name for name in TASKS if name not in ("box", "arithmetic")])
def test_guessing_gains_nothing(planned, name):
    for split in ("train", "test"):
        samples = planned[name, split]
        assert all(sample.answer in sample.choices for sample in samples)
        chance = sum(1 / len(sample.choices) for sample in samples) / MANY
        most = Counter(sample.answer for sample in samples).most_common(1)[0][1] / MANY
        assert most < 1.25 * chance + 0.025, f"{split}: {most:.3f} against {chance:.3f}"
        if name in ("choice", "order"):
            places = Counter(sample.choices.index(sample.answer) for sample in samples)
            assert max(places.values()) / MANY < 1.25 * chance


@pytest.mark.parametrize("name", TASKS)
def test_pictures_are_as_planned(suite, planned, name):
    for split in suite.tasks[name].splits():
        for sample in planned[name, split][:40]:
            assert bool(sample.pictures) == suite.tasks[name].visual
            for picture in sample.pictures:
                pixels = picture.render()
                assert pixels.shape == (picture.frames, picture.height, picture.width, 3)
                assert pixels.dtype == np.uint8 and pixels.std() > 1
                assert np.array_equal(pixels, picture.render())


def test_equal_keys_mean_equal_pixels(planned):
    seen = {}
    for samples in planned.values():
        for sample in samples[:60]:
            for picture in sample.pictures:
                digest = blake2b(picture.render().tobytes()).digest()
                assert seen.setdefault(picture.key, digest) == digest
    assert len(seen) > 1000


@pytest.mark.parametrize("name", ["name", "colour", "box", "count", "order"])
def test_boxes_hold_what_is_drawn(suite, planned, name):
    """Beside its things a picture is its backdrop, and every box is tight."""
    for sample in planned[name, "train"][:60]:
        picture = sample.pictures[0]
        frame = picture.render()[-1].astype(int)
        ground = picture.backdrop.canvas(picture.height, picture.width).astype(int)
        drawn = np.abs(frame - ground).max(axis=2) > 24
        last = [thing.box for thing in sample.scene.things if thing.frame == picture.frames - 1]
        inside = np.zeros_like(drawn)
        for x1, y1, x2, y2 in last:
            left, right = round(x1 * picture.width / 1000), round(x2 * picture.width / 1000)
            top, bottom = round(y1 * picture.height / 1000), round(y2 * picture.height / 1000)
            part = drawn[top:bottom, left:right]
            ys, xs = np.nonzero(part)
            assert ys.min() <= 2 and xs.min() <= 2
            assert ys.max() >= part.shape[0] - 3 and xs.max() >= part.shape[1] - 3
            inside[max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2] = True
        assert not (drawn & ~inside).any()


THING = re.compile(r"(?:(first|second|third|fourth): )?([A-Za-z0-9 ]+) \[(\d+),(\d+),(\d+),(\d+)\]")
CATEGORY = {entry.name: entry.category for entry in VOCABULARY}


def parse(caption):
    """[(ordinal, words, box)] of a described scene."""
    things, ordinal = [], "first"
    for found in THING.finditer(caption):
        ordinal = found[1] or ordinal
        things.append((ordinal, found[2].strip().split(), tuple(map(int, found.groups()[2:]))))
    return things


def centre(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def side(one, other):
    (x1, y1), (x2, y2) = centre(one), centre(other)
    # Boxes that do not overlap along an axis are apart on that axis.
    if one[2] <= other[0] + 30 or other[2] <= one[0] + 30:
        return "left" if x1 < x2 else "right"
    return "above" if y1 < y2 else "below"


def asked(question, things):
    words = question.rstrip("?").split()
    return next(box for _, name, box in things if name[-1] == words[-1])


RULES = {
    "name": lambda q, t: t[0][1][-1],
    "choice": lambda q, t: t[0][1][-1],
    "category": lambda q, t: CATEGORY[t[0][1][-1]],
    "count": lambda q, t: str(sum(words[-1] == q.rstrip("?").split()[-1] for _, words, _ in t)),
    "relation": lambda q, t: side(
        next(b for _, w, b in t if w[-1] == q.split()[3]),
        next(b for _, w, b in t if w[-1] == q.rstrip("?").split()[-1]),
    ),
    "box": lambda q, t: "[{},{},{},{}]".format(*asked(q, t)),
    "odd_one_out": lambda q, t: min(Counter(w[-1] for _, w, _ in t).items(), key=lambda item: item[1])[0],
    "colour": lambda q, t: t[0][1][0],
    "read": lambda q, t: next(w[1] for _, w, _ in t if w[0] == "word"),
    "digit": lambda q, t: t[0][1][1],
    "bar_value": lambda q, t: str(bar_height(next(b for _, w, b in t if w[0] == q.split()[3]))),
    "which_image": lambda q, t: next(o for o, w, _ in t if w[-1] == q.rstrip("?").split()[-1]),
    "order": lambda q, t: t[0][1][-1],
}


def cell(question, things):
    row, column = map(int, re.findall(r"\d", question))
    tops = sorted({box[1] for _, _, box in things})
    lefts = sorted({box[0] for _, _, box in things})
    return next(w[1] for _, w, box in things if (box[1], box[0]) == (tops[row - 1], lefts[column - 1]))


RULES["table_cell"] = cell


@pytest.mark.parametrize("name", [name for name in TASKS if name != "arithmetic"])
def test_the_caption_tells_the_answer(suite, planned, name):
    for split in suite.tasks[name].splits():
        for sample in planned[name, split][:400]:
            assert sample.caption == describe(sample.scene)
            assert RULES[name](sample.prompt[-1], parse(sample.caption)) == sample.answer, sample.caption


def test_sums_are_right(planned):
    for sample in planned["arithmetic", "train"]:
        one, other = map(int, re.findall(r"\d+", sample.prompt[-1]))
        minus = any(word in sample.prompt[-1] for word in ("-", "minus", "take away", "less"))
        assert int(sample.answer) == (one - other if minus else one + other)
        assert not sample.pictures and sample.caption == ""


@pytest.mark.parametrize("name", TASKS)
def test_an_episode_ends_after_one_answer(suite, name):
    episode = suite.tasks[name].open("test", 5)
    sample = suite.tasks[name].plan("test", 5)
    assert episode.observe().prompt[-1] == sample.prompt[-1] and not episode.done
    assert episode.score().value is None
    episode.act(sample.answer)
    assert episode.done and episode.score().value == 1
    with pytest.raises(RuntimeError, match="answered already"):
        episode.act("again")


@pytest.mark.parametrize(
    ("response", "value"),
    [("[0,0,1000,1000]", 0), ("no box", 0), ("[5,5,5,5]", 0), ("1 2 3", 0), ("[1,2,3,4,5]", 0)],
)
def test_boxes_are_judged_by_overlap(suite, response, value):
    task = suite.tasks["box"]
    sample = next(s for s in (task.plan("test", i) for i in range(99)) if len(s.scene.things) == 2)
    assert task.check(sample, response).value == value
    x1, y1, x2, y2 = sample.scene.things[0].box
    near = task.check(sample, f"{x1} {y1} {x2} {y2 - (y2 - y1) // 3}")
    assert near.value == 1 and 0.6 < near.parts["overlap"] < 0.72
    assert task.check(sample, f"{x1},{y1},{x2},{y1 + (y2 - y1) // 3}").value == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" The  Dog. ", "dog"),
        ("dog!", "dog"),
        ("-3", "-3"),
        ("12.5", "12.5"),
        ("12.", "12"),
        ("an owl", "owl"),
        ("t-shirt", "t shirt"),
        ("the", "the"),
    ],
)
def test_answers_are_compared_forgivingly(text, expected):
    assert normal(text) == expected


def test_numbers_are_exact(suite):
    task = suite.tasks["count"]
    sample = next(s for s in (task.plan("test", i) for i in range(99)) if s.answer == "3")
    assert [task.check(sample, text).value for text in ("3", "3.", "13", "3.5", "-3", "33")] == [
        1,
        1,
        0,
        0,
        0,
        0,
    ]


def test_the_shipped_suite_plans_every_split_that_it_says_it_has():
    suite = build(compose("data/nano").root.value["suite"])
    assert "compositional" not in suite.tasks["count"].splits(), "uniform counting has nothing to compose"
    for split, names in suite.splits().items():
        for name in names:
            for index in range(20):
                assert suite.tasks[name].plan(split, index).answer
