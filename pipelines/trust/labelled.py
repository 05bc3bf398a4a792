"""Answers whose worth is known, and answers that want more than they are worth."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vlmloom.components.contracts.sample import Sample, Scene
from vlmloom.pipelines.trust.attacks import fenced, general, worded
from vlmloom.pipelines.trust.forms import wrapped


@dataclass(frozen=True)
class Labelled:
    """One question with answers to it.

    Attributes:
        verifier: as it would be written in YAML.
        answer: the gold answer.
        truth: what else the verifier needs.
        choices: of the sample.
        right: other answers that are worth 1.
        wrong: answers that are worth half or less.
        attacks: attacks on this verifier in particular, by kind.
        partial: kinds of attacks that may be worth more than a half here, but not 1.
        fair: kinds that are no attacks here.
        attacked: whether general attacks are made; where they take long, a few questions suffice.
        wrapped: whether the gold answer is right in every form of `forms.wrapped` too.
        worse: answers from good to bad, each worth at most as much as the one before; the gold is led.
    """

    verifier: dict[str, Any]
    answer: str
    truth: dict[str, Any] = field(default_factory=dict)
    choices: tuple[str, ...] = ()
    right: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    attacks: dict[str, str] = field(default_factory=dict)
    partial: frozenset[str] = frozenset()
    fair: frozenset[str] = frozenset()
    worse: tuple[str, ...] = ()
    attacked: bool = True
    wrapped: bool = True

    @property
    def other(self) -> str:
        """A wrong answer, to stand beside the right one."""
        return next((one for one in (*self.choices, *self.wrong) if one not in ("", self.answer)), "zebra")

    @property
    def sample(self) -> Sample:
        """The question as verifiers take it."""
        return Sample("trust", "test", 0, [], self.answer, Scene(""), choices=self.choices, truth=self.truth)

    def rights(self) -> tuple[str, ...]:
        """Every right answer, the gold one first."""
        return (self.answer, *self.right, *(wrapped(self.answer) if self.wrapped else ()))

    def attempts(self) -> dict[str, str]:
        """Every attack, by kind."""
        found: dict[str, str] = {}
        if self.attacked:
            found = general(self.answer, self.choices)
            found |= worded(self.answer, self.other) | fenced(self.answer, self.other)
        return {kind: text for kind, text in found.items() if kind not in self.fair} | self.attacks
