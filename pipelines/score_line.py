"""One line of answers to rewards: what `vlmloom score` reads and `vlmloom serve-rewards` is sent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from vlmloom.components.contracts.kinds import Task
from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Reward, Sample, Scene
from vlmloom.components.contracts.suite import Suite
from vlmloom.registry import build, catalog, compose, resolve
from vlmloom.registry.errors import UserError, named
from vlmloom.registry.hints import REQUIRED, signature
from vlmloom.registry.walk import check

MOST_RESPONSES = 1024
"""Of one line."""


@dataclass
class Line:
    """Answers to one question, and what they are to be judged by.

    Attributes:
        responses: the answers, a group.
        task: of the suite; its own verifier judges unless another is named.
        verifier: by its name in the scorer, e.g. `reward/exact`.
        split: with `index`, the item of the task that was asked.
        index: within the split.
        question: in place of an item, the question in words.
        answer: the gold answer.
        truth: what else the verifier needs.
        choices: the closed set of answers where there is one.
        source: where the answers come from, for statistics.
        group: answers to one question that come in several lines share it.
    """

    responses: list[str]
    task: str = ""
    verifier: str = ""
    split: str = ""
    index: int | None = None
    question: str = ""
    answer: str | None = None
    truth: dict[str, Any] = field(default_factory=dict)
    choices: list[str] = field(default_factory=list)
    source: str = ""
    group: str = ""

    @classmethod
    def read(cls, found: Any) -> Line:
        """The line of an object that was read from JSON.

        Raises:
            UserError: one line that says what is wrong with it.
        """
        if not isinstance(found, Mapping):
            raise UserError(f"found {type(found).__name__}; an object with `responses` would be right")
        known = [one.name for one in fields(cls)]
        for key in found:
            if key not in known:
                raise UserError(f"{key!r:.40} is no key of a line; it has {', '.join(known)}")
        texts = found.get("responses")
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise UserError("responses: a list of one text or more would be right")
        if len(texts) > MOST_RESPONSES:
            raise UserError(f"responses: found {len(texts)}; at most {MOST_RESPONSES} would be right")
        for key in ("task", "verifier", "split", "question", "source", "group"):
            if not isinstance(found.get(key, ""), str):
                raise UserError(f"{key}: found {type(found[key]).__name__}; a text would be right")
        for key in ("source", "group"):
            if len(found.get(key, "")) > 200:
                raise UserError(f"{key}: found {len(found[key])} characters; at most 200 would be right")
        index, answer = found.get("index"), found.get("answer")
        if index is not None and (isinstance(index, bool) or not isinstance(index, int) or index < 0):
            raise UserError(f"index: found {index!r:.40}; a whole number from 0 would be right")
        if answer is not None and not isinstance(answer, str):
            raise UserError(f"answer: found {type(answer).__name__}; the gold answer as text would be right")
        if not isinstance(found.get("truth", {}), dict):
            raise UserError("truth: an object would be right")
        choices = found.get("choices", [])
        if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
            raise UserError("choices: a list of texts would be right")
        line = cls(**found)
        if not line.task and not line.verifier:
            raise UserError("task or verifier: one of them is needed")
        if (line.index is None) == (line.answer is None):
            raise UserError(
                "found "
                + ("neither an item nor an answer" if line.index is None else "an item and an answer")
                + "; task, split and index, or question and answer would be right"
            )
        if line.index is not None and not (line.task and line.split):
            raise UserError("index: needs task and split beside it")
        return line


class Scorer:
    """Judges lines by the tasks of a suite and by verifiers.

    Args:
        suite: None where lines name verifiers alone.
        verifiers: name -> YAML node; beside them stand all that need no argument, by their registered name.
    """

    def __init__(self, suite: Suite | None = None, verifiers: Mapping[str, Any] | None = None) -> None:
        self.suite = suite
        self.nodes = {name: {"use": name} for name in plain_verifiers()} | dict(verifiers or {})
        self._built: dict[str, Verifier] = {}

    def verifier(self, name: str) -> Verifier:
        """A verifier by its name; built once.

        Raises:
            UserError: there is no such verifier, or it cannot be built.
        """
        if name not in self.nodes:
            raise UserError(f"verifier: {name!r:.60} is not known; known are {', '.join(sorted(self.nodes))}")
        if name not in self._built:
            try:
                self._built[name] = build(self.nodes[name])
            except UserError as error:
                said = "; ".join(error.lines).removeprefix("<build>: ")
                raise UserError(f"verifier {name}: {said}") from error
        return self._built[name]

    def check(self, line: Line) -> None:
        """See that what a line names is there.

        Raises:
            UserError: it is not.
        """
        if line.verifier and line.verifier not in self.nodes:
            self.verifier(line.verifier)
        if line.task:
            tasks = {} if self.suite is None else self.suite.tasks
            if line.task not in tasks:
                known = ", ".join(tasks) or "none; a suite would be right"
                raise UserError(f"task: {line.task!r:.60} is not known; known are {known}")
            if line.index is not None:
                has = [split for split, names in self._splits.items() if line.task in names]
                if line.split not in has:
                    raise UserError(
                        f"split: task {line.task} has no {line.split!r:.40}; it has {', '.join(has)}"
                    )

    @cached_property
    def _splits(self) -> dict[str, list[str]]:
        return {} if self.suite is None else self.suite.splits()

    def together(self, line: Line) -> bool:
        """Whether the answers of a line are judged at once, rather than each by itself."""
        return bool(line.verifier) and type(self.verifier(line.verifier)).judge is not Verifier.judge

    def sample(self, line: Line) -> Sample:
        """What was asked."""
        if line.index is not None:
            assert self.suite is not None
            return self.suite.tasks[line.task].plan(line.split, line.index)
        return Sample(
            task=line.task,
            split=line.split,
            index=0,
            prompt=[line.question] if line.question else [],
            answer=line.answer or "",
            scene=Scene(""),
            choices=tuple(line.choices),
            source=line.source,
            truth=line.truth,
        )

    def ready(self, line: Line) -> tuple[Sample, Verifier | Task]:
        """What was asked, and what judges it; both may take long the first time.

        Raises:
            UserError: what the line names is not there.
        """
        self.check(line)
        if line.verifier:
            return self.sample(line), self.verifier(line.verifier)
        assert self.suite is not None
        task = self.suite.tasks[line.task]
        return self.sample(line), task

    def judged(self, line: Line, sample: Sample, judge: Verifier | Task) -> Iterator[Reward]:
        """The rewards of a line in the order of its answers, each as soon as it is known."""
        if isinstance(judge, Verifier) and self.together(line):
            yield from map(finite, judge.judge(sample, line.responses))
            return
        for response in line.responses:
            one = (
                judge.judge(sample, [response])[0]
                if isinstance(judge, Verifier)
                else judge.check(sample, response)
            )
            yield finite(one)

    def rewards(self, line: Line) -> Iterator[Reward]:
        """What there is to judge, judged.

        Raises:
            UserError: what the line names is not there.
        """
        return self.judged(line, *self.ready(line))


def finite(reward: Reward) -> Reward:
    """A reward as it may be told: a value that is not finite is a failure of judging."""
    if reward.value is not None and not math.isfinite(reward.value):
        return Reward(None, {}, reward.reason, f"the value is {reward.value}")
    parts = {name: part for name, part in reward.parts.items() if math.isfinite(part)}
    return Reward(reward.value, parts, reward.reason, reward.error)


def failed(error: BaseException) -> Reward:
    """What a line's answer is worth where judging broke down, `raise` being the policy or a task broken."""
    return Reward(None, error=named(error))


def told(reward: Reward) -> dict[str, Any]:
    """A reward as JSON; what it quotes of an answer may hold half a character, which no encoding takes."""
    error = None if reward.error is None else _whole(reward.error)
    return asdict(replace(reward, reason=_whole(reward.reason), error=error))


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def plain_verifiers() -> list[str]:
    """The names of verifiers that need no argument."""
    found = []
    for entry in catalog().list("reward"):
        try:
            parameters = signature(resolve(entry.name)).parameters.values()
        except (ImportError, UserError):
            continue
        if all(parameter.default is not REQUIRED for parameter in parameters):
            found.append(entry.name)
    return found


def suite_of(name: str) -> Suite:
    """The suite that a name or a YAML's path stands for, its sources prepared.

    Raises:
        UserError: it stands for none.
    """
    composed = compose(name)
    check(composed, Suite)
    suite: Suite = build(composed)
    return suite
