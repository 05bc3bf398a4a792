"""The contract of the kind `suite`: a mixture of tasks as one indexed stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping

from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.contracts.task import Task

FAMILIES = ("perception", "documents", "reasoning", "video", "agentic")
"""The families of tasks, in the order of reports."""

SPLITS = ("train", "validation", "test", "shift", "compositional", "corrupt")
"""Seen kinds of scenes; unseen scenes twice; another drawing style; pairs of things never seen together;
pictures that were spoilt."""


class Suite(ABC):
    """Tasks in fixed proportions. `plan` is a pure function of (seed, split, index).

    Attributes:
        tasks: by the name under which results are reported.
    """

    tasks: dict[str, Task]

    @abstractmethod
    def plan(self, split: str, index: int) -> Sample:
        """Item `index` of the mixture; `Sample.task` says which task it came from."""

    @abstractmethod
    def check(self, sample: Sample, response: str) -> Reward:
        """Judge an answer by the sample's own task."""

    @abstractmethod
    def splits(self) -> dict[str, list[str]]:
        """Split -> the tasks that have it here; a split without tasks is absent."""

    @abstractmethod
    def prepare(self) -> None:
        """Prepare every source that is installed; safe in several processes at once."""

    @abstractmethod
    def availability(self) -> dict[str, str]:
        """Source -> `ready`, or one line that says what to install."""

    @abstractmethod
    def text_corpus(self, items: int) -> Iterator[str]:
        """Text of the first training items (questions, answers, captions), for a tokenizer."""

    def words(self, language: str) -> Mapping[str, str]:
        """What `describe` calls things, colours and ordinals in a language, by their English words.

        Raises:
            ValueError: the language is not known here.
        """
        if language == "en":
            return {}
        raise ValueError(f"captions in {language!r} are not known here; en would be right")
