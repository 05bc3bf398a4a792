"""The tasks of several steps that need no browser: turns of questions, and tools."""

import numpy as np
import pytest

from vlmloom.components.sandbox.tools import spelled
from vlmloom.components.task.agentic.multi_turn import MultiTurn
from vlmloom.components.task.agentic.tool_use import KINDS, ToolUse
from vlmloom.components.task.suite import Nano
from vlmloom.pipelines.evaluate_suite.ask import Questions, ask
from vlmloom.pipelines.evaluate_suite.record import Kept
from vlmloom.pipelines.evaluate_suite.target import Policy

TASKS = [MultiTurn, ToolUse]


def run(episode, policy=None):
    while not episode.done:
        episode.observe()
        episode.act(policy(episode) if policy else episode.scripted())
    return episode.score()


@pytest.mark.parametrize("kind", TASKS)
def test_items_are_distinct_and_in_one_split(world, kind):
    task = kind(world=world)
    keys = {split: {task.plan(split, n).scene.key for n in range(340)} for split in task.splits()}
    assert {"train", "validation", "test"} <= set(keys) and len(set().union(*keys.values())) >= 1000
    assert sum(map(len, keys.values())) == len(set().union(*keys.values()))
    assert task.plan("train", 5) is not task.plan("train", 5)
    assert task.plan("train", 5).truth == task.plan("train", 5).truth


def test_no_question_with_its_answer_is_in_two_splits(world):
    task = ToolUse(world=world)

    def seen(split, count):
        for index in range(count):
            sample = task.plan(split, index)
            yield *(getattr(one, "key", one) for one in sample.prompt), sample.answer

    assert not set(seen("train", 1500)) & set(seen("test", 200))


@pytest.mark.parametrize("kind", TASKS)
def test_scripts_win_and_others_do_not(world, kind):
    task = kind(world=world)
    for split in task.splits():
        assert np.mean([run(task.open(split, n)).value for n in range(20)]) >= 0.95
    empty = [run(task.open("test", n), lambda episode: "").value for n in range(20)]
    assert np.mean(empty) == 0
    same = [run(task.open("test", n), lambda episode: "red").value for n in range(20)]
    assert np.mean(same) < 0.2


@pytest.mark.parametrize("kind", TASKS)
def test_a_random_policy_acts_at_every_step_and_rarely_wins(world, kind, tmp_path):
    task = kind(world=world)
    suite = Nano(shift=[], tasks={task.name: lambda world: task})
    policy = Policy("random", suite)
    found = ask(policy, Questions(suite, "test", 20), Kept(tmp_path / "answers.jsonl", policy.key))
    assert all(item.fault is None and all(line for line in item.response.split("\n")) for item in found)
    assert len({item.response for item in found}) > 5 and np.mean([item.value for item in found]) < 0.2


def test_a_turn_is_asked_with_all_that_was_said_before(world):
    episode = MultiTurn(world=world, turns=3).open("train", 0)
    first = episode.observe().prompt
    assert first[0] is episode.sample.pictures[0] and first[-1].startswith(episode.turns[0][0])
    episode.act("a whale")
    assert "a whale" in episode.observe().prompt[-1] and episode.turns[1][0] in episode.observe().prompt[-1]
    assert episode.score().value is None
    episode.act(episode.turns[1][1])
    episode.act(episode.turns[2][1])
    reward = episode.score()
    assert reward.value == pytest.approx(2 / 3) and reward.parts == {"turn 1": 0, "turn 2": 1, "turn 3": 1}
    with pytest.raises(RuntimeError, match=r"^task multi_turn: this episode is done already$"):
        episode.act("more")


def test_what_is_asked_is_what_is_there(world):
    task = MultiTurn(world=world)
    for index in range(50):
        sample = task.plan("train", index)
        things = {thing.name: thing for thing in sample.scene.things}
        at = None
        for question, answer in sample.truth["turns"]:
            if "colour" in question:
                assert at.colour == answer
                continue
            new = things[answer]
            if at is not None:
                x, y = new.box[0] - at.box[0], new.box[1] - at.box[1]
                side = ("right" if x > 0 else "left") if abs(x) > abs(y) else ("below" if y > 0 else "above")
                assert side in question
            at = new


def find(world, kind):
    task = ToolUse(world=world)
    for index in range(60):
        episode = task.open("train", index)
        asked = episode.sample.truth["asked"]
        if asked.startswith({"receipt": "What do", "table": "Table t", "boxes": "Draw a box"}[kind]):
            return episode
    raise AssertionError(kind)


@pytest.mark.parametrize(("form", "value"), [("${}", 1), ("about {}", 0), ("{}, or 7", 0), ("inf", 0)])
def test_the_answer_is_one_number(world, form, value):
    episode = find(world, "receipt")
    episode.act(form.format(episode.sample.answer))
    assert episode.score().value == value


@pytest.mark.parametrize("kind", KINDS)
def test_calls_have_effects_and_bad_ones_are_told_and_counted(world, kind):
    episode = find(world, kind)
    episode.act("<tool_call>rm</tool_call>")
    assert "there is no tool 'rm'" in episode.observe().prompt[-1] and episode.info["refused"] == 1
    for call in episode.sample.truth["calls"]:
        episode.act(spelled(*call))
    assert episode.info["used"] == [name for name, _ in episode.sample.truth["calls"]]
    episode.act(f" {episode.sample.answer} ")
    assert episode.score().value == 1 and episode.score().parts["refused"] == 1


def test_boxes_are_judged_by_what_was_drawn(world):
    episode = find(world, "boxes")
    episode.act(episode.sample.answer)
    assert episode.score().value == 0 and episode.score().parts["answer"] == 1
    episode = find(world, "boxes")
    boxes = episode.sample.truth["boxes"]
    episode.act(spelled("draw_boxes", {"boxes": [*boxes, [0, 0, 20, 20]]}))
    shown = episode.observe().prompt[-1].render()
    assert (shown != episode.sample.pictures[0].render()).any()
    episode.act(episode.sample.answer)
    assert episode.score().value == pytest.approx(len(boxes) / (len(boxes) + 1))


def test_steps_run_out(world):
    episode = ToolUse(world=world, steps=2).open("train", 0)
    reward = run(episode, lambda episode: spelled("calculate", {"expression": "1"}))
    assert reward.value == 0 and reward.error is None and episode.info["calls"] == 2


def test_wrong_settings_are_one_line(world):
    with pytest.raises(ValueError, match=r"^task/multi_turn: turns is 1; 2 to 8 would be right$"):
        MultiTurn(world=world, turns=1)
    with pytest.raises(ValueError, match=r"^task/tool_use: lines is 2; 3 to 8 would be right$"):
        ToolUse(world=world, lines=2)
