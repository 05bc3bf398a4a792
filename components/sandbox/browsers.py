"""Several browsers side by side, lent out; one that stops in mid-work is started again and counted."""

from __future__ import annotations

import atexit
import os
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from vlmloom.components.sandbox.chromium import BrowserStopped, Chromium, chromium
from vlmloom.components.sandbox.page import Page
from vlmloom.registry.errors import UserError

Result = TypeVar("Result")


class BrowsersBusy(RuntimeError):
    """Every browser is lent out, and none came back in time."""


class Browsers:
    """Lends out pages, each the only one of its own browser.

    Args:
        count: how many browsers at most; started when they are first needed.
        attempts: how often a piece of work is begun when the browser stops in the middle of it.
        seconds: for one call to a browser, and for waiting until one is free.
        memory: bytes that one browser may hold.

    Attributes:
        counts: `lent` pages, `stopped` browsers, pieces of work that were `retried` and that were `lost`.
    """

    def __init__(
        self, *, count: int = 2, attempts: int = 2, seconds: float = 10.0, memory: int = 2 << 30
    ) -> None:
        self.attempts = attempts
        self.seconds = seconds
        self.counts: Counter[str] = Counter()
        self._pages = [Page(Chromium(seconds=seconds, memory=memory)) for _ in range(count)]
        self._free = list(self._pages)
        self._change = threading.Condition()
        self._owner = os.getpid()

    def lend(self) -> Page:
        """A page; `give_back` returns it.

        Raises:
            BrowserMissing: there is no Chromium here.
            BrowsersBusy: none came back in time.
        """
        chromium()
        with self._change:
            if not self._change.wait_for(lambda: self._free, 6 * self.seconds):
                raise BrowsersBusy(
                    f"all {len(self._pages)} browsers are lent out; close episodes that are done with, "
                    "or set VLMLOOM_BROWSERS to a higher number"
                )
            self.counts["lent"] += 1
            return self._free.pop()

    def give_back(self, page: Page) -> None:
        """Take a page back, in whatever state."""
        with self._change:
            if page in self._pages and page not in self._free:
                self._free.append(page)
                self._change.notify()

    def run(self, work: Callable[[Page], Result]) -> Result:
        """Do some work with a page; begun anew, in a new browser, where the browser stops in the middle.

        Raises:
            BrowserStopped: it stopped in every attempt.
        """
        for attempt in range(self.attempts):
            page = self.lend()
            try:
                return work(page)
            except BrowserStopped:
                last = attempt == self.attempts - 1
                self.counts.update(["stopped", "lost" if last else "retried"])
                if last:
                    raise
            finally:
                self.give_back(page)
        raise AssertionError("attempts is at least 1")

    def close(self) -> None:
        """End every browser; the next work starts new ones."""
        for page in self._pages:
            with suppress(OSError):
                page.browser.close()


_SHARED: Browsers | None = None


def allowed() -> int:
    """How many browsers `VLMLOOM_BROWSERS` allows; 2 where it is not set.

    Raises:
        UserError: it is no number of browsers.
    """
    text = os.environ.get("VLMLOOM_BROWSERS", "2")
    if not (text.isascii() and text.isdigit() and int(text)):
        raise UserError(f"VLMLOOM_BROWSERS is {text!r}; a whole number from 1 would be right")
    return int(text)


def browsers() -> Browsers:
    """The browsers of this process, as many as `VLMLOOM_BROWSERS` says (2), ended with it."""
    global _SHARED
    if _SHARED is None or _SHARED._owner != os.getpid():
        _SHARED = Browsers(count=allowed())
        atexit.register(_SHARED.close)
    return _SHARED


def stopped() -> int:
    """How many of `browsers()` have stopped in the middle of their work so far."""
    return 0 if _SHARED is None else _SHARED.counts["stopped"]
