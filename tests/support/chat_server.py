"""A local OpenAI-compatible endpoint that adds and subtracts, and misbehaves where it is told to."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Misbehave = Callable[[str, int], str]
"""What happens to a question asked for the n-th time: fine, 429, 500, 400, garbage, null, cut, drip, slow,
half (a surrogate without its other half before the answer), length (cut off behind it)."""


class ChatServer:
    """Serves on a free port of this machine, as a context.

    Attributes:
        asked: question -> how often it came.
        bodies: what was sent.
        heads: the headers of each request.
    """

    def __init__(self, misbehave: Misbehave = lambda question, times: "fine", seconds: float = 0.0) -> None:
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict] = []
        self.heads: list[dict] = []
        lock, server = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                texts = [part["text"] for part in body["messages"][0]["content"] if part["type"] == "text"]
                question = " ".join(texts)
                with lock:
                    server.asked[question] += 1
                    times = server.asked[question]
                    server.bodies.append(body)
                    server.heads.append({name.lower(): value for name, value in self.headers.items()})
                time.sleep(seconds)
                try:
                    self._behave(misbehave(question, times), question)
                except (BrokenPipeError, ConnectionResetError):
                    pass

            def _behave(self, how, question):
                numbers = [int(number) for number in re.findall(r"\d+", question)] or [0]
                taken = re.search("-|less|minus|take", question)
                text = str(abs(numbers[0] - numbers[-1]) if taken else numbers[0] + numbers[-1])
                message = {"role": "assistant", "content": None if how == "null" else text}
                if how == "half":
                    message["content"] = f"\ud800 {text}"
                ended = "length" if how == "length" else "stop"
                usage = {"prompt_tokens": 7, "completion_tokens": 2}
                raw = json.dumps(
                    {"choices": [{"message": message, "finish_reason": ended}], "usage": usage}
                ).encode()
                if how.isdigit():
                    self._send(int(how), b'{"error": "no"}', {"Retry-After": "0"} if how == "429" else {})
                elif how == "garbage":
                    self._send(200, b'{"choices": [{"mess')
                elif how == "cut":
                    self._send(200, raw[: len(raw) // 2], {}, len(raw))
                    self.close_connection = True
                elif how in ("drip", "slow"):
                    if how == "slow":
                        time.sleep(2)
                    self._send(200, b"", {}, len(raw))
                    for place in range(len(raw)):
                        self.wfile.write(raw[place : place + 1])
                        self.wfile.flush()
                        time.sleep(0.1)
                else:
                    self._send(200, raw)

            def _send(self, status, raw, headers=None, length=None):
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(raw) if length is None else length))
                self.end_headers()
                self.wfile.write(raw)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> ChatServer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def stop(self) -> None:
        """Nobody listens any more; twice is as once."""
        self._server.shutdown()
        self._server.server_close()
