"""A client of OpenAI-compatible endpoints, for models that answer and for models that judge.

Whatever goes wrong on the way (no connection, a cut one, a status that may pass, a reply that is none) is
tried again after a pause that doubles, or as long as the server asks for, and then is told in one line.
"""

from __future__ import annotations

import http.client
import json
import math
import random
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from time import sleep
from typing import Any
from urllib.parse import urlsplit

from vlmloom.components.contracts.sample import Picture
from vlmloom.components.media.png import data_url, png
from vlmloom.components.media.timed import timed
from vlmloom.registry.errors import named

PASSING = (408, 409, 425, 429, 500, 502, 503, 504)
"""Statuses that another try may not meet."""
LONGEST_PAUSE = 30.0


class Failed(RuntimeError):
    """There is no completion.

    Attributes:
        again: whether another try may give one.
        pause: seconds that the server asks to wait.
        tries: how often it was asked for.
    """

    def __init__(self, told: str, again: bool = True, pause: float = 0.0) -> None:
        super().__init__(told)
        self.again, self.pause, self.tries = again, pause, 1


@dataclass(frozen=True)
class Completion:
    """What a model wrote.

    Attributes:
        text: None where it wrote none.
        refusal: in place of a text, where it refused.
        finish: why it ended: `stop`, `length`, `content_filter`.
        usage: tokens, by the endpoint's names.
        tries: how often it was asked for.
    """

    text: str | None
    refusal: str
    finish: str
    usage: dict[str, int] = field(default_factory=dict)
    tries: int = 1


class Chat:
    """Asks `URL/chat/completions`.

    Args:
        url: to `/v1`.
        tries: how often a completion is asked for at most.
        timeout: seconds of one try, from the first byte sent to the last one read.
        total: seconds of all tries and pauses together.
        pause: seconds before the second try; it doubles, and a `Retry-After` counts where it is longer.
        most_bytes: of a reply.

    Raises:
        ValueError: the url is none.
    """

    def __init__(
        self,
        url: str,
        *,
        tries: int = 5,
        timeout: float = 120.0,
        total: float = math.inf,
        pause: float = 0.5,
        most_bytes: int = 16 << 20,
    ) -> None:
        self.parts = urlsplit(url)
        if self.parts.scheme not in ("http", "https") or not self.parts.hostname:
            raise ValueError(f"{url} is no address; http://localhost:8000/v1 would be right")
        self.tries, self.timeout, self.total = tries, timeout, total
        self.pause, self.most_bytes = pause, most_bytes

    def ask(self, request: Mapping[str, Any], key: str = "") -> Completion:
        """The completion of a request.

        Args:
            request: what is sent, as JSON has it.
            key: sent as a bearer token unless it is empty; no message holds it.

        Raises:
            Failed: there is none, in spite of all tries.
        """
        body, key = json.dumps(request).encode(), key.strip()
        if not (key.isascii() and key.isprintable()):
            raise Failed("the key holds signs that no header can; letters and digits would be right", False)
        until, pause = time.monotonic() + self.total, self.pause
        for tried in range(1, self.tries + 1):
            try:
                return self._try(body, key, until, tried)
            except Failed as fault:
                fault.tries = tried
                # What several requests wait for, they should not all ask for again at one moment.
                wait = max(pause * random.uniform(0.75, 1.25), fault.pause)
                if not fault.again or tried == self.tries or time.monotonic() + wait >= until:
                    raise
                sleep(min(wait, LONGEST_PAUSE))
                pause = min(2 * pause, LONGEST_PAUSE)
        raise AssertionError("a try ends in a completion or in a fault")

    def _try(self, body: bytes, key: str, until: float, tried: int) -> Completion:
        status, headers, raw = self._send(body, key, until)
        if status != 200:
            said = " ".join(raw[:200].decode(errors="replace").split())
            if key:
                said = said.replace(key, "[the key]")
            told = f"HTTP {status}: {said}" if said else f"HTTP {status}"
            raise Failed(told, status in PASSING, _asked_pause(headers))
        try:
            found = json.loads(raw)
            choice = found["choices"][0]
            message, usage, finish = choice["message"], found.get("usage"), choice.get("finish_reason")
            text, refusal = message["content"], message.get("refusal")
            if isinstance(text, list):
                text = "".join(part["text"] for part in text if part.get("type") == "text")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
            start = raw[:60].decode(errors="replace")
            raise Failed(f"the endpoint answered {start!r}, which is no chat completion") from None
        if not isinstance(text, str) and not (text is None and refusal):
            ended = f" (finish_reason: {finish})" if finish else ""
            raise Failed(f"content is {type(text).__name__}{ended}, but a text is needed")
        counts = usage if isinstance(usage, dict) else {}
        tokens = {name: count for name, count in counts.items() if isinstance(count, int) and count >= 0}
        # JSON can hold half a surrogate pair, which no file can.
        text, refusal, finish = (
            one if one is None else str(one).encode(errors="backslashreplace").decode()
            for one in (text, refusal, finish)
        )
        return Completion(text, refusal or "", finish or "", tokens, tried)

    def _send(self, body: bytes, key: str, until: float) -> tuple[int, http.client.HTTPMessage, bytes]:
        parts, begun = self.parts, time.monotonic()
        limit = min(self.timeout, max(until - begun, 1e-3))
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(str(parts.hostname), parts.port, timeout=limit)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        watch, over = None, threading.Event()
        try:
            connection.connect()
            # A server that sends a byte now and then never meets the limit of a single read.
            left = max(begun + limit - time.monotonic(), 0.0)
            watch = threading.Timer(left, _cut, (connection.sock, over))
            watch.daemon = True
            watch.start()
            connection.request("POST", f"{parts.path.rstrip('/')}/chat/completions", body, headers)
            response = connection.getresponse()
            raw = response.read(self.most_bytes + 1)
            if len(raw) > self.most_bytes:
                raise Failed(f"a reply of more than {self.most_bytes:,} bytes", again=False)
            if over.is_set():
                raise TimeoutError
            if response.length:
                raise Failed(f"cut off with {response.length} bytes to come")
            return response.status, response.headers, raw
        except (OSError, http.client.HTTPException) as fault:
            if isinstance(fault, TimeoutError) or over.is_set():
                allowed = self.total if begun + self.timeout > until else self.timeout
                raise Failed(f"no reply within {allowed:g} seconds") from None
            raise Failed(named(fault)) from None
        finally:
            if watch is not None:
                watch.cancel()
            connection.close()


def _cut(connection: socket.socket, over: threading.Event) -> None:
    """End a connection, after saying so: whoever reads from it meets its end."""
    over.set()
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _asked_pause(headers: http.client.HTTPMessage) -> float:
    """The seconds that `Retry-After` asks for, as a number or a date; 0 where it does not."""
    asked = headers.get("Retry-After", "").strip()
    try:
        seconds = float(asked)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(asked).timestamp() - time.time()
        except (ValueError, TypeError):
            return 0.0
    return max(seconds, 0.0) if seconds == seconds else 0.0


def picture_parts(picture: Picture) -> Iterator[dict[str, Any]]:
    """The frames of a picture as parts of a message, PNG data URLs, those of a clip behind their times."""
    for when, frame in timed(picture):
        if when:
            yield {"type": "text", "text": when}
        yield {"type": "image_url", "image_url": {"url": data_url(png(frame))}}
