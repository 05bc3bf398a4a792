"""The nano suite as a mixture, its settings, and the world behind it."""

import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from vlmloom import registry
from vlmloom.components.source.openmoji import OpenMoji
from vlmloom.components.source.photos import Photos
from vlmloom.components.task.draw import Draw, stable_hash
from vlmloom.components.task.drawing import Backdrop, tinted
from vlmloom.components.task.perception.count import Count
from vlmloom.components.task.perception.name import Name
from vlmloom.components.task.suite import NANO, Nano
from vlmloom.components.task.vocabulary import CATEGORIES, VOCABULARY


def test_the_mixture_is_pure_and_even(suite):
    names = Counter(suite.plan("train", index).task for index in range(3000))
    assert set(names) == set(NANO) and len(NANO) >= 14
    assert max(names.values()) < 1.4 * 3000 / len(NANO) and min(names.values()) > 0.6 * 3000 / len(NANO)
    sample, again = suite.plan("test", 17), suite.plan("test", 17)
    assert (sample.task, sample.prompt[-1], sample.scene) == (again.task, again.prompt[-1], again.scene)
    assert suite.check(sample, sample.answer).value == 1


def test_weights_change_the_mixture(suite):
    heavy = Nano(weights={name: 0 for name in NANO if name not in ("name", "count")} | {"name": 3}, shift=[])
    names = Counter(heavy.plan("train", index).task for index in range(400))
    assert set(names) == {"name", "count"} and 0.65 < names["name"] / 400 < 0.85


def test_another_seed_is_another_world():
    one, other = Nano(shift=[]), Nano(shift=[], seed=1)
    assert [one.plan("train", i).scene for i in range(9)] != [other.plan("train", i).scene for i in range(9)]


def test_without_other_styles_only_writing_shifts():
    suite = Nano(shift=[])
    assert set(suite.splits()["shift"]) == {"read", "table_cell"}
    with pytest.raises(ValueError, match="task name has no shift split here; it has train, validation, test"):
        suite.tasks["name"].plan("shift", 0)
    alone = Nano(shift=[], tasks={"name": Name})
    with pytest.raises(
        ValueError, match="suite/nano has no shift split here; it has train, validation, test"
    ):
        alone.plan("shift", 0)
    with pytest.raises(ValueError, match="split 'dev' is unknown; splits are train, validation, test"):
        suite.tasks["name"].plan("dev", 0)


def test_a_style_that_is_not_installed_says_so(tmp_path):
    node = {"use": "suite/nano", "shift": [{"use": "source/noto_emoji", "folder": str(tmp_path)}]}
    suite = registry.build(node)
    assert suite.availability()["source/noto_emoji"].startswith("source/noto_emoji: npm pack")
    assert suite.availability()["source/openmoji"] == "ready"
    assert "name" not in suite.splits()["shift"]
    suite.prepare()


def test_the_suite_written_out_is_the_default():
    composed = registry.compose(Path(registry.__file__).parents[1] / "configs/suites/nano.yaml")
    written, default = registry.build(composed.node if hasattr(composed, "node") else composed), Nano()
    for split in ("train", "compositional"):
        for index in range(40):
            one, other = written.plan(split, index), default.plan(split, index)
            assert (one.task, one.prompt[-1], one.scene) == (other.task, other.prompt[-1], other.scene)


def test_a_task_twice_under_two_names_draws_two_streams():
    suite = Nano(shift=[], tasks={"few": lambda world: Count(world=world, largest=2), "many": Count})
    few = [suite.tasks["few"].plan("train", index) for index in range(50)]
    assert {sample.task for sample in few} == {"few"} and {sample.answer for sample in few} == {"1", "2"}
    assert suite.check(few[0], few[0].answer).value == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"things": 99}, "things is 99, but the vocabulary takes 4 to 64"),
        ({"colours": 1}, "colours is 1, but there are 2 to 8"),
        ({"held_out": 1}, "held_out is 1, but at least every second pair"),
        ({"side": 50}, "side is 50, but pictures are 48 to 4096 pixels wide, a multiple of 16"),
        ({"weights": {"nam": 1}}, "weights has 'nam', but tasks are name, category"),
        ({"weights": {"name": -1}}, "weights.name is -1, but a share is 0 or more"),
        ({"tasks": {"name": Name}, "weights": {"name": 0}}, "all weights are 0"),
        ({"tasks": {}}, "tasks is empty; it needs at least one"),
        ({"tasks": {"c": lambda world: Count(world=world, largest=9)}}, "largest is 9 and others 1"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ValueError) as caught:
        Nano(shift=[], **settings)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("task", "settings", "message"),
    [
        ("choice", {"options": 1}, "task/choice: options is 1, but may be 2 to 32"),
        ("box", {"overlap": 0}, "task/box: overlap is 0"),
        ("box", {"alone": 2}, "task/box: alone is 2"),
        ("odd_one_out", {"alike": 5}, "task/odd_one_out: alike is 5"),
        ("read", {"longest": 1}, "task/read: 0 words have 1 letters or fewer"),
        ("bar_value", {"most": 9}, "task/bar_value: 3 to 9 bars, but may be 1 to 6"),
        ("table_cell", {"columns": 1}, "task/table_cell: 2 rows, 1 columns"),
        ("order", {"frames": 1}, "task/order: frames is 1, but a clip has 2 to 8"),
        ("arithmetic", {"operations": "*"}, "task/arithmetic: operations is '*'"),
        ("arithmetic", {"largest": 1}, "task/arithmetic: largest is 1"),
    ],
)
def test_impossible_tasks(suite, task, settings, message):
    with pytest.raises(ValueError) as caught:
        NANO[task](world=suite.world, **settings)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("task", "lacks"), [("read", "fonts"), ("digit", "photos"), ("bar_value", "tables")])
def test_a_task_names_the_source_that_it_lacks(suite, task, lacks, monkeypatch):
    monkeypatch.setattr(suite.world, lacks, None)
    with pytest.raises(
        ValueError, match=f"task/{task}: the suite has no {lacks}; give it `{lacks}: {{use: source/"
    ):
        NANO[task](world=suite.world)


def test_larger_settings_work():
    suite = Nano(shift=[], things=64, colours=8, side=96, square_share=0.0, photo_share=1.0)
    for name, task in suite.tasks.items():
        for index in range(5):
            sample = task.plan("train", index)
            assert task.check(sample, sample.answer).value == 1
            for picture in sample.pictures:
                assert picture.render().shape[1:3] == (picture.height, picture.width)
                assert name in ("order", "table_cell") or max(picture.height, picture.width) == 144


def test_a_photograph_fills_the_picture_behind_the_things():
    photo = np.full((40, 50, 3), 9, np.uint8)
    for width, height in ((30, 20), (64, 96), (96, 30)):
        canvas = Backdrop((255, 255, 255), photo, "dark").canvas(height, width)
        assert canvas.shape == (height, width, 3) and (canvas == 127 + 4).all()


def test_the_suite_travels_to_a_worker(suite):
    copy = pickle.loads(pickle.dumps(Nano(shift=[])))
    sample, other = suite.tasks["name"].plan("train", 5), copy.tasks["name"].plan("train", 5)
    assert np.array_equal(sample.pictures[0].render(), other.pictures[0].render())


def test_the_vocabulary_is_balanced_and_drawn_unlike(suite):
    assert len({entry.name for entry in VOCABULARY}) == len(VOCABULARY) == 64
    assert set(Counter(entry.category for entry in VOCABULARY[:32]).values()) == {4} and len(CATEGORIES) == 8
    full = Nano(shift=[], things=64, sprites=OpenMoji(), photos=Photos()).world.style
    pixels = {entry.name: full.sprites.pixels[full.rows[entry.name]].astype(int) for entry in full.entries}
    names = list(pixels)
    closest = min(
        np.abs(pixels[one] - pixels[other]).mean()
        for number, one in enumerate(names)
        for other in names[:number]
    )
    assert closest > 10


def test_hues_are_told_apart(suite):
    sprite = np.asarray(suite.world.style.sprites.pixels[suite.world.style.rows["dog"]])
    means = [
        tinted(sprite, hue)[sprite[..., 3] > 127][:, :3].mean(axis=0) for hue in suite.world.colours.values()
    ]
    for number, one in enumerate(means):
        assert all(np.abs(one - other).max() > 30 for other in means[:number])


def test_draws_are_fixed_for_good_and_even():
    draw = Draw(0, "name", "train", 7)
    assert [draw.below(1000) for _ in range(4)] == FIXED
    assert stable_hash("a", 1) == HASHED
    draw = Draw("even")
    counts = Counter(draw.below(10) for _ in range(20000))
    assert max(counts.values()) < 2200 and min(counts.values()) > 1800
    items = list(range(10))
    firsts = Counter(draw.sample(items, 3)[0] for _ in range(5000))
    assert items == list(range(10)) and max(firsts.values()) < 620
    assert sum(draw.chance(0.3) for _ in range(10000)) / 10000 == pytest.approx(0.3, abs=0.03)


FIXED = [498, 777, 702, 659]
HASHED = 13924241962069754241


def test_the_corpus_covers_what_is_asked(suite):
    corpus = set(suite.text_corpus(600))
    for index in range(100):
        sample = suite.plan("train", index)
        assert {sample.prompt[-1], sample.answer} <= corpus


def test_a_drawing_of_one_shade_wears_the_hue_itself():
    """At half its light, an orange snowflake would be a brown one."""
    flake = np.zeros((8, 8, 4), np.uint8)
    flake[2:6, 2:6] = (0, 0, 0, 255)
    assert (tinted(flake, (250, 130, 10))[2:6, 2:6, :3] == (250, 130, 10)).all()
    flake[3:5, 3:5, :3] = 255
    shaded = tinted(flake, (250, 130, 10))
    assert tuple(shaded[2, 2, :3]) == (125, 65, 5) and tuple(shaded[3, 3, :3]) == (250, 130, 10)
