"""The contract of the kind `task`: a category of questions with its verifier."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Episode, Reward, Sample
from vlmloom.components.contracts.sources import Source


class Task(ABC):
    """A category of questions over sources, with its own verifier.

    `plan` is a pure function of (seed, split, index) and draws nothing.

    Attributes:
        name: under which results are reported.
        family: perception, documents, reasoning, video or agentic.
        visual: whether its questions have pictures.
        knob: the constructor's argument that makes it harder.
        steps: the most acts of an episode. A task of one is asked by `plan` and judged by `check`; one of
            more is run by `open`, and the episode says how it went.
    """

    name: str
    family: ClassVar[str] = ""
    visual: bool = True
    knob: ClassVar[str] = ""
    steps: int = 1

    @abstractmethod
    def plan(self, split: str, index: int) -> Sample:
        """The item, its pictures not yet drawn."""

    def sources(self) -> Sequence[Source]:
        """What it is made from, beside what the tasks of a suite share."""
        return ()

    def judge(self) -> dict[str, Any]:
        """The verifier as it would be written in YAML; another kind is reached by its name."""
        return {"use": "reward/exact"}

    @cached_property
    def verifier(self) -> Verifier:
        """What judges the answers; may be replaced."""
        from vlmloom.registry import build

        verifier: Verifier = build(self.judge())
        return verifier

    def check(self, sample: Sample, response: str) -> Reward:
        """Judge an answer."""
        return self.verifier.judge(sample, [response])[0]

    @abstractmethod
    def open(self, split: str, index: int) -> Episode:
        """The item as an episode, of one step where `steps` is 1."""
