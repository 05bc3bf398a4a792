"""Answers of any model, scored offline from a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.pipelines.evaluate_suite.ask import well_formed
from vlmloom.pipelines.report.record import Answer
from vlmloom.pipelines.report.statistics import Estimate, bootstrap, collect
from vlmloom.pipelines.scoring.limited import Limited
from vlmloom.pipelines.scoring.line import KEYS, Line
from vlmloom.pipelines.scoring.scorer import Scorer, told
from vlmloom.registry.errors import UserError, one_line

TOLD = 10
"""Bad lines that are told one by one."""
LONGEST = 1 << 26
"""Bytes of a line."""
LINE = '{"task": "count", "split": "test", "index": 0, "response": "..."}'


@dataclass(frozen=True)
class Scored:
    """One answer.

    Attributes:
        number: the line of the file, from 1.
        line: what it says.
        response: what was answered.
        reward: without a value where judging failed.
        gold: what would have been right.
        scene: key of the scene.
        formed: whether the answer has the form that was asked for.
    """

    number: int
    line: Line
    response: str
    reward: Reward
    gold: str
    scene: str
    formed: bool

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        names = [
            name
            for name in ("task", "verifier", "split", "index")
            if getattr(self.line, name) not in ("", None)
        ]
        own = {"line": self.number} | {name: getattr(self.line, name) for name in names}
        own |= {"response": self.response, "gold": self.gold}
        return own | told(self.reward) | {"well_formed": self.formed}


@dataclass(frozen=True)
class Row:
    """A task, or a verifier of its own, on a split.

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


def read(path: Path, scorer: Scorer, task: str = "") -> dict[int, Line]:
    """The lines of a file of JSON lines, by their numbers; keys that `Line` does not know are left alone.

    Raises:
        UserError: the file cannot be read, or lines are not as they should be, each told.
    """
    found: dict[int, Line] = {}
    wrong = []
    for number, text in enumerate(map(bytes.strip, _lines(path)), start=1):
        if not text:
            continue
        try:
            given = json.loads(text)
            if isinstance(given, dict):
                given = {key: value for key, value in given.items() if key in KEYS}
            found[number] = Line.read(given, task)
            scorer.check(found[number])
        except UserError as error:
            wrong.append(f"{path}:{number}: {one_line(error)}")
        except (ValueError, RecursionError) as error:
            shown = text[:60].decode(errors="replace")
            deep = ": too deep, or too long a number"
            why = f" ({error})" if isinstance(error, json.JSONDecodeError) else deep
            wrong.append(f"{path}:{number}: found {shown}, no JSON{why}")
    if wrong:
        more = [f"{path}: and {len(wrong) - TOLD} more lines"] if len(wrong) > TOLD else []
        raise UserError(*wrong[:TOLD], *more)
    if not found:
        raise UserError(f"{path}: holds no answers; a line such as {LINE} would be right")
    return found


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            for number, text in enumerate(iter(lambda: file.readline(LONGEST + 1), b""), start=1):
                if len(text) > LONGEST:
                    raise UserError(
                        f"{path}:{number}: found over {LONGEST:,} bytes; JSON lines would be right"
                    )
                yield text
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; a file of JSON lines would be right") from None


def score(
    judge: Limited, lines: Mapping[int, Line], tick: Callable[[int], None] = lambda _: None
) -> list[Scored]:
    """Judge answers in their order; lines of one answer to the same question are judged as a group."""
    groups: dict[Any, list[int]] = {}
    for number, line in lines.items():
        groups.setdefault(_question(line) if len(line.responses) == 1 else number, []).append(number)
    found = []
    for numbers in groups.values():
        answers = [(number, text) for number in numbers for text in lines[number].responses]
        line = replace(lines[numbers[0]], responses=[text for _, text in answers])
        sample = _planned(judge.scorer, line)
        for (number, text), reward in zip(answers, judge.rewards(line), strict=True):
            found.append(_scored(number, line, text, reward, sample))
        tick(len(answers))
    return sorted(found, key=lambda one: one.number)


def _planned(scorer: Scorer, line: Line) -> Sample | None:
    """The question; None where there is none, which its rewards tell."""
    try:
        return scorer.sample(line)
    except Exception:
        return None


def _question(line: Line) -> tuple[Any, ...]:
    """What tells a question from another."""
    inline = json.dumps([line.question, line.answer, line.truth, line.choices], sort_keys=True)
    return line.task, line.verifier, line.split, line.index, inline


def _scored(number: int, line: Line, text: str, reward: Reward, sample: Sample | None) -> Scored:
    if sample is None:
        return Scored(number, line, text, reward, "", "", False)
    formed = reward.error is None and well_formed(sample, text, reward)
    return Scored(number, line, text, reward, sample.answer, sample.scene.key, formed)


def summary(scored: Iterable[Scored]) -> list[Row]:
    """A row for each task and split, the mean over items and its interval by bootstrap over scenes."""
    groups: dict[tuple[str, str], list[Scored]] = {}
    for one in scored:
        groups.setdefault((one.line.verifier or one.line.task, one.line.split), []).append(one)
    return [_row(task, split, answers) for (task, split), answers in groups.items()]


def _row(task: str, split: str, answers: Sequence[Scored]) -> Row:
    items: dict[Any, int] = {}
    values: dict[int, list[float]] = {}
    scenes: dict[int, str] = {}
    malformed = errors = 0
    for one in answers:
        item = items.setdefault(_question(one.line), len(items))
        if one.reward.error is not None or one.reward.value is None:
            errors += 1
            continue
        values.setdefault(item, []).append(one.reward.value)
        # A question without a scene is one by itself.
        scenes[item] = one.scene or str(item)
        malformed += not one.formed
    mean = None
    if values:
        judged = [
            Answer("", 0, split, task, item, scenes[item], sum(own) / len(own))
            for item, own in values.items()
        ]
        mean = bootstrap(collect(judged, [""], [task])).estimate(0, [0])
    return Row(task, split, len(answers), len(items), mean, malformed, errors)
