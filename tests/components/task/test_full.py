"""Every category by itself: found by family, left out where something is missing, in both answer formats."""

import pickle
import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from vlmloom import registry
from vlmloom.components.contracts.suite import FAMILIES, Suite
from vlmloom.components.task.boxed import boxed
from vlmloom.components.task.folder import FolderTask
from vlmloom.components.task.full import Full
from vlmloom.components.task.perception.count import Count
from vlmloom.components.task.suite import Nano
from vlmloom.registry import build, catalog, compose
from vlmloom.registry.errors import UserError
from vlmloom.registry.walk import check


@pytest.fixture(scope="module")
def full():
    suite = Full(shift=[])
    suite.prepare()
    return suite


def test_every_registered_task_of_a_family_is_there_or_said_to_lack_something(full):
    entries = [entry for entry in catalog().list("task") if entry.family]
    assert {entry.family for entry in entries} <= set(FAMILIES)
    for entry in entries:
        name = entry.name.partition("/")[2]
        assert name in full.tasks or full.availability()[entry.name] != "ready", entry.name
        if name in full.tasks:
            assert full.tasks[name].family == entry.family, f"{entry.file}: its folder is {entry.family}"


def test_every_question_says_what_may_be_answered():
    """A model that was not trained on these tasks cannot know the names, the scale, or the order of a box."""
    suite = Full(shift=[], languages=("en", "zh", "es", "de"), families=["perception", "documents"])
    told = set()
    for name, task in suite.tasks.items():
        sample = task.plan("test", 1)
        question = sample.prompt[-1]
        if task.judge()["use"] == "reward/box":
            assert "[x1,y1,x2,y2]" in question, name
        elif task.judge()["use"] in ("reward/exact", "reward/number") and sample.choices and name != "read":
            numbers = all(choice.isdecimal() for choice in sample.choices)
            known = (sample.choices[0], sample.choices[-1]) if numbers else sample.choices
            assert all(choice in question for choice in known), name
            told.add(name.partition("_")[0])
    assert {"name", "category", "colour", "count", "relation", "odd", "which", "bar", "table"} <= told
    assert Nano(shift=[]).tasks["box"].plan("test", 1).prompt[-1].endswith("?")


def test_families_are_chosen_and_tasks_named(full):
    video = Full(families=["video"], shift=[], tasks={"few": lambda world: Count(world=world, largest=2)})
    assert "order" in video.tasks and "few" in video.tasks and "count" not in video.tasks
    assert {video.tasks["few"].plan("train", index).answer for index in range(20)} == {"1", "2"}
    assert video.world.side == 128 and len(video.world.vocabulary) == 64 and len(video.world.colours) == 8
    assert "order" not in Full(families=["video", "perception"], without=["order"], shift=[]).tasks


def test_a_task_that_lacks_its_source_is_left_out_and_told():
    def lacking(world):
        raise UserError("task/lacking: pip install something")

    suite = Full(families=[], tasks={"lacking": lacking, "count": Count}, weights={"lacking": 2}, shift=[])
    assert list(suite.tasks) == ["count"]
    assert suite.availability()["task/lacking"] == "task/lacking: pip install something"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"families": ["vision"]}, "families has 'vision'; families are perception, documents"),
        ({"families": ["video"], "without": ["dance"]}, "without has 'dance', but tasks are .*order"),
        ({"languages": []}, r"languages is empty; \[en\] would be right"),
        ({"families": []}, "suite/full: tasks is empty"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        Full(shift=[], **settings)


def test_what_needs_more_than_a_world_is_for_the_user_to_name(full):
    assert "folder" not in full.tasks and FolderTask.registered_name == "task/folder"


def test_every_suite_of_the_package_builds():
    names = {}
    for family in (*FAMILIES, "text", "full"):
        try:
            names[family] = set(build(compose(f"suites/{family}")).tasks)
        except Exception as error:
            # A family whose tasks all lack a package has nothing to mix.
            assert "tasks is empty" in str(error), error
            names[family] = set()
    assert names["perception"] >= {"box", "count"} and names["video"] >= {"order"}
    assert names["full"] >= set().union(*(names[family] for family in (*FAMILIES, "text")))


def test_text_has_no_pictures():
    suite = build(compose("suites/text"))
    assert suite.tasks and not any(suite.tasks[name].plan("test", 0).pictures for name in suite.tasks)


def test_a_suite_can_be_pickled_with_its_languages():
    suite = pickle.loads(pickle.dumps(Full(families=["video"], shift=[])))
    assert suite.plan("test", 3).answer == Full(families=["video"], shift=[]).plan("test", 3).answer


def test_the_gold_answer_is_worn_as_the_format_says():
    assert boxed("a\\b") == "<think></think><answer><|begin_of_box|>a\\b<|end_of_box|></answer>"


@pytest.mark.parametrize("name", ["full", "nano"])
def test_what_the_head_of_a_suite_says_can_be_overridden_can_be(name):
    text = (Path(registry.__file__).parents[1] / f"configs/suites/{name}.yaml").read_text()
    (line,) = re.findall(r"^# Override: (.*)$", text, re.M)
    words = shlex.split(line)
    given = {option: [b for a, b in pairwise(words) if a == option] for option in ("--set", "--swap")}
    for option, least in (("--set", 1), ("--swap", name == "full")):
        assert len(given[option]) >= least
    sets = [text.removeprefix("data.suite.") for text in given["--set"]]
    composed = compose(f"suites/{name}", sets=sets, swaps=given["--swap"])
    check(composed, Suite, dry=False)
    assert all(key.partition("=")[0].split(".")[0] in composed.root.value for key in sets)
