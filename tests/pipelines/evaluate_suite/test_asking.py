"""Policies, judges that fail, and episodes of several steps: what is counted, retried and kept."""

import time

import pytest
from chat_server import ChatServer

from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Episode, Observation, Reward, Sample, Scene
from vlmloom.components.contracts.task import Task
from vlmloom.components.task.full import Full
from vlmloom.components.task.perception.count import Count
from vlmloom.components.task.reasoning.arithmetic import Arithmetic
from vlmloom.pipelines.evaluate_suite.ask import Questions, ask
from vlmloom.pipelines.evaluate_suite.record import Kept, Reply
from vlmloom.pipelines.evaluate_suite.report import document
from vlmloom.pipelines.evaluate_suite.target import Policy
from vlmloom.pipelines.scoring.limited import Limits
from vlmloom.registry import build

COUNTING = {"count": Count, "arithmetic": Arithmetic}


def suite_of(tasks):
    return Full(families=[], tasks=tasks, shift=[], things=8, side=64)


@pytest.fixture
def suite():
    return suite_of(COUNTING)


class Counting:
    """A target that remembers what it was asked."""

    name, key, batch, scripted = "counting", {"target": "counting"}, 5, False

    def __init__(self, answer=lambda sample: sample.answer):
        self.answer, self.asked, self.sizes = answer, [], []

    def replies(self, samples):
        self.sizes.append(len(samples))
        for place, sample in enumerate(samples):
            self.asked.append((sample.task, sample.index))
            yield place, Reply(self.answer(sample), 0.5, 3, 1, 10.0)


class Raising(Verifier):
    """Fails on some items."""

    def score(self, sample, response):
        if sample.index % 3 == 0:
            raise ZeroDivisionError("no judgement")
        return Reward(float(response == sample.answer))


class Sleeping(Verifier):
    """Never ends on some items."""

    def score(self, sample, response):
        if sample.index == 1:
            time.sleep(600)
        return Reward(float(response == sample.answer))


def kept(folder):
    return Kept(folder / "answers.jsonl", {"target": "one"})


def test_policies_are_right_by_chance_only(suite, tmp_path):
    found = {}
    for name in ("oracle", "random", "empty"):
        policy = Policy(name, suite)
        file = Kept(tmp_path / f"{name}.jsonl", policy.key)
        found[name] = ask(policy, Questions(suite, "test", 120), file)
    values = {
        (name, category): [item.value for item in items if item.category == category]
        for name, items in found.items()
        for category in suite.tasks
    }
    mean = {key: sum(own) / len(own) for key, own in values.items()}
    assert mean["oracle", "count"] == mean["oracle", "arithmetic"] == 1
    assert mean["empty", "count"] == mean["empty", "arithmetic"] == 0
    assert 0.12 < mean["random", "count"] < 0.38 and mean["random", "arithmetic"] < 0.2
    assert not any(item.well_formed for item in found["empty"])
    assert all(item.well_formed for item in found["random"] if item.category == "count")


def test_categories_are_mixed_in_every_batch_and_progress_is_told(suite, tmp_path):
    target, told = Counting(), []
    items = ask(target, Questions(suite, "test", 5), kept(tmp_path), lambda *now: told.append(now))
    assert target.sizes == [5, 5] and {name for name, _ in target.asked[:4]} == {"count", "arithmetic"}
    assert told == [(done, 10, 0) for done in range(1, 11)] and len(items) == 10
    again = Counting()
    assert ask(again, Questions(suite, "test", 5), kept(tmp_path)) == items and not again.asked
    # More items of each category ask for what is new alone.
    ask(again, Questions(suite, "test", 7), kept(tmp_path))
    assert sorted(again.asked) == [("arithmetic", 5), ("arithmetic", 6), ("count", 5), ("count", 6)]


def test_a_judge_that_fails_is_counted_and_judges_again_without_asking_again(suite, tmp_path):
    suite.tasks["count"].verifier = Raising()
    target = Counting()
    items = ask(target, Questions(suite, "test", 9), kept(tmp_path))
    failed = [item for item in items if item.fault == "judge"]
    assert [item.item for item in failed] == [0, 3, 6] and {item.category for item in failed} == {"count"}
    assert all(item.value is None and "ZeroDivisionError: no judgement" in item.error for item in failed)
    assert all(item.value == 1 for item in items if item.fault is None)
    report = document({"counting": items}, suite, split="test", facts={"suite": {}})
    (row,) = [row for row in report["told"] if row["category"] == "count"]
    assert row["faults"] == {"target": 0, "judge": 3, "task": 0} and row["judged"] == 6
    (score,) = [row for row in report["summary"] if row["category"] == "count"]
    assert score["accuracy"] == 1 and score["items"] == 6
    del suite.tasks["count"].verifier
    mended = ask(target, Questions(suite, "test", 9), kept(tmp_path))
    assert len(target.asked) == 18 and all(item.value == 1 for item in mended)


def test_a_judge_that_overruns_is_counted_and_loses_no_other_item(suite, tmp_path):
    suite.tasks["count"].verifier = Sleeping()
    limits = Limits(60, {"count": 0.5})
    items = ask(Counting(), Questions(suite, "test", 4, limits=limits), kept(tmp_path))
    (failed,) = [item for item in items if item.value is None]
    assert (failed.category, failed.item, failed.fault) == ("count", 1, "judge")
    assert failed.error == "no reward within 0.5 seconds" and len(items) == 8
    assert all(item.value == 1 for item in items if item is not failed)


def test_a_value_for_failed_judgements_is_no_score_here(suite, tmp_path):
    suite.tasks["count"].verifier = Raising(on_error=0.0)
    items = ask(Counting(), Questions(suite, "test", 3), kept(tmp_path))
    assert [item.fault for item in items if item.category == "count"] == ["judge", None, None]
    suite.tasks["count"].verifier = Raising(on_error="raise")
    (again, *_) = ask(Counting(), Questions(suite, "test", 3), Kept(tmp_path / "b.jsonl", {}))
    assert again.fault == "judge" and "no judgement" in again.error


@pytest.mark.parametrize("how", ["down", "garbage", "slow", "500"])
def test_a_judge_behind_an_endpoint_that_fails_loses_no_other_item(suite, tmp_path, how):
    with ChatServer(lambda question, times: how) as server:
        url = server.url
        judge = {"use": "reward/judge_endpoint", "url": url, "model": "m", "attempts": 2, "pause": 0.01}
        suite.tasks["count"].verifier = build(judge | {"seconds": 0.5})
        if how == "down":
            server.stop()
        target = Counting(
            lambda sample: f"about {sample.answer}" if sample.task == "count" else sample.answer
        )
        items = ask(target, Questions(suite, "test", 3), kept(tmp_path))
    failed = [item for item in items if item.value is None]
    assert len(failed) == 3 and {(item.category, item.fault) for item in failed} == {("count", "judge")}
    assert all(item.error for item in failed)
    assert [item.value for item in items if item.category == "arithmetic"] == [1, 1, 1]
    # The judge is back: what was answered is judged, and nobody is asked again.
    suite.tasks["count"].verifier = Raising()
    ask(target, Questions(suite, "test", 3), kept(tmp_path))
    assert len(target.asked) == 6


def test_a_target_that_breaks_in_a_batch_loses_no_other_item(suite, tmp_path):
    from vlmloom.pipelines.evaluate_suite.local import Local

    class Fragile(Local):
        name, key, batch = "fragile", {}, 4

        def answer(self, samples):
            if any((one.task, one.index) == ("count", 1) for one in samples):
                raise MemoryError("too large")
            return [(one.answer, 4, 2, False) for one in samples]

    items = ask(Fragile(), Questions(suite, "test", 4), kept(tmp_path))
    failed = [item for item in items if item.value is None]
    assert [(item.category, item.item, item.fault) for item in failed] == [("count", 1, "target")]
    assert failed[0].error == "MemoryError: too large" and failed[0].tries == 2
    assert sum(item.value == 1 for item in items) == 7


class Walk(Episode):
    """Say left or right until the door is found; odd items break down once, every fourth has no script."""

    broken: dict[int, int] = {}  # noqa: RUF012
    open_now: set[int] = set()  # noqa: RUF012

    def __init__(self, index):
        self.index, self.place, self.acts = index, 0, 0
        self.open_now.add(index)

    def observe(self):
        if self.index % 2 and self.acts == 1 and self.broken.setdefault(self.index, 1) > 0:
            self.broken[self.index] -= 1
            raise ConnectionError("the browser is gone")
        return Observation([f"door at {self.index % 3 + 1}, you at {self.place}; left or right?"])

    def act(self, response):
        self.acts += 1
        self.place += {"right": 1, "left": -1}.get(response, 0)

    @property
    def done(self):
        return self.place == self.index % 3 + 1

    def score(self):
        return Reward(float(self.done), parts={"place": float(self.place)})

    def scripted(self):
        return None if self.index % 4 == 3 else "right"

    def close(self):
        self.open_now.discard(self.index)


class Walking(Task):
    name, family, visual, steps = "walk", "agentic", False, 5

    def __init__(self, world):
        pass

    def plan(self, split, index):
        return Sample("walk", split, index, ["walk"], "", Scene(f"walk {index}"))

    def open(self, split, index):
        return Walk(index)


@pytest.fixture
def walking():
    Walk.broken.clear()
    return suite_of({"walk": Walking, "arithmetic": Arithmetic})


def walks(items):
    return {item.item: item for item in items if item.category == "walk"}


def test_an_oracle_follows_the_script_where_there_is_one(walking, tmp_path):
    items = walks(ask(Policy("oracle", walking), Questions(walking, "test", 8), kept(tmp_path)))
    assert sorted(items) == [0, 1, 2, 4, 5, 6] and all(item.value == 1 for item in items.values())
    assert [items[index].steps for index in (0, 1, 2)] == [1, 2, 3]
    assert items[2].response == "right\nright\nright" and items[2].parts == {"place": 3.0}
    assert not Walk.open_now


def test_an_episode_ends_after_its_steps_and_costs_are_summed(walking, tmp_path):
    target = Counting(lambda sample: "left" if sample.task == "walk" else sample.answer)
    items = walks(ask(target, Questions(walking, "test", 4), kept(tmp_path)))
    assert all((item.value, item.steps, item.seconds) == (0, 5, 2.5) for item in items.values())
    assert items[0].tokens_in == 15 and items[0].flops == 50.0 and items[0].tries == 1
    assert target.sizes[0] == 4 and max(target.sizes[1:]) == 2


def test_an_episode_that_breaks_down_is_begun_again_and_then_told(walking, tmp_path):
    Walk.broken.update({1: 1, 5: 9})
    items = walks(ask(Counting(lambda sample: "right"), Questions(walking, "test", 6), kept(tmp_path)))
    assert items[1].value == 1 and items[1].tries == 2
    assert items[5].value is None and items[5].fault == "task"
    assert items[5].error == "ConnectionError: the browser is gone"
    assert all(items[index].value == 1 for index in (0, 2, 3, 4)) and not Walk.open_now


def test_a_target_that_fails_within_an_episode_ends_it(walking, tmp_path):
    items = walks(ask(Counting(lambda sample: None), Questions(walking, "test", 2), kept(tmp_path)))
    assert all(item.value is None and item.fault == "target" for item in items.values())


@pytest.mark.parametrize("look", ["observe", "scripted"])
def test_an_episode_that_a_look_at_it_ends_is_a_fault_and_no_missing_script(
    walking, tmp_path, look, monkeypatch
):
    class Gone(Walk):
        """The browser of item 1 is gone after one step, which `score` tells."""

        def observe(self):
            return self.look("observe") or Observation(["left or right?"])

        def scripted(self):
            return None if self.look("scripted") else "right"

        def look(self, name):
            self.gone = self.index == 1 and self.acts == 1 and look == name
            return Observation([]) if self.gone else None

        @property
        def done(self):
            return getattr(self, "gone", False) or super().done

        def score(self):
            if self.gone:
                raise RuntimeError("the browser is gone")
            return super().score()

    monkeypatch.setattr(walking.tasks["walk"], "open", lambda split, index: Gone(index))
    items = walks(ask(Policy("oracle", walking), Questions(walking, "test", 3), kept(tmp_path)))
    assert [items[index].value for index in range(3)] == [1, None, 1]
    assert (items[1].fault, items[1].error, items[1].tries) == (
        "task",
        "RuntimeError: the browser is gone",
        2,
    )
