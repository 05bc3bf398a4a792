"""Perception on scenes of several things: pure, distinct, fair items; the truth tells the one answer."""

import json
import re
from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest
import scenes

from vlmloom.components.task.neighbours import NEIGHBOURS
from vlmloom.components.task.silhouette import silhouette
from vlmloom.components.task.vocabulary import VOCABULARY

NAMES = [
    "fine_grained_choice",
    "attributes",
    "count_where",
    "referring",
    "spot_difference",
    "compare_size",
    "compare_colour",
    "matching",
    "depth_order",
    "detect",
    "point",
    "anomaly",
    "describe",
]
CHOSEN = ["fine_grained_choice", "attributes", "count_where", "compare_size", "compare_colour", "matching"]


def test_items_are_the_same_in_another_process_under_another_hash_seed():
    assert scenes.digests_elsewhere(NAMES, "1") == {name: scenes.digest(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_thousand_items_are_distinct(name):
    items = {
        (sample.prompt[-1], *(picture.key for picture in sample.pictures))
        for sample in scenes.plans(name, "train", 1000)
    }
    assert len(items) == 1000


@pytest.mark.parametrize("name", NAMES)
def test_no_scene_is_in_two_splits(name):
    keys = [{sample.scene.key for sample in scenes.plans(name, split)} for split in scenes.splits(name)]
    assert len(set.union(*keys)) == sum(map(len, keys)) and len(keys) >= 4


@pytest.mark.parametrize("name", NAMES)
def test_gold_is_right_and_nothing_is_wrong(name):
    task = scenes.task(name)
    for split in scenes.splits(name):
        for sample in scenes.plans(name, split)[:60]:
            assert task.check(sample, sample.answer).value == 1
            assert task.check(sample, "").value == 0
            for choice in sample.choices:
                assert task.check(sample, choice).value == float(choice == sample.answer)


@pytest.mark.parametrize("name", CHOSEN)
def test_guessing_gains_nothing(name):
    samples = scenes.plans(name, "train", 1000)
    chance = sum(1 / len(sample.choices) for sample in samples) / len(samples)
    most = Counter(sample.answer for sample in samples).most_common(1)[0][1] / len(samples)
    assert most < 1.2 * chance + 0.025
    for place in range(min(len(sample.choices) for sample in samples)):
        share = sum(sample.answer == sample.choices[place] for sample in samples) / len(samples)
        assert share < 1.25 * chance + 0.03, (place, share, chance)


def centre(box, axis):
    return (box[axis] + box[axis + 2]) / 2


def length(thing, picture):
    x1, y1, x2, y2 = thing.box
    return max((x2 - x1) * picture.width, (y2 - y1) * picture.height)


SIDES = {"left of": (0, -1), "right of": (0, 1), "above": (1, -1), "below": (1, 1)}
CATEGORY = {entry.name: entry.category for entry in VOCABULARY}


def beside(thing, anchor, words):
    """Whether a thing is on a side; one that is neither on it nor on the other makes the question unclear."""
    axis, sign = SIDES[words]
    near, far = thing.box[axis], thing.box[axis + 2]
    assert far <= anchor.box[axis] + 1 or near >= anchor.box[axis + 2] - 1
    return sign * (centre(thing.box, axis) - centre(anchor.box, axis)) > 0


def count_where(sample):
    question, picture, things = sample.prompt[-1], sample.pictures[0], sample.scene.things
    if found := re.match(r"how many things are (left of|right of|above|below) the (\w+)\?", question):
        (anchor,) = (thing for thing in things if thing.name == found[2])
        return sum(beside(thing, anchor, found[1]) for thing in things if thing is not anchor)
    if found := re.match(r"how many things are (smaller|larger) than the (\w+)\?", question):
        (anchor,) = (thing for thing in things if thing.name == found[2])
        ratios = [length(t, picture) / length(anchor, picture) for t in things if t is not anchor]
        assert all(not 0.81 < ratio < 1.24 for ratio in ratios), "no two sizes are close"
        return sum((ratio < 1) == (found[1] == "smaller") for ratio in ratios)
    if found := re.match(r"how many things are (\w+)\?", question):
        return sum(thing.colour == found[1] for thing in things)
    colour, name = re.match(r"how many: (\w+) (\w+)\?", question).groups()
    return sum((thing.colour, thing.name) == (colour, name) for thing in things)


def referring(sample):
    question, picture, things = sample.prompt[-1], sample.pictures[0], sample.scene.things
    if found := re.match(r"box of the (\w+) (left of|right of|above|below) the (\w+)\?", question):
        (anchor,) = (thing for thing in things if thing.name == found[3])
        (one,) = (t for t in things if t.name == found[1] and beside(t, anchor, found[2]))
        return one
    word, name = re.match(r"box of the (\w+) (\w+)\?", question).groups()
    named = [thing for thing in things if thing.name == name]
    assert len(named) > 1
    if word in ("largest", "smallest"):
        ordered = sorted(named, key=lambda t: length(t, picture), reverse=word == "largest")
        ratio = length(ordered[0], picture) / length(ordered[1], picture)
        assert max(ratio, 1 / ratio) > 1.25
        return ordered[0]
    if word in ("leftmost", "rightmost", "topmost", "lowest"):
        axis, last = int(word in ("topmost", "lowest")), word in ("rightmost", "lowest")
        ordered = sorted(named, key=lambda t: centre(t.box, axis), reverse=last)
        gap = ordered[1].box[axis] - ordered[0].box[axis + 2]
        assert (ordered[0].box[axis] - ordered[1].box[axis + 2] if last else gap) >= -1
        return ordered[0]
    (one,) = (thing for thing in named if thing.colour == word)
    return one


def test_counts_by_condition_follow_from_the_truth():
    for split in scenes.splits("count_where"):
        for sample in scenes.plans("count_where", split):
            assert count_where(sample) == int(sample.answer), sample.prompt[-1]


def test_one_thing_alone_is_referred_to():
    for split in scenes.splits("referring"):
        for sample in scenes.plans("referring", split):
            assert json.loads(sample.answer) == list(referring(sample).box)


def test_attributes_are_those_of_the_thing():
    for sample in scenes.plans("attributes", "test"):
        question, things = sample.prompt[-1], sample.scene.things
        name = re.search(r"is the (\w+)", question)[1]
        (one,) = (thing for thing in things if thing.name == name)
        if "colour" in question:
            assert one.colour == sample.answer
            assert [thing.colour for thing in things].count(one.colour) == 1
        elif "corner" in question:
            x, y = centre(one.box, 0), centre(one.box, 1)
            assert sample.answer == f"{'top' if y < 500 else 'bottom'} {'left' if x < 500 else 'right'}"
            assert min(x, 1000 - x) < 334 and min(y, 1000 - y) < 334, "it is in the corner, not in between"
        else:
            lengths = {thing.name: length(thing, sample.pictures[0]) for thing in things}
            own = lengths.pop(name)
            larger = [other for other in lengths.values() if other > 1.3 * own]
            smaller = [other for other in lengths.values() if own > 1.3 * other]
            assert (larger and not smaller) if sample.answer == "small" else (smaller and not larger)


def test_the_larger_is_larger_by_the_ratio():
    for ratio in (1.2, 1.8):
        for sample in scenes.plans("compare_size", "test", 100, ratio=ratio):
            shown = {t.name: length(t, sample.pictures[0]) for t in sample.scene.things}
            named = {name: shown[name] for name in sample.choices}
            small, large = sorted(named, key=named.get)
            assert sample.answer == (large if "larger" in sample.prompt[-1] else small)
            # A box is told in thousandths.
            assert named[large] >= 0.97 * ratio * named[small]


def opaque(sample):
    """The visible pixels of each thing as it is drawn."""
    return {
        thing.name: silhouette(layer.sprites, layer.row, layer.size, layer.flip).sum()
        for thing, layer in zip(sample.scene.things, sample.pictures[0].layers[0], strict=True)
    }


def test_the_larger_has_more_visible_pixels_too():
    for sample in scenes.plans("compare_size", "test", 100):
        seen = opaque(sample)
        small, large = sorted(sample.choices, key=seen.get)
        assert sample.answer == (large if "larger" in sample.prompt[-1] else small)
        assert seen[large] > 1.35 * seen[small]
    found = [s for s in scenes.plans("count_where", "test", 200) if s.truth["form"] in (4, 5)]
    for sample in found:
        seen = opaque(sample)
        own = seen.pop(sample.truth["words"][0])
        smaller = sum(1.1 * other < own for other in seen.values())
        larger = sum(other > 1.1 * own for other in seen.values())
        assert smaller + larger == len(seen)
        assert int(sample.answer) == (smaller if sample.truth["form"] == 4 else larger)
    assert len(found) > 25


def test_one_thing_has_the_same_colour():
    for sample in scenes.plans("compare_colour", "test"):
        name = re.search(r"colour as the (\w+):", sample.prompt[-1])[1]
        colours = {thing.name: thing.colour for thing in sample.scene.things}
        assert [n for n in colours if n != name and colours[n] == colours[name]] == [sample.answer]
        assert set(sample.choices) == set(colours) - {name}


def test_a_caption_fits_where_it_is_said_to():
    wrong = Counter()
    for sample in scenes.plans("matching", "test", 400):
        told = re.search(r'"(\w+) (\w+) (left of|above) (\w+) (\w+)"', sample.prompt[-1]).groups()
        found = {(thing.colour, thing.name): thing for thing in sample.scene.things}
        one, two = found.get(told[:2]), found.get(told[3:])
        fits = one is not None and two is not None and beside(one, two, told[2])
        assert sample.answer == ("yes" if fits else "no")
        wrong[sample.truth["wrong"]] += 1
        if sample.truth["wrong"].startswith("swapped"):
            assert {told[0], told[3]} == {thing.colour for thing in sample.scene.things if thing.colour}
    assert len(wrong) == 5


def test_one_thing_differs_between_two_pictures():
    changes = Counter()
    for sample in scenes.plans("spot_difference", "test"):
        first = {thing.box: thing for thing in sample.scene.things if thing.frame == 0}
        second = {thing.box: thing for thing in sample.scene.things if thing.frame == 1}
        gone = [
            list(box)
            for box, thing in first.items()
            if box not in second or (second[box].name, second[box].colour) != (thing.name, thing.colour)
        ]
        assert gone == [json.loads(sample.answer)]
        changes[sample.truth["change"]] += 1
    assert len(changes) == 3


def test_who_is_in_front_is_seen():
    """Drawn the other way round, every two of them look otherwise where they overlap."""
    from vlmloom.components.task.drawing import Drawing

    for sample in scenes.plans("depth_order", "test", 200)[:30]:
        (picture,) = sample.pictures
        layers = picture.layers[0]
        names = [thing.name for thing in sample.scene.things]
        assert sample.answer == ", ".join(reversed(names)) and sample.truth["order"] == names[::-1]
        before = picture.render()[0].astype(int)
        for one, other in combinations(range(len(layers)), 2):
            swapped = list(layers)
            swapped[one], swapped[other] = swapped[other], swapped[one]
            again = Drawing(picture.width, picture.height, picture.backdrop, (tuple(swapped),)).render()[0]
            changed = np.abs(again - before).max(axis=2) > 24
            assert changed.sum() > 0.02 * min(layers[one].size, layers[other].size) ** 2


def test_a_point_is_within_the_thing_and_no_other():
    for sample in scenes.plans("point", "test"):
        name = re.search(r"at the (\w+):", sample.prompt[-1])[1]
        x, y = json.loads(sample.answer)
        hit = [t.name for t in sample.scene.things if t.box[0] <= x <= t.box[2] and t.box[1] <= y <= t.box[3]]
        assert hit == [name] and sample.truth["box"] == next(
            thing.box for thing in sample.scene.things if thing.name == name
        )
    centre_hits = sum(
        scenes.task("point").check(sample, "[500,500]").value for sample in scenes.plans("point", "test")
    )
    assert centre_hits < 20, "the middle of the picture is no answer"


def test_all_of_two_names_are_to_be_found():
    task = scenes.task("detect")
    for sample in scenes.plans("detect", "test"):
        names = re.match(r"find every (\w+) and every (\w+):", sample.prompt[-1]).groups()
        gold = json.loads(sample.answer)
        boxes = sorted(list(thing.box) for thing in sample.scene.things if thing.name in names)
        assert sorted(one["bbox_2d"] for one in gold) == boxes and {one["label"] for one in gold} == {*names}
        assert any(thing.name not in names for thing in sample.scene.things)
        assert task.check(sample, "[]").value == 0
        if len(gold) > 2:
            assert 0 < task.check(sample, json.dumps(gold[:-1])).value < 1


def test_half_of_what_is_looked_at_for_damage_has_none_whatever_it_is():
    whole = [sample.answer == "[]" for sample in scenes.plans("anomaly", "train", 1000)]
    assert 0.45 < sum(whole) / len(whole) < 0.55


def test_damage_is_where_it_is_said_to_be():
    """The last picture differs from itself without the damage within the mask alone, and the box holds it."""
    from vlmloom.components.task.drawing import Drawing

    kinds = Counter()
    for sample in scenes.plans("anomaly", "train", 1000)[:120]:
        last = sample.pictures[-1]
        kinds[sample.truth["kind"]] += 1
        if not sample.truth["kind"]:
            assert sample.answer == "[]" and "mask" not in sample.truth
            continue
        height, width = sample.truth["mask"]["size"]
        counts = sample.truth["mask"]["counts"]
        flat = np.repeat(np.arange(len(counts)) % 2, counts)
        mask = flat.reshape(width, height).T.astype(bool)
        sound = Drawing(last.width, last.height, last.backdrop, (last.layers[0][:1],)).render()[0].astype(int)
        changed = np.abs(last.render()[0] - sound).max(axis=2) > 24
        assert not (changed & ~mask).any() and changed.sum() > 0.5 * mask.sum()
        (found,) = json.loads(sample.answer)
        x1, y1, x2, y2 = found["bbox_2d"]
        rows, columns = np.nonzero(mask)
        assert abs(columns.min() - x1 * width / 1000) < 1 and abs(columns.max() + 1 - x2 * width / 1000) < 1
        assert abs(rows.min() - y1 * height / 1000) < 1 and abs(rows.max() + 1 - y2 * height / 1000) < 1
        assert scenes.task("anomaly").check(sample, "[]").value == 0
        whole = '[{"label": "damage", "bbox_2d": [0, 0, 1000, 1000]}]'
        assert scenes.task("anomaly").check(sample, whole).value == 0
    assert len(kinds) == 5 and 40 < kinds[""] < 80


def test_captions_mention_what_is_there():
    task = scenes.task("describe")
    for sample in scenes.plans("describe", "train", 1000)[:150]:
        things, detailed = sample.scene.things, "detail" in sample.prompt[-1]
        said = [f"a {thing.colour} {thing.name}" for thing in things]
        beside = "left of" if "left of" in sample.prompt[-1] else "above"
        axis = int(beside == "above")
        if detailed:
            assert all(one.box[axis + 2] <= other.box[axis] + 1 for one, other in pairwise(things))
            assert len(sample.truth["attributes"]) == 2 * len(things) - 1
            plain = ". ".join(f"{one} {beside} {other}" for one, other in pairwise(said))
            wrong = ". ".join(f"{other} {beside} {one}" for one, other in pairwise(said))
        else:
            plain, wrong = ", ".join(said), ", ".join(said[1:])
        assert task.check(sample, plain).value == 1, plain
        assert task.check(sample, wrong).value <= 2 / 3
        everything = ", ".join(entry.name for entry in VOCABULARY)
        assert task.check(sample, everything).value == 0


def test_neighbours_are_of_one_group_and_no_name_holds_another():
    group = {code: group for group, codes in NEIGHBOURS.items() for code in codes}
    assert len(group) == sum(map(len, NEIGHBOURS.values())) > 250
    codes = {entry.name: entry.code for entry in scenes.task("fine_grained_choice").entries}
    for split in scenes.splits("fine_grained_choice"):
        for sample in scenes.plans("fine_grained_choice", split):
            assert len({group[codes[name]] for name in sample.choices}) == 1
            words = [set(name.split()) for name in sample.choices]
            assert not any(one <= other for one in words for other in words if one is not other)
            assert sample.scene.things[0].name == sample.answer


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name not in ("fine_grained_choice", "depth_order")]
)
def test_boxes_hold_what_is_drawn(name):
    for sample in scenes.plans(name, "train")[:25]:
        for number, picture in enumerate(sample.pictures):
            scenes.check_boxes(picture, [thing for thing in sample.scene.things if thing.frame == number])


HARDER = [
    ("fine_grained_choice", {"options": 2}, {"options": 6}),
    ("attributes", {"things": 2}, {"things": 9}),
    ("count_where", {"things": 2}, {"things": 8}),
    ("referring", {"things": 3}, {"things": 8}),
    ("spot_difference", {"things": 2}, {"things": 9}),
    ("compare_colour", {"options": 2}, {"options": 6}),
    ("matching", {"others": 0}, {"others": 5}),
    ("depth_order", {"things": 2}, {"things": 4}),
    ("point", {"things": 2}, {"things": 8}),
    ("describe", {"things": 2}, {"things": 4}),
    ("detect", {"things": 3}, {"things": 8}),
]


@pytest.mark.parametrize(("name", "easy", "hard"), HARDER)
def test_the_knob_makes_items_harder(name, easy, hard):
    """More to choose from, or more things among which to look."""

    def measure(settings):
        samples = scenes.plans(name, "test", 30, **settings)
        assert set(settings) == {scenes.task(name).knob}
        return sum(len(sample.choices) + len(sample.scene.things) for sample in samples)

    assert measure(hard) > 1.4 * measure(easy)


def test_less_damage_is_harder():
    areas = [
        sum(
            sum(sample.truth["mask"]["counts"][1::2])
            for sample in scenes.plans("anomaly", "test", 40, extent=extent)
            if sample.truth["kind"]
        )
        for extent in (0.15, 0.45)
    ]
    assert areas[0] < 0.3 * areas[1]


@pytest.mark.parametrize("side", [64, 96, 192])
@pytest.mark.parametrize("name", NAMES)
def test_other_sides_work(name, side):
    from vlmloom.components.task.mixture import world_of
    from vlmloom.registry import build

    world = world_of(shift=[], side=side, things=64)
    task = build({"use": f"task/{name}"}, world=world)
    for index in range(6):
        sample = task.plan("train", index)
        assert task.check(sample, sample.answer).value == 1
        assert all(min(p.render().shape[1:3]) == side for p in sample.pictures)


@pytest.mark.parametrize("language", ["es", "de", "zh"])
@pytest.mark.parametrize("name", NAMES)
def test_items_in_other_languages_differ_by_their_words_alone(name, language):
    questions = set()
    task = scenes.task(name, language=language)
    english = scenes.plans(name, "test", 24)
    for one, two in zip(english, scenes.plans(name, "test", 24, language=language), strict=True):
        assert one.scene == two.scene and one.prompt[-1] != two.prompt[-1]
        assert not re.search(r"\{\d", two.prompt[-1])
        if name == "describe":
            assert all(any(word in two.answer for word in words) for words in two.truth["attributes"])
        elif name == "detect":
            told = [task.words[thing["label"]] for thing in json.loads(one.answer)]
            assert [thing["label"] for thing in json.loads(two.answer)] == told
        else:
            assert two.answer == ", ".join(task.words.get(word, word) for word in one.answer.split(", "))
        assert len(set(two.choices)) == len(one.choices)
        assert task.check(two, two.answer).value == 1
        questions.add(two.prompt[-1])
    assert len(questions) > 5 or name in ("spot_difference", "describe")


@pytest.mark.parametrize(
    ("name", "settings", "line"),
    [
        ("fine_grained_choice", {"options": 1}, "task/fine_grained_choice: options is 1; 2 to 7, of which"),
        ("attributes", {"things": 1}, "task/attributes: things is 1, but a picture takes 2 to 9"),
        ("count_where", {"things": 9}, "task/count_where: things is 9, but a picture takes 2 to 8"),
        ("compare_size", {"ratio": 1}, "task/compare_size: ratio is 1.0; 1.15 to 2 would be right"),
        ("compare_size", {"others": 8}, "task/compare_size: others is 8; 0 to 7 would be right"),
        ("compare_colour", {"options": 9}, "task/compare_colour: options is 9; 2 to 8"),
        ("depth_order", {"things": 5}, "task/depth_order: things is 5, but a picture takes 2 to 4"),
        ("anomaly", {"extent": 0.9}, "task/anomaly: extent is 0.9; 0.12 to 0.5 would be right"),
        ("matching", {"others": 6}, "task/matching: others is 6; 0 to 5 would be right"),
    ],
)
def test_impossible_settings(name, settings, line):
    scenes.refused(name, settings, line)
