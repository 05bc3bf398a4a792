"""What perception tasks share: their question in four languages, and a corrupt split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

from vlmloom.components.contracts.sample import Sample, describe
from vlmloom.components.task.base import Item, SceneTask
from vlmloom.components.task.corrupt import KINDS
from vlmloom.components.task.forms import BOX, of_choices
from vlmloom.components.task.world import World


class PerceptionTask(SceneTask):
    """A task about what is seen, asked in one of the languages that `asks` has a template for.

    Items are composed in English; `ask` and `word` put them into the language, and an answer or a choice
    that is a known word is put into it at the end. A task that a suite calls by its name and language
    (`name_zh`) has the items of the English one (`name`), so that the two can be compared pair by pair.

    Args:
        world: what is shared by the tasks of a suite.
        language: of question and answer: en, es, de or zh.
    """

    asks: ClassVar[Mapping[str, str | tuple[str, ...]]] = {}
    corruptions: ClassVar[tuple[str, ...]] = KINDS

    def __init__(self, *, world: World, language: str = "en") -> None:
        super().__init__(world=world)
        if language not in self.asks:
            known = ", ".join(self.asks)
            raise ValueError(f"task/{self.name}: language is {language!r}; one of {known} would be right")
        self.language = language

    @property
    def stream(self) -> str:
        """Its name without a language behind it."""
        return self.name.removesuffix(f"_{self.language}")

    @cached_property
    def words(self) -> dict[str, str]:
        """English words to those of the language; empty for English."""
        return self.world.words(self.language)

    def word(self, english: str) -> str:
        """A name, a colour or another known word in the language; what is not known stays as it is."""
        return self.words.get(english, english)

    def ask(self, *english: str, form: int = 0) -> str:
        """The question, its gaps filled with words; `form` says which, where there are several."""
        asks = self.asks[self.language]
        return (asks if isinstance(asks, str) else asks[form]).format(*map(self.word, english))

    def listed(self, names: Sequence[str]) -> str:
        """Names in the language, with commas."""
        return ("、" if self.language == "zh" else ", ").join(map(self.word, names))

    def either(self, names: Sequence[str], *more: str, form: int = 0) -> str:
        """The question, its first two gaps filled with all names but the last and with the last."""
        return self.ask(self.listed(names[:-1]), names[-1], *more, form=form)

    def form_of(self, item: Item) -> str:
        """See `SceneTask.form_of`; in the language, and that of a box where one is asked for."""
        if self.judge()["use"] == "reward/box":
            return BOX[self.language]
        return of_choices([self.word(choice) for choice in item.choices], item.question, self.language)

    def _sample(self, item: Item, split: str, index: int) -> Sample:
        sample = super()._sample(item, split, index)
        if self.language == "en":
            return sample
        return replace(
            sample,
            answer=self.word(item.answer),
            choices=tuple(map(self.word, item.choices)),
            caption=describe(sample.scene, self.words) if item.pictures else "",
            truth=item.truth | {"language": self.language},
        )
