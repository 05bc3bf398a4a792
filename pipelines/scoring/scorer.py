"""Lines to rewards: the one way in which answers are judged, offline and in the reward service."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from difflib import get_close_matches
from functools import cache, cached_property
from typing import Any

import yaml

from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Reward, Sample, Scene
from vlmloom.components.contracts.suite import Suite
from vlmloom.components.reward.judge_endpoint import EndpointJudge
from vlmloom.pipelines.scoring.line import Line
from vlmloom.registry import build, catalog, resolve
from vlmloom.registry.errors import UserError, named, one_line
from vlmloom.registry.hints import REQUIRED, signature


class Scorer:
    """Judges lines by the tasks of a suite and by verifiers.

    Args:
        suite: None where lines name verifiers alone.
        verifiers: name -> YAML node; beside them stand all that need no argument, by their registered name.

    Raises:
        UserError: one of the verifiers cannot be built.
    """

    def __init__(self, suite: Suite | None = None, verifiers: Mapping[str, Any] | None = None) -> None:
        self.suite = suite
        self.nodes = dict(verifiers or {})
        self._built: dict[str, Verifier] = {}
        for name in self.nodes:
            self.verifier(name)

    def verifier(self, name: str) -> Verifier:
        """A verifier by its name; built once.

        Raises:
            UserError: there is no such verifier, or it cannot be built.
        """
        if name not in self._built:
            node = self._node(name)
            try:
                self._built[name] = build(node)
            except UserError as error:
                said = "; ".join(error.lines).removeprefix("<build>: ")
                raise UserError(f"verifier {name}: {said}") from error
        return self._built[name]

    def _node(self, name: str) -> Any:
        if name in self.nodes:
            return self.nodes[name]
        names = [entry.name for entry in catalog().list("reward")]
        if name in names and plain(name):
            return {"use": name}
        if name in names:
            raise UserError(
                f"verifier: {name} needs arguments or a package that is not here; "
                f"--verifier NAME={name},KEY=VALUE would be right"
            )
        # Whether they need arguments is not asked: that would import them all.
        known = sorted({*self.nodes, *names})
        near = get_close_matches(name[:60], known, n=3) or known
        raise UserError(f"verifier: {name!r:.60} is not known; {', '.join(near)} would be right")

    def check(self, line: Line) -> None:
        """See that what a line names is there.

        Raises:
            UserError: it is not.
        """
        if line.verifier:
            self._node(line.verifier)
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
                if tasks[line.task].steps > 1:
                    raise UserError(
                        f"task: {line.task} takes several steps, so that one answer says nothing; "
                        "vlmloom evaluate runs it"
                    )

    @cached_property
    def _splits(self) -> dict[str, list[str]]:
        return {} if self.suite is None else self.suite.splits()

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

    def _judging(self, line: Line) -> Verifier:
        if line.verifier:
            return self.verifier(line.verifier)
        assert self.suite is not None
        return self.suite.tasks[line.task].verifier

    def waits(self, line: Line) -> bool:
        """Whether a line's verifier waits for another machine: it has limits of its own."""
        try:
            return _waits(self._judging(line))
        except Exception:  # which `rewards` will tell
            return False

    def rewards(
        self, line: Line, planned: Callable[[Sample, Verifier], None] = lambda sample, verifier: None
    ) -> Iterator[Reward]:
        """The rewards of a line in the order of its answers, each as soon as it is known.

        Answers that are judged at once fail together; any other that breaks its judging fails alone. What
        breaks before there is a question and a verifier is the failure of all.

        Args:
            line: as `check` has seen it.
            planned: told the question and its verifier, before anything is judged.
        """
        try:
            sample, verifier = self.sample(line), self._judging(line)
        except Exception as error:
            yield from [failed(error)] * len(line.responses)
            return
        planned(sample, verifier)
        for group in [line.responses] if verifier.together else [[one] for one in line.responses]:
            try:
                found = verifier.judge(sample, group)
                if len(found) != len(group):
                    raise RuntimeError(f"{len(found)} rewards for {len(group)} answers")
            except Exception as error:
                found = [failed(error)] * len(group)
            yield from map(finite, found)


def _waits(verifier: Verifier) -> bool:
    held = (one for one in vars(verifier).values() if isinstance(one, Verifier))
    return isinstance(verifier, EndpointJudge) or any(map(_waits, held))


def finite(reward: Reward) -> Reward:
    """A reward as it may be told: a value that is not finite is a failure of judging."""
    if reward.value is not None and not math.isfinite(reward.value):
        return Reward(None, {}, reward.reason, f"the value is {reward.value}")
    parts = {name: part for name, part in reward.parts.items() if math.isfinite(part)}
    return Reward(reward.value, parts, reward.reason, reward.error)


def failed(error: BaseException) -> Reward:
    """What an answer is worth where judging broke down, `raise` being the policy or a task broken."""
    return Reward(None, error=named(error))


def told(reward: Reward) -> dict[str, Any]:
    """A reward as JSON; what it quotes of an answer may hold half a character, which no encoding takes."""
    error = None if reward.error is None else _whole(reward.error)
    return asdict(replace(reward, reason=_whole(reward.reason), error=error))


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


@cache
def plain(name: str) -> bool:
    """Whether a verifier needs no argument, and no package that is not here."""
    try:
        parameters = signature(resolve(name)).parameters.values()
    except (ImportError, UserError):
        return False
    return all(parameter.default is not REQUIRED for parameter in parameters)


def declared(verb: str, texts: list[str]) -> dict[str, Any]:
    """Name -> YAML node of verifiers, from `NAME=KIND/NAME[,KEY=VALUE]` or `NAME={use: ...}`.

    Raises:
        UserError: one is neither, or a name stands twice.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, _, node = text.partition("=")
        if not name or not node:
            raise UserError(f"{verb}: --verifier {text}: NAME=KIND/NAME[,KEY=VALUE] would be right")
        if name in found:
            raise UserError(f"{verb}: --verifier {text}: {name} stands twice; once would be right")
        try:
            if node.startswith("{"):
                found[name] = yaml.safe_load(node)
            else:
                use, *pairs = node.split(",")
                keys = (pair.partition("=")[::2] for pair in pairs)
                found[name] = {"use": use} | {key: yaml.safe_load(value) for key, value in keys}
        except yaml.YAMLError as error:
            raise UserError(f"{verb}: --verifier {name}: {one_line(error)}") from None
    return found
