"""A model behind an OpenAI-compatible endpoint.

Whatever goes wrong on the way (no connection, a cut one, a status that may pass, an answer that is none) is
tried again after a pause that doubles, or as long as the server asks for, and then is told as a fault of the
item.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from vlmloom.components.contracts.sample import Picture, Sample
from vlmloom.components.media.png import data_url, png
from vlmloom.pipelines.evaluate_suite.record import Reply
from vlmloom.registry.errors import UserError, named, one_line

PASSING = (408, 409, 425, 429, 500, 502, 503, 504)
"""Statuses that another try may not meet."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
LARGEST = 16 * 2**20
"""Bytes of an answer that are read."""


class Failed(Exception):
    """A try that gave no answer.

    Attributes:
        again: whether another may.
        pause: seconds that the server asks to wait.
    """

    def __init__(self, told: str, again: bool = True, pause: float | None = None) -> None:
        super().__init__(told)
        self.again, self.pause = again, pause


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
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(f"evaluate: {url} is no address; http://localhost:8000/v1 would be right")
        self.name, self.parts, self.model = model, parts, model
        self.concurrency, self.timeout, self.tries = concurrency, timeout, tries
        # At the end of a batch some wait for the slowest, so it is a long one.
        self.batch = 32 * concurrency
        self.settings = {"max_tokens": tokens, "temperature": temperature}
        self.secret = os.environ.get(key_env, "")
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
        told, tried, pause = "", 0, FIRST_PAUSE
        try:
            body = json.dumps(
                {"model": self.model, "messages": messages(sample)} | self.settings, ensure_ascii=False
            ).encode()
            for tried in range(1, self.tries + 1):
                try:
                    text, usage = self._try(body)
                    taken = time.perf_counter() - begun
                    return Reply(
                        text, taken, usage.get("prompt_tokens"), usage.get("completion_tokens"), tries=tried
                    )
                except Failed as fault:
                    told = one_line(fault)
                    if not fault.again or tried == self.tries:
                        break
                    # What several requests wait for, they should not all ask for again at one moment.
                    time.sleep(fault.pause if fault.pause is not None else pause * random.uniform(0.75, 1.25))
                    pause = min(2 * pause, LONGEST_PAUSE)
        except Exception as fault:
            told = named(fault)
        return Reply(None, time.perf_counter() - begun, tries=max(tried, 1), error=told)

    def _try(self, body: bytes) -> tuple[str, dict[str, Any]]:
        until = time.monotonic() + self.timeout
        status, headers, raw = self._send(body, until)
        if status != 200:
            told = raw[:200].decode(errors="replace").strip()
            raise Failed(f"HTTP {status}: {told}", status in PASSING, _asked_pause(headers))
        try:
            found = json.loads(raw)
            message = found["choices"][0]["message"]
            text = message["content"]
            if isinstance(text, list):
                text = "".join(part["text"] for part in text if part.get("type") == "text")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as fault:
            start = raw[:80].decode(errors="replace")
            raise Failed(f"no completion ({type(fault).__name__}): {start!r}") from None
        if text is None and message.get("refusal"):
            text = str(message["refusal"])
        if not isinstance(text, str):
            raise Failed(f"content is {type(text).__name__}, but a text is needed")
        usage = found.get("usage")
        counts = usage if isinstance(usage, dict) else {}
        return text, {name: count for name, count in counts.items() if isinstance(count, int)}

    def _send(self, body: bytes, until: float) -> tuple[int, http.client.HTTPMessage, bytes]:
        parts = self.parts
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(str(parts.hostname), parts.port, timeout=self.timeout)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.secret:
            headers["Authorization"] = f"Bearer {self.secret}"
        try:
            connection.request("POST", f"{parts.path.rstrip('/')}/chat/completions", body, headers)
            # A server that sends a byte now and then never meets the limit of a single read.
            response = connection.getresponse()
            raw = bytearray()
            while chunk := response.read1(65536):
                raw += chunk
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                if len(raw) > LARGEST:
                    raise Failed(f"more than {LARGEST:,} bytes", again=False)
                if connection.sock is not None:
                    connection.sock.settimeout(left)
            if response.length:
                raise Failed(f"cut off with {response.length} bytes to come")
            return response.status, response.headers, bytes(raw)
        except TimeoutError:
            raise Failed(f"no whole answer within {self.timeout:g} s") from None
        except (OSError, http.client.HTTPException) as fault:
            raise Failed(named(fault)) from None
        finally:
            connection.close()


def _asked_pause(headers: http.client.HTTPMessage) -> float | None:
    """The seconds that `Retry-After` asks for, as a number or a date, at most `LONGEST_PAUSE`."""
    asked = headers.get("Retry-After", "").strip()
    try:
        seconds = float(asked)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(asked).timestamp() - time.time()
        except (ValueError, TypeError):
            return None
    return min(max(seconds, 0.0), LONGEST_PAUSE) if seconds == seconds else None


def messages(sample: Sample) -> list[dict[str, Any]]:
    """The question as one message of a user."""
    content: list[dict[str, Any]] = []
    for part in sample.prompt:
        if isinstance(part, str):
            content.append({"type": "text", "text": part})
        else:
            content += [{"type": "image_url", "image_url": {"url": url}} for url in data_urls(part)]
    return [{"role": "user", "content": content}]


def data_urls(picture: Picture) -> list[str]:
    """The frames of a picture as PNG data URLs."""
    return [data_url(png(frame)) for frame in picture.render()]
