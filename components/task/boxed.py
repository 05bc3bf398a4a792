"""A task in the published answer format: thoughts, then one boxed answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vlmloom.components.contracts.sample import Episode, Sample
from vlmloom.components.contracts.sources import Source
from vlmloom.components.contracts.suite import SPLITS
from vlmloom.components.contracts.task import Task
from vlmloom.components.task.base import OneStep

INSTRUCTION = (
    "Think between <think> and </think>, then answer between <answer> and </answer>; the answer holds the "
    "bare result between <|begin_of_box|> and <|end_of_box|>, exactly once."
)


class Boxed(Task):
    """Another task's items with the instruction behind the question, judged by `reward/boxed`.

    An episode of several steps is left as it is: its acts have a form of their own.

    Args:
        task: whose items these are.

    Reference: the answer format of GLM-4.1V-Thinking, arXiv 2507.01006.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.name, self.visual, self.written = task.name, task.visual, getattr(task, "written", False)
        self.family, self.knob, self.steps = task.family, task.knob, task.steps  # type: ignore[misc]

    def splits(self) -> Sequence[str]:
        """Those of the task."""
        has = getattr(self.task, "splits", None)
        return SPLITS[:3] if has is None else has()

    def sources(self) -> Sequence[Source]:
        """Those of the task."""
        return self.task.sources()

    def plan(self, split: str, index: int) -> Sample:
        """The item, its question with the instruction and its gold answer in the box."""
        sample = self.task.plan(split, index)
        if self.steps > 1:
            return sample
        return replace(sample, prompt=[*sample.prompt, f"\n{INSTRUCTION}"], answer=boxed(sample.answer))

    def judge(self) -> dict[str, Any]:
        """The format first, then the task's own judge on what is in the box."""
        return {"use": "reward/boxed", "verifier": self.task.judge()}

    def open(self, split: str, index: int) -> Episode:
        """The item as an episode."""
        return self.task.open(split, index) if self.steps > 1 else OneStep(self, self.plan(split, index))


def boxed(answer: str) -> str:
    """An answer in the format, nothing thought.

    >>> boxed("7")
    '<think></think><answer><|begin_of_box|>7<|end_of_box|></answer>'
    """
    return f"<think></think><answer><|begin_of_box|>{answer}<|end_of_box|></answer>"


def unboxed(response: str) -> str:
    """What is in the box of an answer, or the answer itself where it has none.

    >>> unboxed(boxed("7")), unboxed("7")
    ('7', '7')
    """
    _, begun, rest = response.rpartition("<|begin_of_box|>")
    return rest.partition("<|end_of_box|>")[0] if begun else response
