"""Answers of any model, scored offline from a file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vlmloom.components.contracts.kinds import Task
from vlmloom.components.contracts.sample import Reward
from vlmloom.components.contracts.suite import Suite
from vlmloom.pipelines.evaluate_suite.ask import well_formed
from vlmloom.pipelines.report.record import Answer
from vlmloom.pipelines.report.statistics import Estimate, bootstrap, collect
from vlmloom.pipelines.score_line import failed
from vlmloom.registry.errors import UserError, one_line

TOLD = 10
"""Bad lines that are told one by one."""
LINE = '{"split": "test", "index": 0, "response": "..."}'


@dataclass(frozen=True)
class Scored:
    """One answer.

    Attributes:
        line: of the file, from 1.
        task: in the suite.
        split: of the suite.
        index: within task and split.
        response: what was answered.
        gold: what would have been right.
        scene: key of the scene.
        reward: what the task's verifier says; without a value before it was asked, and where judging failed.
        formed: whether the answer has the form that was asked for.
    """

    line: int
    task: str
    split: str
    index: int
    response: str
    gold: str = ""
    scene: str = ""
    reward: Reward = field(default_factory=lambda: Reward(None))
    formed: bool = True

    @property
    def place(self) -> tuple[str, str, int]:
        """Which item it answers."""
        return self.task, self.split, self.index

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        own = {key: getattr(self, key) for key in ("line", "task", "split", "index", "response", "gold")}
        parts = {name: value for name, value in self.reward.parts.items() if math.isfinite(value)}
        told = {"value": self.reward.value, "parts": parts, "reason": self.reward.reason}
        return own | told | {"error": self.reward.error, "well_formed": self.formed}


@dataclass(frozen=True)
class Row:
    """A task on a split.

    Attributes:
        answers: how many.
        items: how many different items they answer.
        mean: over the items that could be judged, with its interval; None where there is none.
        malformed: answers without the form that was asked for.
        errors: answers that could not be judged, which count nowhere else.
    """

    task: str
    split: str
    answers: int
    items: int
    mean: Estimate | None
    malformed: int
    errors: int


def read(path: Path, suite: Suite, task: str | None) -> list[Scored]:
    """The answers of a file of JSON lines.

    A line has `response`, and either `split` and `index` or an `id`, `[TASK/]SPLIT/INDEX`; `task` where the
    call names none. Other keys are left alone; an item may be answered on several lines.

    Raises:
        UserError: the file cannot be read, or lines are not as they should be, each told.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; a file of JSON lines would be right") from None
    found, wrong = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(_line(number, line, suite, task))
        except ValueError as error:
            wrong.append(f"{path}:{number}: {error}")
    if wrong:
        more = [f"{path}: and {len(wrong) - TOLD} more lines"] if len(wrong) > TOLD else []
        raise UserError(*wrong[:TOLD], *more)
    if not found:
        raise UserError(f"{path}: holds no answers; a line such as {LINE} would be right")
    return found


def _line(number: int, line: bytes, suite: Suite, named: str | None) -> Scored:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"found {_shown(line.decode(errors='replace'))}, no JSON ({one_line(error)})"
        ) from None
    if not isinstance(data, dict):
        raise ValueError(f"found {_shown(line.decode())}; an object such as {LINE} would be right")
    response = data.get("response")
    if not isinstance(response, str):
        said = f"response is {_shown(json.dumps(response))}" if "response" in data else "there is no response"
        raise ValueError(f"{said}; the answer as a text would be right")
    task, split, index = data.get("task", named), data.get("split"), data.get("index")
    if "id" in data:
        *before, split, index = ["", "", *str(data["id"]).split("/")]
        task = "/".join(before[2:]) or task
        index = int(index) if index.isascii() and index.isdigit() else None
        if not split or index is None:
            raise ValueError(f"id is {_shown(json.dumps(data['id']))}; TASK/SPLIT/INDEX would be right")
    if task is None:
        raise ValueError("says no task; --task NAME, or a key `task`, would be right")
    if named is not None and task != named:
        raise ValueError(f"is of the task {_shown(str(task))}, but --task is {named}")
    if task not in suite.tasks:
        raise ValueError(f"task is {_shown(str(task))}; the suite has {', '.join(suite.tasks)}")
    splits = [name for name, tasks in suite.splits().items() if task in tasks]
    if split not in splits:
        raise ValueError(f"split is {_shown(json.dumps(split))}; {task} has {', '.join(splits)}")
    if type(index) is not int or index < 0:
        raise ValueError(f"index is {_shown(json.dumps(index))}; a whole number from 0 would be right")
    if suite.tasks[task].steps > 1:
        raise ValueError(
            f"{task} takes several steps, so that one response says nothing; vlmloom evaluate runs it"
        )
    return Scored(number, task, split, index, response)


def _shown(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def score(
    suite: Suite, asked: Sequence[Scored], tick: Callable[[int], None] = lambda _: None
) -> list[Scored]:
    """Judge answers, those to one item together, as groups are judged in training.

    Raises:
        UserError: an item cannot be had.
    """
    groups: dict[tuple[str, str, int], list[int]] = {}
    for place, answer in enumerate(asked):
        groups.setdefault(answer.place, []).append(place)
    found: list[Scored] = list(asked)
    for (name, split, index), places in groups.items():
        answers = [asked[place] for place in places]
        for place, answer in zip(places, _group(suite.tasks[name], split, index, answers), strict=True):
            found[place] = answer
        tick(len(places))
    return found


def _group(task: Task, split: str, index: int, answers: Sequence[Scored]) -> Iterator[Scored]:
    try:
        sample = task.plan(split, index)
    except (ValueError, IndexError) as error:
        raise UserError(f"line {answers[0].line}: {one_line(error)}") from None
    try:
        rewards = task.verifier.judge(sample, [answer.response for answer in answers])
    except UserError:
        raise
    except Exception as error:
        rewards = [failed(error)] * len(answers)
    for answer, reward in zip(answers, rewards, strict=True):
        formed = reward.error is None and well_formed(sample, answer.response, reward)
        yield replace(answer, gold=sample.answer, scene=sample.scene.key, reward=reward, formed=formed)


def summary(scored: Iterable[Scored]) -> list[Row]:
    """A row for each task and split, the mean over items and its interval by bootstrap over scenes."""
    groups: dict[tuple[str, str], list[Scored]] = {}
    for one in scored:
        groups.setdefault((one.task, one.split), []).append(one)
    return [_row(task, split, answers) for (task, split), answers in groups.items()]


def _row(task: str, split: str, answers: Sequence[Scored]) -> Row:
    items: dict[int, list[float]] = {}
    scenes = {one.index: one.scene for one in answers}
    lost = [one for one in answers if one.reward.error is not None or one.reward.value is None]
    for one in answers:
        if one.reward.error is None and one.reward.value is not None:
            items.setdefault(one.index, []).append(one.reward.value)
    mean = None
    if items:
        judged = [
            Answer("", 0, split, task, index, scenes[index], sum(values) / len(values))
            for index, values in items.items()
        ]
        mean = bootstrap(collect(judged, [""], [task])).estimate(0, [0])
    malformed = sum(not one.formed for one in answers if one.reward.error is None)
    return Row(task, split, len(answers), len(scenes), mean, malformed, len(lost))
