"""A language model behind an OpenAI-compatible endpoint as judge."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vlmloom.components.contracts.reward import OnError, Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.media.png import data_url, png
from vlmloom.components.reward.judging import ASK, FIELDS, asked, guarded, same
from vlmloom.components.reward.parsed import once_each
from vlmloom.registry import register

VERDICT = 'Write one line of JSON and nothing else: {"verdict": "yes" or "no", "mark": "{mark}"}'
SCORE = 'Write one line of JSON and nothing else: {"score": a number from 0 to 10, "mark": "{mark}"}'
MOST_BYTES = 1 << 20
"""Of a reply."""
AGAIN = {408, 409, 425, 429, 500, 502, 503, 504}
"""HTTP statuses after which the same request may do better."""


class NoVerdict(RuntimeError):
    """The judge gave no verdict; `again` says whether asking once more may help, `wait` how long to wait."""

    def __init__(self, text: str, again: bool = False, wait: float = 0.0) -> None:
        super().__init__(text)
        self.again, self.wait = again, wait


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
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"reward/judge_endpoint: url is {url!r}; http://HOST/v1 would be right")
        lost = [field for field in FIELDS if "{" + field + "}" not in template]
        if lost:
            raise ValueError(
                f"reward/judge_endpoint: template lacks {{{lost[0]}}}; all of {FIELDS} are right"
            )
        self.url, self.model, self.scale, self.template = url.rstrip("/"), model, scale, template
        self.pictures, self.key_variable, self.seconds = pictures, key_variable, seconds
        self.attempts, self.pause, self.concurrency = attempts, pause, concurrency
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
        body = self._request(sample, prompt)
        deadline, attempt = time.monotonic() + self.seconds, 1
        while True:
            try:
                return self._reward(self._post(body, deadline), mark)
            except NoVerdict as fault:
                wait = max(fault.wait, self.pause * 2 ** (attempt - 1))
                late = time.monotonic() + wait >= deadline
                if not fault.again or attempt >= self.attempts or late:
                    raise NoVerdict(f"{fault} (attempt {attempt} of {self.attempts})") from fault
            attempt += 1
            time.sleep(wait)

    def _request(self, sample: Sample, prompt: str) -> dict[str, Any]:
        content: str | list[dict[str, Any]] = prompt
        if self.pictures and sample.pictures:
            urls = [data_url(png(frame)) for picture in sample.pictures for frame in picture.render()]
            content = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
            content.append({"type": "text", "text": prompt})
        messages = [{"role": "user", "content": content}]
        return {
            "model": self.model,
            "messages": messages,
            "temperature": 0,
            "max_tokens": self.most_tokens,
        }

    def _post(self, body: dict[str, Any], deadline: float) -> str:
        """The text of a reply.

        Raises:
            NoVerdict: there is none.
        """
        try:
            import httpx
        except ImportError:
            raise NoVerdict("httpx is not installed; pip install 'vlmloom[serve]' would be right") from None
        key = os.environ.get(self.key_variable, "") if self.key_variable else ""
        if self.key_variable and not key:
            raise NoVerdict(f"the environment variable {self.key_variable} is empty; the key would be right")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        left = max(deadline - time.monotonic(), 1e-3)
        read = bytearray()
        try:
            with (
                httpx.Client(timeout=left, trust_env=False) as client,
                client.stream("POST", f"{self.url}/chat/completions", json=body, headers=headers) as reply,
            ):
                if reply.status_code != 200:
                    again = reply.status_code in AGAIN
                    raise NoVerdict(f"HTTP {reply.status_code}", again, _seconds(reply.headers))
                for piece in reply.iter_bytes():
                    read += piece
                    # The client's limit is for each read; a reply that trickles has to end too.
                    if time.monotonic() > deadline:
                        raise NoVerdict(f"no reply within {self.seconds:g} seconds")
                    if len(read) > MOST_BYTES:
                        raise NoVerdict(f"a reply of more than {MOST_BYTES:,} bytes")
        except httpx.TimeoutException:
            raise NoVerdict(f"no reply within {self.seconds:g} seconds") from None
        except httpx.HTTPError as error:
            raise NoVerdict(f"{type(error).__name__}: {error}", again=True) from None
        return _content(bytes(read))

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


def _content(read: bytes) -> str:
    """What a reply's message says.

    Raises:
        NoVerdict: it says nothing, or was refused or cut off.
    """
    try:
        choice = json.loads(read)["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        if message.get("refusal") or finish == "content_filter":
            raise NoVerdict("the judge refused")
        if finish == "length":
            raise NoVerdict("the judge's reply was cut off; more most_tokens would be right")
        content = message["content"]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        shown = read[:60].decode("utf-8", "replace")
        raise NoVerdict(f"the endpoint answered {shown!r}, which is no chat completion") from None
    if not isinstance(content, str) or not content.strip():
        raise NoVerdict("the judge's reply is empty")
    return content


def _seconds(headers: Any) -> float:
    """What `Retry-After` says where it is a number of seconds."""
    try:
        value = float(headers.get("retry-after", 0))
    except ValueError:
        return 0.0
    return value if 0 <= value < math.inf else 0.0
