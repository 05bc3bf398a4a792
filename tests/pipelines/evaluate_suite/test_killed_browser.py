"""A browser that is killed in the middle of an evaluation: counted, started again, and no item is lost."""

import os
import signal
import time

import pytest
from chromium_here import need_chromium

from vlmloom.components.sandbox.browsers import browsers
from vlmloom.components.task.agentic.miniwob import MiniWoB
from vlmloom.components.task.full import Full
from vlmloom.pipelines.evaluate_suite.ask import Questions, ask
from vlmloom.pipelines.evaluate_suite.page import render
from vlmloom.pipelines.evaluate_suite.record import Kept
from vlmloom.pipelines.evaluate_suite.report import document
from vlmloom.pipelines.evaluate_suite.target import Policy
from vlmloom.pipelines.evaluate_suite.told import show

pytestmark = pytest.mark.browser
FACTS = {"name": "pages", "answers": "plain", "items": 3, "categories": 1, "left_out": {}, "unscripted": {}}


class Killing(Policy):
    """Kills the browsers in use before some of its answers."""

    def __init__(self, suite, doomed):
        super().__init__("oracle", suite)
        self.doomed, self.answers = doomed, 0

    def replies(self, samples):
        for place, reply in super().replies(samples):
            self.answers += 1
            if self.doomed(self.answers, samples[place].index):
                for page in browsers()._pages:
                    if page not in browsers()._free and page.browser.pid:
                        os.kill(page.browser.pid, signal.SIGKILL)
                time.sleep(0.1)
            yield place, reply


def evaluate(folder, doomed, monkeypatch, attempts=2):
    need_chromium()
    monkeypatch.setenv("VLMLOOM_BROWSERS", "1")
    monkeypatch.setattr(browsers(), "attempts", attempts)
    suite = Full(
        families=[], tasks={"miniwob": lambda world: MiniWoB(world=world, pages=["login-user"])}, shift=[]
    )
    target = Killing(suite, doomed)
    split = next(split for split, names in suite.splits().items() if names)
    items = ask(target, Questions(suite, split, 3), Kept(folder / "answers.jsonl", {}))
    made = document({"oracle": items}, suite, split=split, facts={"suite": FACTS})
    (row,) = [row for row in made["told"] if row["category"] is None]
    return items, row, made


def test_it_is_started_again_and_the_episode_goes_on(tmp_path, monkeypatch, capsys):
    from rich.console import Console

    items, row, made = evaluate(tmp_path, lambda answers, index: answers == 2, monkeypatch)
    assert [item.value for item in items] == [1, 1, 1] and [item.stopped for item in items] == [1, 0, 0]
    assert row["stopped"] == 1 and sum(row["faults"].values()) == 0
    assert "were started again: 1" in render(made)
    show(made, Console(soft_wrap=True))
    assert "1 browsers stopped and were started again" in capsys.readouterr().out


def test_one_that_stops_whenever_it_is_started_fails_its_own_episode(tmp_path, monkeypatch):
    items, row, made = evaluate(tmp_path, lambda answers, index: index == 1, monkeypatch, attempts=1)
    assert [item.value for item in items] == [1, None, 1]
    assert items[1].fault == "task" and "BrowserStopped" in items[1].error and items[1].tries == 2
    assert row["faults"] == {"target": 0, "judge": 0, "task": 1} and row["stopped"] == 2
    assert "1 of 3 items failed" in render(made) and "BrowserStopped" in render(made)
