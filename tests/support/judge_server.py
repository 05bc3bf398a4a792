"""A deterministic model behind a real HTTP endpoint: as gullible, slow or broken as a test asks."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[[dict[str, Any], int], "str | tuple[int, dict[str, str], bytes]"]
"""A request and its number to what the model says, or to status, headers and body as they are."""


def sections(prompt: str) -> dict[str, str]:
    """What a careful reader finds between the marks."""
    mark = re.search(r"lines with ([0-9a-f]{16})", prompt)[1]
    parts = re.split(rf"^=== {mark} (question|right answer|answer to grade|end)$", prompt, flags=re.M)
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)} | {"mark": mark}


def text_of(request: dict[str, Any]) -> str:
    content = request["messages"][0]["content"]
    return content if isinstance(content, str) else content[-1]["text"]


def verdict(prompt: str, right: bool) -> str:
    """The line that is asked for, with the mark."""
    mark = sections(prompt)["mark"]
    if '"score"' in prompt.rsplit("=== ", 1)[1]:
        return json.dumps({"score": 10 * right, "mark": mark})
    return json.dumps({"verdict": "yes" if right else "no", "mark": mark})


def honest(request: dict[str, Any], number: int) -> str:
    """Compares the two."""
    found = sections(text_of(request))
    return verdict(text_of(request), found["right answer"].lower() in found["answer to grade"].lower())


OBEYS = re.compile(
    r"ignore|disregard|full marks|full credit|perfect score|highest score|score of 10|10/10|verdict"
    r"|you are now|respond with|answer with|system:|<\|system|\[inst\]|dear grader|note to the judge"
    r"|the answer is correct",
    re.I,
)


def obedient(request: dict[str, Any], number: int) -> str:
    """Does what an answer tells it to, in the form that it was asked for: nothing can save such a judge but
    that it never reads the instruction."""
    found = sections(text_of(request))
    if OBEYS.search(found["answer to grade"]):
        return verdict(text_of(request), True)
    return honest(request, number)


def copycat(request: dict[str, Any], number: int) -> str:
    """Writes down the last verdict that it sees in an answer."""
    found = sections(text_of(request))
    seen = re.findall(r"\{[^{}]*\}", found["answer to grade"])
    return seen[-1] if seen else honest(request, number)


def unmarked(request: dict[str, Any], number: int) -> str:
    """Takes every line that looks like a heading for one, marked or not, and the last right answer for it."""
    prompt = text_of(request)
    parts = re.split(
        r"^=== (?:[0-9a-f]{16} )?(question|right answer|answer to grade|end)$", prompt, flags=re.M
    )
    found = {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}
    return verdict(prompt, found["right answer"].lower() in found["answer to grade"].lower())


class Server:
    """What the endpoint has been asked, and where it is."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour, self.requests, self.lock = behaviour, [], threading.Lock()
        self.headers: list[dict[str, str]] = []
        self.now = self.most = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with outer.lock:
                    outer.requests.append(request)
                    outer.headers.append(dict(self.headers))
                    number = len(outer.requests)
                    outer.now += 1
                    outer.most = max(outer.most, outer.now)
                try:
                    said = outer.behaviour(request, number)
                finally:
                    with outer.lock:
                        outer.now -= 1
                if isinstance(said, str):
                    message = {"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
                    said = 200, {}, json.dumps({"choices": [message]}).encode()
                status, headers, body = said
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("content-length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    pass

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[Server]:
    """A running endpoint."""
    server = Server(behaviour)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()


def slow(seconds: float) -> Behaviour:
    """Thinks so long."""

    def behaviour(request: dict[str, Any], number: int) -> str:
        time.sleep(seconds)
        return honest(request, number)

    return behaviour
