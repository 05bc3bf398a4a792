"""The published answer format round any verifier."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from vlmloom.components.contracts.reward import TAGS, OnError, Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.parsed import BEGIN, Unreadable, unboxed
from vlmloom.registry import register

FORM = re.compile(r"<think>.*</think>\s*<answer>(.*)</answer>", re.S)


@register("reward/boxed")
class Boxed(Verifier):
    r"""The form first, then what another verifier says of the boxed answer.

    The form is `<think>..</think><answer>..<|begin_of_box|>X<|end_of_box|>..</answer>`: each tag once, none
    within another, one box, in the answer, beside it at most words that lead to it, and no `\boxed{`. Any
    other answer is worth 0, and `parts` says `format` 0. A failure of the inner verifier is a failure here.

    Args:
        verifier: judges what is in the box against what is in the gold answer's box, or the whole gold answer
            where that has none.
        strict: whether thoughts and answer have to have their tags; else one box suffices, with no more
            beside it than there.
        on_error: see `Verifier`.

    Reference: arXiv 2507.01006; GLM-V, glmv_reward. There an answer may go without a box; not so here.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> from vlmloom.components.reward.number import Number
    >>> sample = Sample("t", "test", 0, [], "7", Scene(""))
    >>> answers = ["<think>3 + 4</think><answer><|begin_of_box|>7<|end_of_box|></answer>", "7"]
    >>> [(reward.value, reward.parts["format"]) for reward in Boxed(verifier=Number()).judge(sample, answers)]
    [(1.0, 1.0), (0.0, 0.0)]
    """

    def __init__(self, *, verifier: Verifier, strict: bool = True, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        self.verifier, self.strict = verifier, strict

    @property
    def together(self) -> bool:
        """As the inner verifier judges."""
        return self.verifier.together

    def judge(self, sample: Sample, responses: Sequence[str]) -> list[Reward]:
        """Judge a group; the inner verifier is asked once, about the answers in the right form."""
        rewards: list[Reward | None] = []
        inner: list[str] = []
        for response in responses:
            try:
                if said := self.too_long(response):
                    raise Unreadable(said)
                inner.append(in_box(response, self.strict))
                rewards.append(None)
            except Unreadable as error:
                rewards.append(Reward(0.0, {"format": 0.0}, f"format: {error}"))
        gold = in_box(sample.answer, False) if BEGIN in sample.answer else sample.answer
        judged = iter(self.verifier.judge(replace(sample, answer=gold), inner) if inner else ())
        return [self._told(next(judged)) if reward is None else reward for reward in rewards]

    def _told(self, reward: Reward) -> Reward:
        if reward.value is None:
            return self.failed(reward.error or "the inner verifier gave no value")
        return replace(reward, parts={"format": 1.0} | reward.parts)


def in_box(text: str, strict: bool) -> str:
    """What is in the box.

    Raises:
        Unreadable: the text has not the form.

    >>> in_box("<|begin_of_box|> cat <|end_of_box|>", strict=False)
    'cat'
    """
    text = text.strip()
    if "\\boxed{" in text:
        raise Unreadable("\\boxed{ is not the box that was asked for")
    body = text
    counts = [text.count(tag) for tag in TAGS]
    if strict:
        if wrong := next((tag for tag, count in zip(TAGS, counts, strict=True) if count != 1), ""):
            raise Unreadable(f"{text.count(wrong)} times {wrong}; once would be right")
        if (match := FORM.fullmatch(text)) is None:
            raise Unreadable("no <think>..</think><answer>..</answer>")
        body = match[1]
    elif max(counts) > 1:
        raise Unreadable("a tag twice")
    elif "</think>" in text:
        body = text.partition("</think>")[2]
    if BEGIN not in body:
        raise Unreadable("no box in the answer")
    if text.count(BEGIN) > 1:
        raise Unreadable(f"{text.count(BEGIN)} times {BEGIN}; once would be right")
    return unboxed(body if strict else body.replace(TAGS[2], " ").replace(TAGS[3], " "))
