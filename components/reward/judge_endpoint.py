"""A language model behind an OpenAI-compatible endpoint as judge."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vlmloom.components.contracts.reward import OnError, Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.endpoint.chat import Chat, Completion, Failed, picture_parts
from vlmloom.components.reward.json_text import once_each
from vlmloom.components.reward.judging import ASK, FIELDS, asked, guarded, same
from vlmloom.registry import register

VERDICT = 'Write one line of JSON and nothing else: {"verdict": "yes" or "no", "mark": "{mark}"}'
SCORE = 'Write one line of JSON and nothing else: {"score": a number from 0 to 10, "mark": "{mark}"}'
MOST_BYTES = 1 << 20
"""Of a reply."""


class NoVerdict(RuntimeError):
    """The judge gave no verdict."""


@register("reward/judge_endpoint")
class EndpointJudge(Verifier):
    """A judge asked over HTTP (`POST url/chat/completions`): right or wrong, or 0 to 10 over 10.

    The prompt holds question, gold answer and answer between lines with a mark that depends on all three,
    so that no answer can close its part. Invisible signs and lines that speak to the judge are taken out
    before. The verdict is the whole reply, JSON with the mark in it: a verdict that was copied out of the
    answer has no mark, and prose has no verdict. No verdict, for whatever reason (down, slow, refused,
    429, garbage), is a failure of judging and never a low reward. The gold answer itself is right unasked.

    Args:
        url: of the endpoint, up to and with `/v1`.
        model: its name there.
        scale: ask for a number from 0 to 10 rather than for yes or no.
        template: another prompt, with `{mark}`, `{question}`, `{gold}` and `{response}` in it.
        pictures: whether the judge is sent them.
        key_variable: the environment variable that holds the endpoint's key; None sends none.
        seconds: for one answer, all attempts and pauses together.
        attempts: how often one answer is asked about at most.
        pause: seconds before the second attempt; it doubles, and a `Retry-After` counts where it is longer.
        concurrency: answers of a group that are asked about at once.
        longest_answer: characters of an answer that a judge is shown; a longer one is wrong.
        most_tokens: of a reply.
        on_error: see `Verifier`.

    Raises:
        ValueError: a number is out of range, or the template lacks a field.
    """

    def __init__(
        self,
        *,
        url: str,
        model: str,
        scale: bool = False,
        template: str = ASK,
        pictures: bool = False,
        key_variable: str | None = None,
        seconds: float = 60.0,
        attempts: int = 4,
        pause: float = 0.5,
        concurrency: int = 8,
        longest_answer: int = 2_000,
        most_tokens: int = 256,
        on_error: OnError = "skip",
    ) -> None:
        super().__init__(on_error=on_error)
        for name, value, least in (
            ("seconds", seconds, 1e-3),
            ("attempts", attempts, 1),
            ("pause", pause, 0),
            ("concurrency", concurrency, 1),
            ("longest_answer", longest_answer, 1),
            ("most_tokens", most_tokens, 1),
        ):
            if not least <= value < math.inf:
                raise ValueError(f"reward/judge_endpoint: {name} is {value}; {least} or more would be right")
        lost = [field for field in FIELDS if "{" + field + "}" not in template]
        if lost:
            raise ValueError(
                f"reward/judge_endpoint: template lacks {{{lost[0]}}}; all of {FIELDS} are right"
            )
        try:
            self.chat = Chat(
                url, tries=attempts, timeout=seconds, total=seconds, pause=pause, most_bytes=MOST_BYTES
            )
        except ValueError as error:
            raise ValueError(f"reward/judge_endpoint: {error}") from None
        self.model, self.scale, self.template = model, scale, template
        self.pictures, self.key_variable, self.concurrency = pictures, key_variable, concurrency
        self.longest_answer, self.most_tokens = longest_answer, most_tokens

    def judge(self, sample: Sample, responses: Sequence[str]) -> list[Reward]:
        """See `Verifier`: the answers of a group are asked about side by side."""
        if len(responses) < 2:
            return super().judge(sample, responses)
        with ThreadPoolExecutor(min(self.concurrency, len(responses))) as pool:
            return list(pool.map(lambda response: self._judged(sample, response), responses))

    def score(self, sample: Sample, response: str) -> Reward:
        """Ask, again where that may help, until there is a verdict or the time is up."""
        if same(response, sample.answer):
            return Reward(1.0, reason="the right answer itself")
        shown, refused = guarded(response, self.longest_answer)
        if refused:
            return Reward(0.0, reason=refused)
        prompt, mark = asked(sample, shown, "\n" + (SCORE if self.scale else VERDICT), self.template)
        key = os.environ.get(self.key_variable, "") if self.key_variable else ""
        if self.key_variable and not key:
            raise NoVerdict(f"the environment variable {self.key_variable} is empty; the key would be right")
        try:
            found = self.chat.ask(self._request(sample, prompt), key)
        except Failed as fault:
            raise NoVerdict(f"{fault} (attempt {fault.tries} of {self.chat.tries})") from fault
        return self._reward(_content(found), mark)

    def _request(self, sample: Sample, prompt: str) -> dict[str, Any]:
        content: str | list[dict[str, Any]] = prompt
        if self.pictures and sample.pictures:
            content = [part for picture in sample.pictures for part in picture_parts(picture)]
            content.append({"type": "text", "text": prompt})
        messages = [{"role": "user", "content": content}]
        return {
            "model": self.model,
            "messages": messages,
            "temperature": 0,
            "max_tokens": self.most_tokens,
        }

    def _reward(self, text: str, mark: str) -> Reward:
        """The reward that a reply gives.

        Raises:
            NoVerdict: it is not the line that was asked for.
        """
        key = "score" if self.scale else "verdict"
        shown = text if len(text) < 80 else text[:77] + "..."
        try:
            found = json.loads(text.rpartition("</think>")[2], object_pairs_hook=once_each)
        except (ValueError, RecursionError):
            raise NoVerdict(f"the judge wrote {shown!r}, which is no JSON") from None
        if not isinstance(found, dict) or set(found) != {key, "mark"}:
            raise NoVerdict(f"the judge wrote {shown!r}; {key} and mark would be right")
        if found["mark"] != mark:
            raise NoVerdict(f"the judge wrote {shown!r} with another mark than it was given")
        value = found[key]
        if not self.scale:
            if value not in ("yes", "no"):
                raise NoVerdict(f"the judge's verdict is {value!r}; yes or no would be right")
            return Reward(float(value == "yes"), {"judge": float(value == "yes")}, f"the judge says {value}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10:
            raise NoVerdict(f"the judge's score is {value!r}; a number from 0 to 10 would be right")
        return Reward(value / 10, {"judge": value / 10}, f"the judge says {value:g} of 10")


def _content(found: Completion) -> str:
    """What a judge wrote.

    Raises:
        NoVerdict: nothing, or it refused or was cut off.
    """
    if found.refusal or found.finish == "content_filter":
        raise NoVerdict("the judge refused")
    if found.finish == "length":
        raise NoVerdict("the judge's reply was cut off; more most_tokens would be right")
    if not found.text or not found.text.strip():
        raise NoVerdict("the judge's reply is empty")
    return found.text
