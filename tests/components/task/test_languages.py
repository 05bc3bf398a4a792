"""Perception in other languages: the same items in other words, answers in the language, judged in it."""

import re

import numpy as np
import pytest

from vlmloom.components.task.perception.asked import PerceptionTask
from vlmloom.components.task.suite import NANO, Nano

LANGUAGES = ("es", "de", "zh")
SPOKEN = [name for name, task in NANO.items() if issubclass(task, PerceptionTask)]
ARTICLE = {"es": "La", "de": "Ein"}


@pytest.fixture(scope="module")
def world():
    return Nano(things=64, colours=8, shift=[]).world


def test_perception_of_the_nano_suite_speaks():
    assert set(SPOKEN) == {
        "name", "category", "choice", "count", "relation", "box", "odd_one_out", "colour", "which_image"
    }  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_thing_colour_and_kind_has_its_own_word(world, language):
    words = world.words(language)
    for known in (
        [entry.name for entry in world.vocabulary],
        list(world.colours),
        list(world.categories),
        ["left", "right", "above", "below"],
    ):
        assert len({words[english].casefold() for english in known}) == len(known)
    assert world.words("en") == {}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", SPOKEN)
def test_items_differ_by_their_words_alone(world, name, language):
    english, other = NANO[name](world=world), NANO[name](world=world, language=language)
    words = world.words(language)
    questions = set()
    for index in range(40):
        one, two = english.plan("test", index), other.plan("test", index)
        assert one.scene == two.scene and one.pictures[0].key == two.pictures[0].key
        assert two.answer == words.get(one.answer, one.answer)
        assert two.choices == tuple(words.get(choice, choice) for choice in one.choices)
        assert one.prompt[-1] != two.prompt[-1] and not re.search(r"\{|\}", two.prompt[-1])
        for thing in one.scene.things:
            if re.search(rf"\b{thing.name}\b", one.prompt[-1]):
                assert words[thing.name] in two.prompt[-1]
        article = "" if name in ("box", "count") else ARTICLE.get(language, "")
        said = f" {article} {two.answer.upper()}. "
        assert other.check(two, said).value == 1
        assert other.check(two, "").value == 0
        assert all(other.check(two, choice).value == (choice == two.answer) for choice in two.choices)
        questions.add(two.prompt[-1])
    assert name in ("name", "category", "colour", "odd_one_out") or len(questions) > 5


def test_a_suite_pairs_a_category_with_itself_in_another_language():
    suite = Nano(
        shift=[],
        tasks={"name": NANO["name"], "name_zh": lambda world: NANO["name"](world=world, language="zh")},
    )
    one, two = (suite.tasks[name].plan("test", 3) for name in ("name", "name_zh"))
    assert one.scene == two.scene and one.answer != two.answer
    assert np.array_equal(one.pictures[0].render(), two.pictures[0].render())


@pytest.mark.parametrize("name", ["name", "category", "colour", "which_image", "relation"])
def test_smaller_things_are_smaller(world, name):
    def areas(smallest):
        task = NANO[name](world=world, smallest=smallest)
        things = [thing for index in range(40) for thing in task.plan("train", index).scene.things]
        return sum((t.box[2] - t.box[0]) * (t.box[3] - t.box[1]) for t in things) / len(things)

    assert NANO[name].knob == "smallest" and areas(12) < 0.93 * areas(28)
    with pytest.raises(ValueError, match=f"task/{name}: smallest is 8; 12 to "):
        NANO[name](world=world, smallest=8)


def test_an_unknown_language_is_refused(world):
    line = "task/name: language is 'eo'; one of en, es, de, zh would be right"
    with pytest.raises(ValueError, match=line):
        NANO["name"](world=world, language="eo")
