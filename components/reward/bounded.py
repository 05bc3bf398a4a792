"""Calls in a process of their own, which is kept and may be ended: for libraries that an answer can stall."""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any, NoReturn

MEMORY = 4 << 30
"""Address space of the process in bytes."""


class Overran(RuntimeError):
    """A call took more time or memory than it may."""


class _Alarm(BaseException):
    """The time of a call is over; no `except Exception` of a library holds it up."""


class Bounded:
    """Calls functions of modules in another process, one after the other, each within its CPU time.

    It is started with the first call and again after a call was cut off. CPU time counts, so that a busy
    machine makes no answer wrong.

    Args:
        seconds: CPU time of a call. The wall time is bounded at twenty times as much, and ten seconds.
    """

    def __init__(self, seconds: float = 3.0) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._worker: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The value of a function of a module; arguments and value as JSON has them.

        Raises:
            Overran: it took too much.
            RuntimeError: it raised something, or its process went wrong.

        >>> Bounded().ask(math.gcd, 12, 18)
        6
        """
        order = {"module": function.__module__, "name": function.__qualname__, "arguments": arguments}
        with self._lock:
            worker = self._running()
            try:
                answer = self._exchange(worker, json.dumps(order | {"seconds": self.seconds}).encode())
            except BaseException:
                self._stop()
                raise
        if answer.get("overran"):
            self._stop()
            raise Overran(answer["overran"])
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]

    def _running(self) -> subprocess.Popen[bytes]:
        # A forked child shares no worker with its parent.
        if self._worker is None or self._owner != os.getpid() or self._worker.poll() is not None:
            paths = os.pathsep.join(path for path in sys.path if path)
            self._worker = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import serve; serve()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            )
            self._owner = os.getpid()
        return self._worker

    def _exchange(self, worker: subprocess.Popen[bytes], order: bytes) -> dict[str, Any]:
        assert worker.stdin is not None and worker.stdout is not None
        worker.stdin.write(order + b"\n")
        worker.stdin.flush()
        until = time.monotonic() + 20 * self.seconds + 10
        pieces: list[bytes] = []
        while not (pieces and pieces[-1].endswith(b"\n")):
            if not select.select([worker.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
                raise RuntimeError(f"no answer within {20 * self.seconds + 10:g} s")
            piece = os.read(worker.stdout.fileno(), 1 << 16)
            if not piece:
                status = worker.wait()
                self._worker = None
                if status == -signal.SIGXCPU:
                    return {"overran": f"more than {self.seconds:g} s of CPU time"}
                raise RuntimeError(f"the process of {__name__} ended with status {status}")
            pieces.append(piece)
        answer: dict[str, Any] = json.loads(b"".join(pieces))
        return answer

    def _stop(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None and self._owner == os.getpid():
            worker.kill()
            worker.wait()

    def __getstate__(self) -> dict[str, Any]:
        return {"seconds": self.seconds}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Bounded.__init__(self, **state)


@cache
def bounded(seconds: float = 3.0) -> Bounded:
    """The one process of this process for calls of so many seconds."""
    return Bounded(seconds)


def serve() -> NoReturn:
    """Answer calls until standard input ends."""
    # Replies go out where the libraries' own printing cannot mix with them.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for limit, value in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0)):
        with contextlib.suppress(ValueError):  # a lower hard limit is in force already
            resource.setrlimit(limit, (value, value))
    signal.signal(signal.SIGPROF, _over)
    for line in sys.stdin:
        replies.write(json.dumps(_reply(json.loads(line))) + "\n")
        replies.flush()
    os._exit(0)


def _over(number: int, frame: Any) -> NoReturn:
    raise _Alarm


def _reply(order: dict[str, Any]) -> dict[str, Any]:
    seconds = order["seconds"]
    try:
        function = getattr(importlib.import_module(order["module"]), order["name"])
        if prepare := getattr(function, "prepare", None):
            prepare()
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        # The alarm is not heard within one long call into C; this ends the process then.
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(time.process_time() + seconds) + 1, hard))
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            return {"value": function(*order["arguments"])}
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    except _Alarm:
        return {"overran": f"more than {seconds:g} s of CPU time"}
    except MemoryError:
        return {"overran": f"more than {MEMORY >> 30} GB of memory"}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
