"""A headless Chromium without network, spoken to over a pipe in its DevTools protocol."""

from __future__ import annotations

import errno
import json
import math
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from vlmloom.registry.errors import UserError

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-quic",
    "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-extensions", "--disable-default-apps", "--disable-breakpad", "--disable-dev-shm-usage",
    "--disable-domain-reliability", "--disable-client-side-phishing-detection", "--no-service-autorun",
    "--disable-features=Translate,MediaRouter,OptimizationHints,DialMediaRouteProvider",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp", "--host-resolver-rules=MAP * ~NOTFOUND",
    "--proxy-server=http://0.0.0.0:1", "--proxy-bypass-list=<-loopback>", "--mute-audio", "--hide-scrollbars",
    "--password-store=basic", "--use-mock-keychain", "--force-color-profile=srgb", "--metrics-recording-only",
    "--font-render-hinting=none", "--disable-lcd-text", "--force-device-scale-factor=1", "--lang=en-US",
    "--js-flags=--max-old-space-size=512", "--block-new-web-contents",
    "--disable-renderer-backgrounding", "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows", "--run-all-compositor-stages-before-draw",
    # A mouse, which a headless browser has not, and a page could ask for.
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4",
)  # fmt: skip


class BrowserMissing(UserError):
    """There is no Chromium here; the message says what to install."""


class BrowserStopped(RuntimeError):
    """The browser ended, or was ended because it overran; the next use starts another."""


class BrowserOverran(BrowserStopped):
    """The browser was ended because it took too long or too much memory."""


def chromium() -> str:
    """The path of the system's Chromium: `VLMLOOM_CHROMIUM`, else the first of `NAMES` on the path.

    Raises:
        BrowserMissing: there is none.
    """
    named = os.environ.get("VLMLOOM_CHROMIUM")
    found = shutil.which(named) if named else next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        what = f"VLMLOOM_CHROMIUM={named} is no program" if named else "no Chromium was found"
        raise BrowserMissing(
            f"browser: {what}; apt-get install chromium, or the path of one in VLMLOOM_CHROMIUM"
        )
    return found


@cache
def version() -> str:
    """What the system's Chromium calls itself: `Chromium 150.0.7871.100 ...`.

    Raises:
        BrowserMissing: there is none, or it does not say.
    """
    try:
        done = subprocess.run(
            [chromium(), "--version"], capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = str(error).rstrip(".")
        raise BrowserMissing(
            f"browser: {chromium()} --version: {said}; a Chromium, in VLMLOOM_CHROMIUM, would be right"
        ) from None
    return done.stdout.strip()


def network_namespace() -> list[str]:
    """The words before a command that take the network from it; empty where that is not allowed.

    Chromium's own flags and the refusal of every request keep it offline too; this is the kernel's word.
    """
    global _NAMESPACE
    if _NAMESPACE is None:
        _NAMESPACE = []
        for words in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
            path = shutil.which("unshare")
            if path and os.spawnv(os.P_WAIT, path, [*words, "true"]) == 0:
                _NAMESPACE = [path, *words[1:]]
                break
    return _NAMESPACE


_NAMESPACE: list[str] | None = None


class Chromium:
    """One browser: a process group, a fresh profile in a folder of its own, and a pipe.

    Not for several threads at once. Every call has a deadline; what overruns it, or takes too much memory,
    ends with the whole browser killed.

    Args:
        seconds: for any one call.
        memory: bytes that all processes of the browser may hold together.

    Attributes:
        on_event: called with (session, method, parameters) of each event; may send commands.
    """

    def __init__(self, *, seconds: float = 10.0, memory: int = 2 << 30) -> None:
        self.seconds = seconds
        self.memory = memory
        self._until = math.inf
        self.on_event: Any = lambda session, method, parameters: None
        self._pid = 0
        self._started = False
        self._folder: Path | None = None
        self._ids = 0
        self._buffer = b""
        self._messages: deque[dict[str, Any]] = deque()
        self._answers: dict[int, dict[str, Any]] = {}

    @property
    def pid(self) -> int:
        """Of the browser's first process and its group; 0 while none runs."""
        return self._pid

    def start(self) -> None:
        """Start it, unless it runs.

        Raises:
            BrowserMissing: it ends at once, and has never started.
            BrowserStopped: it does not start this time.
        """
        if self._pid:
            return
        path = chromium()
        self._folder = Path(tempfile.mkdtemp(prefix="vlmloom-browser-"))
        words = [*network_namespace(), path, *FLAGS, f"--user-data-dir={self._folder / 'profile'}"]
        out, ours = os.pipe(), os.pipe()
        # Moved above 4, so that no copy of one overwrites another before it is copied itself.
        inner = [os.dup(handle) for handle in (out[0], ours[1], out[0], ours[1])]
        inner, spare = inner[2:], inner[:2]
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self._folder),
            "TMPDIR": str(self._folder),
            "LANG": "C.UTF-8",
            "CHROMIUM_FLAGS": "",
        }
        log = os.open(os.devnull, os.O_RDWR)
        actions = [(os.POSIX_SPAWN_DUP2, log, number) for number in range(3)]
        actions += [(os.POSIX_SPAWN_DUP2, inner[0], 3), (os.POSIX_SPAWN_DUP2, inner[1], 4)]
        try:
            self._pid = os.posix_spawn(words[0], words, environment, file_actions=actions, setsid=True)
        finally:
            for handle in (out[0], ours[1], log, *inner, *spare):
                os.close(handle)
        self._write, self._read = out[1], ours[0]
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._buffer = b""
        self._messages.clear()
        self._answers.clear()
        try:
            self.call("Browser.getVersion", seconds=30 + self.seconds)
        except BrowserOverran:
            raise
        except BrowserStopped:
            if self._started:
                raise
            raise BrowserMissing(
                f"browser: {path} ended as soon as it was started; one whose `--headless` works would be "
                "right, or its path in VLMLOOM_CHROMIUM"
            ) from None
        self._started = True

    def call(
        self, method: str, session: str = "", *, seconds: float | None = None, **parameters: Any
    ) -> dict[str, Any]:
        """One command and its result.

        Raises:
            BrowserStopped: the browser ended or overran.
            RuntimeError: the browser refused the command.
        """
        deadline = time.monotonic() + (self.seconds if seconds is None else seconds)
        number = self.send(method, session, **parameters)
        while number not in self._answers:
            self.attend(deadline)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error'].get('message', 'refused')}")
        result: dict[str, Any] = answer["result"]
        return result

    def send(self, method: str, session: str = "", **parameters: Any) -> int:
        """A command whose result is not waited for."""
        self._ids += 1
        message: dict[str, Any] = {"id": self._ids, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        rest = memoryview(json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + self.seconds
        while rest:
            try:
                rest = rest[os.write(self._write, rest) :]
            except BlockingIOError:
                self._wait(self._write, select.POLLOUT, deadline)
            except OSError as error:
                if error.errno != errno.EPIPE and self._pid:
                    raise
                self._gone()
        return self._ids

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """All calls of a block together take so many seconds at most."""
        usual, self.seconds, self._until = self.seconds, seconds, time.monotonic() + seconds
        try:
            yield
        finally:
            self.seconds, self._until = usual, math.inf

    def attend(self, deadline: float) -> None:
        """Read what the browser says, and take one event or result; waits for one until the deadline."""
        while not self._messages:
            self._wait(self._read, select.POLLIN, deadline)
            try:
                data = os.read(self._read, 1 << 20)
            except BlockingIOError:
                continue
            if not data:
                self._gone()
            *whole, self._buffer = (self._buffer + data).split(b"\0")
            self._messages.extend(map(json.loads, whole))
        message = self._messages.popleft()
        if "id" in message:
            self._answers[message["id"]] = message
            # Results of what was only sent are dropped in time.
            for old in [number for number in self._answers if number < message["id"] - 1000]:
                del self._answers[old]
        else:
            self.on_event(message.get("sessionId", ""), message["method"], message["params"])

    def listen(self, seconds: float) -> None:
        """Attend to what the browser says for a while."""
        until = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._read, select.POLLIN)
        while self._messages or poll.poll(max(0.0, until - time.monotonic()) * 1000):
            self.attend(until + self.seconds)

    def _wait(self, handle: int, what: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(handle, what)
        while True:
            left = min(deadline, self._until) - time.monotonic()
            if left <= 0:
                self.close()
                raise BrowserOverran(f"the browser took longer than {self.seconds:g} s and was ended")
            if poll.poll(min(left, 0.25) * 1000):
                return
            if (held := self.held()) > self.memory:
                self.close()
                raise BrowserOverran(
                    f"the browser held {held >> 20:,} MiB, more than {self.memory >> 20:,}, and was ended"
                )

    def held(self) -> int:
        """Bytes that its processes hold, shared ones counted once for each."""
        total = 0
        try:
            first = psutil.Process(self._pid)
            for process in [first, *first.children(recursive=True)]:
                memory = process.memory_info()
                total += memory.rss - getattr(memory, "shared", 0)
        except psutil.Error:
            pass
        return total

    def _gone(self) -> None:
        self.close()
        raise BrowserStopped("the browser ended by itself")

    def close(self) -> None:
        """Kill every process of it and remove its profile; does nothing where none runs."""
        pid, self._pid = self._pid, 0
        if not pid:
            return
        try:
            family = psutil.Process(pid).children(recursive=True)
        except psutil.Error:
            family = []
        try:
            os.killpg(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        # A child that has made a group of its own.
        for process in family:
            try:
                process.kill()
            except psutil.Error:
                pass
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass
        deadline = time.monotonic() + 1
        while any(map(_runs, family)) and time.monotonic() < deadline:
            time.sleep(0.005)
        os.close(self._read)
        os.close(self._write)
        # A process that has not ended yet may still write into its profile.
        while self._folder is not None and self._folder.exists() and time.monotonic() < deadline + 1:
            shutil.rmtree(self._folder, ignore_errors=True)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
