"""A trained run on the items of its suite: every split, every category."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlmloom.components.contracts.sample import Sample
from vlmloom.components.contracts.suite import Suite
from vlmloom.components.contracts.task import Task
from vlmloom.pipelines.answering import Answerer
from vlmloom.pipelines.report.record import Answer, Category, read_answers, write_answers
from vlmloom.registry.errors import UserError

Tick = Callable[[int, int], None]
"""Called with (done, total) items."""


@dataclass(frozen=True)
class Items:
    """How many items of a category are asked, by split.

    Attributes:
        test: of the test split.
        other: of every other split that is there.
    """

    test: int = 100
    other: int = 40

    def count(self, split: str) -> int:
        """Items a category of this split."""
        return self.test if split == "test" else self.other


def evaluated_splits(suite: Suite) -> dict[str, list[str]]:
    """The splits that are evaluated, with the tasks that each has here."""
    splits = suite.splits()
    return {split: tasks for split, tasks in splits.items() if split not in ("train", "validation") and tasks}


def categories(suite: Suite, split: str = "test") -> list[Category]:
    """What the report is told about each task that has this split."""
    found = []
    for name in suite.splits().get(split, []):
        task = suite.tasks[name]
        if task.steps > 1:
            found.append(Category(name, task.family, bool(task.visual)))
            continue
        sample = task.plan(split, 0)
        chance = 1 / len(sample.choices) if sample.choices else None
        found.append(Category(name, getattr(task, "family", ""), bool(task.visual), chance))
    return found


def sheet(
    suite: Suite, split: str, tasks: Sequence[str], count: int
) -> Iterator[tuple[str, Task, list[Sample]]]:
    """The items of a split, task by task; the same for every design and seed."""
    for name in tasks:
        task = suite.tasks[name]
        yield name, task, [task.plan(split, index) for index in range(count)]


def answers_file(folder: Path, design: str, split: str, items: Items) -> Path:
    """Where the answers of a run to so many items of a split are kept."""
    return folder / f"answers-{design}-{split}-{items.count(split)}.jsonl"


def judged(task: Task, sample: Sample, response: str) -> float:
    """How right an answer is, from 0 to 1.

    Raises:
        UserError: the checker fails on it, which is no wrong answer.
    """
    reward = task.check(sample, response)
    if reward.value is None:
        raise UserError(f"{sample.task}#{sample.index} of {sample.split}: the checker failed: {reward.error}")
    return float(reward.value)


def evaluate(
    answerer: Answerer,
    folder: Path,
    *,
    design: str,
    seed: int,
    items: Items = Items(),
    tick: Tick | None = None,
) -> list[Answer]:
    """Answer every item of every split; splits that are on disk already are read.

    Args:
        answerer: of a trained run.
        folder: where `answers-SPLIT.jsonl` are kept.
        design: the name in the report.
        seed: of the training.
        items: how many.
        tick: told of progress.

    Raises:
        UserError: a checker fails on an answer, or a file holds answers to other items; it is named.
    """
    suite = answerer.data.suite
    splits = evaluated_splits(suite)
    total = sum(items.count(split) * len(tasks) for split, tasks in splits.items())
    done, found = 0, []
    for split, tasks in splits.items():
        path = answers_file(folder, design, split, items)
        if path.exists():
            part = read_answers(path)
            asked = {(name, index) for name in tasks for index in range(items.count(split))}
            if {(answer.category, answer.item) for answer in part} != asked or len(part) != len(asked):
                raise UserError(
                    f"{path}: found {len(part)} answers, but to other items than the {len(asked)} that are "
                    "asked; without the file they are given again"
                )
        else:
            part = []
            for name, task, samples in sheet(suite, split, tasks, items.count(split)):
                for sample, response, seconds in answerer.stream(samples):
                    correct = judged(task, sample, response)
                    part.append(
                        Answer(
                            design,
                            seed,
                            split,
                            name,
                            sample.index,
                            sample.scene.key,
                            correct,
                            response,
                            sample.answer,
                            seconds,
                        )
                    )
                if tick is not None:
                    tick(done + len(part), total)
            write_answers(path, part)
        done += len(part)
        found += part
    return found
