"""Clips: pure, distinct and fair items on exact tracks, of which the truth tells the one answer."""

import json
import re
from collections import Counter
from itertools import pairwise

import pytest
import scenes

from vlmloom.components.contracts.sample import Sample, Scene
from vlmloom.registry import build

NAMES = [
    "motion_direction",
    "count_over_time",
    "needle",
    "event_summary",
    "event_order",
    "temporal_grounding",
    "track",
]
CHOSEN = ["motion_direction", "count_over_time", "needle"]


def test_items_are_the_same_in_another_process_under_another_hash_seed():
    assert scenes.digests_elsewhere(NAMES, "2") == {name: scenes.digest(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_thousand_items_are_distinct(name):
    items = {(sample.prompt[-1], sample.pictures[0].key) for sample in scenes.plans(name, "train", 1000)}
    assert len(items) == 1000


@pytest.mark.parametrize("name", NAMES)
def test_no_scene_is_in_two_splits(name):
    keys = [{sample.scene.key for sample in scenes.plans(name, split, 120)} for split in scenes.splits(name)]
    assert len(set.union(*keys)) == sum(map(len, keys)) and len(keys) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_gold_is_right_and_nothing_is_wrong(name):
    task = scenes.task(name)
    for split in scenes.splits(name):
        for sample in scenes.plans(name, split, 120)[:60]:
            assert task.check(sample, sample.answer).value == 1
            assert task.check(sample, "").value == 0
            for choice in sample.choices:
                assert task.check(sample, choice).value == float(choice == sample.answer)


@pytest.mark.parametrize("name", CHOSEN)
def test_guessing_gains_nothing(name):
    samples = scenes.plans(name, "train", 1000)
    chance = 1 / len(samples[0].choices)
    assert Counter(sample.answer for sample in samples).most_common(1)[0][1] < (1.25 * chance + 0.02) * 1000


@pytest.mark.parametrize("name", NAMES)
def test_clips_are_as_planned(name):
    for sample in scenes.plans(name, "train", 1000)[:12]:
        (clip,) = sample.pictures
        pixels = clip.render()
        assert pixels.shape == (clip.frames, clip.height, clip.width, 3)
        assert clip.times == scenes.task(name).times and len(clip.times) == clip.frames
        assert all(one < two for one, two in pairwise(clip.times))
        for frame in range(0, clip.frames, 3):
            here = [thing for thing in sample.scene.things if thing.frame == frame]
            # A parcel lies over its bearer, and a person before a place: their boxes need not be tight.
            slack = clip.width if name == "event_summary" else 2
            scenes.check_boxes(clip, here, frame, slack)


def track(sample, name):
    return [thing for thing in sample.scene.things if thing.name == name]


def test_a_thing_moves_as_it_is_said_to():
    for sample in scenes.plans("motion_direction", "test"):
        name = re.search(r"does the (\w+) move", sample.prompt[-1])[1]
        ways = {}
        for other in {thing.name for thing in sample.scene.things}:
            boxes = [thing.box for thing in track(sample, other)]
            assert len(boxes) == sample.pictures[0].frames
            dx, dy = boxes[-1][0] - boxes[0][0], boxes[-1][1] - boxes[0][1]
            assert min(abs(dx), abs(dy)) <= 2
            ways[other] = (
                "left" if dx < -2 else "right" if dx > 2 else "up" if dy < -2 else "down" if dy > 2 else ""
            )
        assert ways.pop(name) == sample.answer and sample.answer not in ways.values()


def test_appearances_are_counted():
    for sample in scenes.plans("count_over_time", "test"):
        name = re.search(r"does the (\w+) appear", sample.prompt[-1])[1]
        frames = sorted(thing.frame for thing in track(sample, name))
        runs = 1 + sum(two > one + 1 for one, two in pairwise(frames))
        assert runs == int(sample.answer)
        assert max(Counter(thing.frame for thing in sample.scene.things).values()) == 1


def test_things_appear_in_the_order_that_is_said():
    orders = Counter()
    for sample in scenes.plans("event_order", "train", 1000)[:300]:
        first = {}
        for thing in sample.scene.things:
            first.setdefault(thing.name, thing.frame)
        ordered = sorted((name for name in first if first[name]), key=first.get)
        assert sample.answer == ", ".join(ordered) and len(set(first.values())) == len(first) == 4
        asked = re.search(r"between: (.*)\?", sample.prompt[-1])[1].split(", ")
        orders[tuple(asked.index(name) for name in ordered)] += 1
    assert len(orders) == 6 and max(orders.values()) < 1.5 * 50


def test_a_thing_is_there_when_it_is_said_to_be():
    task = scenes.task("temporal_grounding")
    for sample in scenes.plans("temporal_grounding", "train", 1000)[:200]:
        name = re.search(r"is the (\w+) there", sample.prompt[-1])[1]
        times = [sample.pictures[0].times[thing.frame] for thing in track(sample, name)]
        assert json.loads(sample.answer) == [min(times), max(times)]
        assert len(times) == (max(times) - min(times)) * task.rate + 1, "without a gap"
        whole = f"[0,{sample.pictures[0].times[-1]}]"
        assert task.check(sample, whole).value == 0
    samples = scenes.plans("temporal_grounding", "train", 1000)
    swapped = zip(samples, reversed(samples), strict=True)
    assert sum(task.check(one, other.answer).value for one, other in swapped) < 0.2 * len(samples)


def test_a_thing_is_followed_second_by_second():
    task = scenes.task("track")
    for sample in scenes.plans("track", "train", 1000)[:200]:
        name = re.search(r"box of the (\w+) at", sample.prompt[-1])[1]
        boxes = {sample.pictures[0].times[thing.frame]: thing.box for thing in track(sample, name)}
        found = json.loads(sample.answer)
        assert set(found) == {f"{time:g}" for time in boxes if time % 1 == 0} and len(found) == 4
        assert all(found[key] == [{"label": name, "bbox_2d": list(boxes[float(key)])}] for key in found)
        still = {key: found["0"] for key in found}
        assert task.check(sample, json.dumps(still)).value < 1, "it has moved"


def test_the_needle_is_in_one_frame():
    for sample in scenes.plans("needle", "test"):
        shown = Counter(thing.name for thing in sample.scene.things)
        assert [name for name, count in shown.items() if count == 1] == [sample.answer]
        assert set(shown) < set(sample.choices) and max(shown.values()) == sample.pictures[0].frames
        (one,) = track(sample, sample.answer)
        assert one.frame == sample.truth["frame"]


def test_a_delivery_is_one_only_with_a_truck():
    events = Counter()
    for sample in scenes.plans("event_summary", "test", 120):
        title = json.loads(sample.answer)["title"]
        things = {thing.name: thing.category for thing in sample.scene.things}
        place = next(name for name, category in things.items() if category == "place")
        moved = [name for name in things if len({thing.box for thing in track(sample, name)}) > 1]
        if title == "No activity":
            assert not moved and len(things) == 1
        else:
            assert place in title and 2 <= len(title.split()) <= 5
            assert title.startswith("Delivery") == ({"parcel", "delivery truck"} <= set(things))
            kinds = {things[name] for name in moved} - {"parcel"}
            assert len(kinds) == 1 and (title.startswith("Delivery") or kinds.pop() in title.lower())
        events[title.split()[0]] += 1
    assert set(events) == {"No", "Person", "Vehicle", "Animal", "Delivery"}


def judged(told, response):
    verifier = build({"use": "reward/event_summary", "on_error": "raise"})
    return verifier.judge(
        Sample("event_summary", "test", 0, [""], "", Scene(""), truth={"event": told}), [response]
    )[0]


TOLD = {
    "title": [["animal", "dog"], ["door"]],
    "describes": [["dog", "animal"], ["door"]],
    "excludes": ["person", "house"],
}


@pytest.mark.parametrize(
    ("title", "description", "value"),
    [
        ("Animal at door", "A dog walks to the door.", 1),
        ("Dog at the door", "A dog comes. It waits at the door.", 1),
        ("Animal", "A dog walks to the door.", 0.5),
        ("An animal that comes to the door", "A dog walks to the door.", 0.5),
        ("Animal at house door", "A dog walks to the door.", 0.5),
        ("Animal at door", "A dog walks.", 0.5),
        ("Animal at door", "A dog or person walks to the door.", 0.5),
        ("Animal at door", "A dog was at the door.", 0.5),
        ("Animal at door", "The blurry footage shows a dog at the door.", 0.5),
        ("Animal at door", "A dog. A door. It waits.", 0.5),
        ("No activity", "Nothing moves.", 0),
        ("No animal at door", "No animal walks to the door.", 0),
        ("Animal at door", "No dog is at the door.", 0.5),
        ("Animal at door", "animal door.", 0.5),
        ("Dog approaching the door", "A small dog is walking up to the front steps of the door.", 1),
        ("Animal at door", "There is a dog at the door, waiting patiently.", 1),
        ("Door eats dog", "The door eats the dog.", 0),
        ("Door animal", "dog door is.", 0),
        ("Dog bites door", "A dog burns down the door.", 0),
        ("Animal at door", "A dog walks to the door; a lion is dancing.", 0.5),
        ("Animal at door", "A lion stands by while a dog walks to the door.", 0.5),
        ("Dog leaves door", "A dog runs away from the door.", 0),
    ],
)
def test_summaries_are_judged_by_their_rules(title, description, value):
    assert judged(TOLD, json.dumps({"title": title, "description": description})).value == value


@pytest.mark.parametrize(
    "response",
    [
        "",
        "No activity",
        "[]",
        '{"title": "Animal at door"}',
        '{"title": 1, "description": "A dog walks to the door."}',
        '{"title": "Animal at door", "description": "A dog walks to the door.", "reason": "dog"}',
        'Wrong: {"title": "Animal at door", "description": "A dog walks to the door."}',
        '{"title": "x", "title": "Animal at door", "description": "A dog walks to the door."}',
        "[" * 50_000,
    ],
)
def test_what_is_no_summary_is_worth_nothing(response):
    assert judged(TOLD, response).value == 0


def test_an_empty_clip_has_one_title():
    told = {"title": "No activity", "describes": [["door"]], "excludes": ["person"]}
    assert judged(told, '{"title": "No activity", "description": "Nothing moves at the door."}').value == 1
    assert judged(told, '{"title": "No activity", "description": "No person is at the door."}').value == 1
    assert judged(told, '{"title": "No activity", "description": "A person is at the door."}').value == 0.5
    assert judged(told, '{"title": "No activity", "description": "A lion waits at the door."}').value == 0.5
    assert judged(told, '{"title": "No activity", "description": "The door is quiet."}').value == 1
    assert judged(told, '{"title": "Quiet door", "description": "Nothing moves at the door."}').value == 0.5


@pytest.mark.parametrize(
    ("name", "easy", "hard", "measure"),
    [
        ("motion_direction", {"others": 0}, {"others": 3}, lambda s: len({t.name for t in s.scene.things})),
        ("count_over_time", {"largest": 2}, {"largest": 5}, lambda s: len(s.choices)),
        ("order", {"alone": 3}, {"alone": 1}, lambda s: len(s.scene.things)),
        ("event_order", {"events": 2}, {"events": 5}, lambda s: s.answer.count(",")),
        ("temporal_grounding", {"frames": 8}, {"frames": 32}, lambda s: s.pictures[0].frames),
        ("track", {"others": 0}, {"others": 2}, lambda s: len(s.scene.things)),
        ("needle", {"frames": 16}, {"frames": 48}, lambda s: s.pictures[0].frames),
        # An event that is there for fewer frames is easier to miss.
        (
            "event_summary",
            {"lasting": 8},
            {"lasting": 2},
            lambda s: -len({t.frame for t in s.scene.things if t.category != "place"}),
        ),
    ],
)
def test_the_knob_makes_items_harder(name, easy, hard, measure):
    assert set(easy) == {scenes.task(name).knob}
    sums = [sum(map(measure, scenes.plans(name, "test", 25, **settings))) for settings in (easy, hard)]
    assert sums[0] < sums[1]


@pytest.mark.parametrize("name", NAMES)
def test_small_pictures_work(name):
    from vlmloom.components.task.mixture import world_of

    task = build({"use": f"task/{name}"}, world=world_of(shift=[], side=64))
    for index in range(4):
        sample = task.plan("train", index)
        assert task.check(sample, sample.answer).value == 1
        assert sample.pictures[0].render().shape[1:3] == (64, 64)


@pytest.mark.parametrize(
    ("name", "settings", "line"),
    [
        ("motion_direction", {"frames": 3}, "task/motion_direction: frames is 3; 4 to 64 would be right"),
        ("motion_direction", {"others": 4}, "task/motion_direction: others is 4; 0 to 3 would be right"),
        ("count_over_time", {"largest": 9}, "task/count_over_time: largest is 9; 2 to 5 (one in three"),
        ("order", {"alone": 4}, "task/order: alone is 4; 1 to 3 of 4 frames would be right"),
        ("event_order", {"events": 6}, "task/event_order: events is 6; 2 to 5 would be right"),
        ("temporal_grounding", {"others": 5}, "task/temporal_grounding: others is 5; 0 to 4 would be"),
        ("track", {"others": 3}, "task/track: others is 3; 0 to 2 would be right"),
        ("needle", {"rate": 0}, "task/needle: rate is 0; 1 to 30 frames a second would be right"),
        ("event_summary", {"lasting": 9}, "task/event_summary: lasting is 9; 1 to 8 frames would be right"),
    ],
)
def test_impossible_settings(name, settings, line):
    scenes.refused(name, settings, line)
