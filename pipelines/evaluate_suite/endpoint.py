"""A model behind an OpenAI-compatible endpoint; what fails in spite of all tries is a fault of its item."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from vlmloom.components.contracts.sample import Sample
from vlmloom.components.endpoint.chat import Chat, Failed, picture_parts
from vlmloom.pipelines.evaluate_suite.record import Reply
from vlmloom.registry.errors import UserError, named, one_line

FIRST_PAUSE = 0.5


class Endpoint:
    """Asks `URL/chat/completions`; pictures go along as data URLs, a clip frame by frame.

    Args:
        url: to `/v1`.
        model: its name there.
        key_env: the environment variable that holds the key, sent as a bearer token where it is set.
        concurrency: questions under way at once.
        timeout: seconds that one try may take, from the first byte sent to the last one read.
        tries: how often a question is asked before it counts as failed.
        tokens: the longest answer.
        temperature: of sampling.
    """

    scripted = False

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key_env: str = "OPENAI_API_KEY",
        concurrency: int = 8,
        timeout: float = 120.0,
        tries: int = 5,
        tokens: int = 1024,
        temperature: float = 0.0,
    ) -> None:
        self.secret = os.environ.get(key_env, "")
        try:
            self.chat = Chat(url, tries=tries, timeout=timeout, pause=FIRST_PAUSE)
        except ValueError as error:
            raise UserError(f"evaluate: {error}") from None
        self.name, self.model, self.concurrency = model, model, concurrency
        # At the end of a batch some wait for the slowest, so it is a long one.
        self.batch = 32 * concurrency
        self.settings = {"max_tokens": tokens, "temperature": temperature}
        self.key: dict[str, Any] = {"endpoint": url.rstrip("/"), "model": model} | self.settings

    def replies(self, samples: Sequence[Sample]) -> Iterator[tuple[int, Reply]]:
        """See `Target`; as they come back."""
        pool = ThreadPoolExecutor(self.concurrency)
        try:
            places = {pool.submit(self._reply, sample): place for place, sample in enumerate(samples)}
            for done in as_completed(places):
                yield places[done], done.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _reply(self, sample: Sample) -> Reply:
        begun = time.perf_counter()

        def taken() -> float:
            return time.perf_counter() - begun

        try:
            request = {"model": self.model, "messages": messages(sample)} | self.settings
            found = self.chat.ask(request, self.secret)
        except Failed as fault:
            return Reply(None, taken(), tries=fault.tries, error=one_line(fault))
        except Exception as fault:
            return Reply(None, taken(), error=named(fault))
        usage = found.usage
        text = found.refusal if found.text is None else found.text
        return Reply(
            text,
            taken(),
            usage.get("prompt_tokens"),
            usage.get("completion_tokens"),
            tries=found.tries,
            cut=found.finish == "length",
        )


def messages(sample: Sample) -> list[dict[str, Any]]:
    """The question as one message of a user."""
    content: list[dict[str, Any]] = []
    for part in sample.prompt:
        if isinstance(part, str):
            content.append({"type": "text", "text": part})
        else:
            content += picture_parts(part)
    return [{"role": "user", "content": content}]
