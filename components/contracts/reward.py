"""The contract of the kind `reward`: a group of answers to one question in, a list of rewards out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Literal

from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.registry import name_of
from vlmloom.registry.errors import named

OnError = Literal["raise", "skip"] | float
"""What becomes of an answer whose judging failed: the failure itself, no value, or this value."""


WHOLE = 1_000_000
"""Characters of an answer with its thoughts; a longer one is wrong, and is not looked at."""
THOUGHT = re.compile(r"(?:\s*<think>)?(?:(?!</?think>).)*</think>((?:(?!</?think>).)*)", re.S)
ANSWERED = re.compile(r"\s*<answer>((?:(?!</?answer>).)*)</answer>\s*", re.S)
BOXED = re.compile(r"\s*<\|begin_of_box\|>((?:(?!<\|(?:begin|end)_of_box\|>).)*)<\|end_of_box\|>\s*", re.S)
TAGS = ("<think>", "</think>", "<answer>", "</answer>")
INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060"
"""What may stand at the ends of a text unseen: a byte order mark, spaces and joiners of no width."""


class VerifierFailed(RuntimeError):
    """A verifier could not judge an answer, and its policy is to raise."""


class Verifier:
    """Judges answers to one question. Verifiers promise values in [0, 1], and 1 for the gold answer.

    Thoughts between `<think>` and `</think>` before an answer are not judged (see `spoken`).

    A failure of judging is never a low reward in disguise: what `score` raises becomes `Reward.error`, and
    `on_error` says what else. A subclass has `score`, or `judge` where answers are judged together.

    Args:
        on_error: `raise` a `VerifierFailed`; `skip` the answer, whose value is None then; or a value for it.
            The error is told in every case.

    Attributes:
        longest: characters of an answer without its thoughts; a longer one is wrong, and is not looked at.
    """

    longest: ClassVar[int] = 100_000

    def __init__(self, *, on_error: OnError = "skip") -> None:
        self.on_error = on_error

    @property
    def together(self) -> bool:
        """Whether a group is judged at once; else each answer may as well be judged by itself."""
        return type(self).judge is not Verifier.judge

    def score(self, sample: Sample, response: str) -> Reward:
        """Judge one answer; may raise whatever goes wrong."""
        raise NotImplementedError

    def judge(self, sample: Sample, responses: Sequence[str]) -> list[Reward]:
        """Judge a group of answers, each by itself, in their order.

        Raises:
            VerifierFailed: judging failed, and the policy is to raise.
        """
        return [self._judged(sample, response) for response in responses]

    def too_long(self, response: str) -> str:
        """Why an answer is not read; empty where it is."""
        if len(response) > WHOLE:
            return f"{len(response):,} characters with the thoughts; at most {WHOLE:,} are judged"
        if len(response) <= self.longest or len(said := spoken(response)) <= self.longest:
            return ""
        return f"{len(said):,} characters; at most {self.longest:,} are judged"

    def _judged(self, sample: Sample, response: str) -> Reward:
        if said := self.too_long(response):
            return Reward(0.0, reason=said)
        said = spoken(response)
        if tag := next((tag for tag in TAGS if tag in said and tag not in sample.answer), ""):
            # What stands in thoughts that do not end, or behind an answer, is none.
            return Reward(
                0.0, reason=f"{tag} out of place: <think>..</think> and then the answer would be right"
            )
        try:
            return self.score(sample, said)
        except Exception as error:
            return self.failed(named(error), error)

    def failed(self, error: str, cause: Exception | None = None) -> Reward:
        """What the policy makes of a failure.

        Raises:
            VerifierFailed: the policy is to raise.
        """
        if self.on_error == "raise":
            name = name_of(self)
            raise VerifierFailed(f"{name}: {error}") from cause
        return Reward(None if self.on_error == "skip" else float(self.on_error), error=error)


def spoken(response: str) -> str:
    r"""An answer without the thoughts before it, its tags, and the box round all of it; line ends are `\n`.

    What has another form stands as it is, and is wrong where a tag of these is left in it.

    >>> spoken("<think>a cat? no</think>\n<answer>dog</answer>"), spoken("</think>dog"), spoken("<think>dog")
    ('dog', 'dog', '<think>dog')
    >>> spoken("<think>a cat?</think>\n<|begin_of_box|>dog<|end_of_box|>"), spoken("\ufeffdog\r\n")
    ('dog', 'dog\n')
    """
    said = response.replace("\r\n", "\n").strip(INVISIBLE)
    if "</think>" in said and (thought := THOUGHT.fullmatch(said)):
        said = thought[1].strip()
    for form, sign in ((ANSWERED, "</answer>"), (BOXED, "<|end_of_box|>")):
        if sign in said and (match := form.fullmatch(said)):
            said = match[1].strip()
    return said
