"""One page in a Chromium: what is loaded, what it looks like, what is clicked and typed."""

from __future__ import annotations

import base64
import io
import mimetypes
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
from PIL import Image

from vlmloom.components.sandbox.chromium import Chromium

HOST = "http://page.invalid/"
"""Where pages seem to come from; no such host exists, and no request ever leaves the browser."""

POLICY = "default-src 'none'; img-src data:; font-src data:; style-src 'unsafe-inline' data:"
"""What an untrusted page may use: its own styles, and pictures and fonts written out in it."""

TALLEST = 8192
"""Pixels of a page that are looked at, from its top."""
KEYED = 100
"""Characters of a text that are typed key by key; a key takes milliseconds."""

MODIFIERS = {"alt": 1, "ctrl": 2, "control": 2, "meta": 4, "cmd": 4, "shift": 8}
KEYS = {
    "enter": ("Enter", 13, "\r"), "tab": ("Tab", 9, ""), "backspace": ("Backspace", 8, ""),
    "delete": ("Delete", 46, ""), "esc": ("Escape", 27, ""), "escape": ("Escape", 27, ""),
    "space": (" ", 32, " "), "up": ("ArrowUp", 38, ""), "down": ("ArrowDown", 40, ""),
    "left": ("ArrowLeft", 37, ""), "right": ("ArrowRight", 39, ""), "home": ("Home", 36, ""),
    "end": ("End", 35, ""), "pageup": ("PageUp", 33, ""), "pagedown": ("PageDown", 34, ""),
}  # fmt: skip
"""Name of a key -> its DevTools name, its code, and what it types."""


class Page:
    """The one page of a browser. What it shows is replaced by `show`, whatever the page did before.

    Args:
        browser: started on first use, and again after it was stopped.
    """

    def __init__(self, browser: Chromium) -> None:
        self.browser = browser
        self.size = (0, 0)
        self.blocked: list[str] = []
        self._session = ""
        self._pid = 0
        self._served: dict[str, tuple[bytes, str]] = {}
        self._folder: Path | None = None
        self._policy = ""
        self._loaded = False

    def open(self) -> None:
        """Start the browser unless it runs; every other method that needs it does so too."""
        self.browser.start()
        if self._pid == self.browser.pid:
            return
        self.browser.on_event = self._event
        context = self.browser.call("Target.createBrowserContext")["browserContextId"]
        target = self.browser.call("Target.createTarget", url="about:blank", browserContextId=context)
        attached = self.browser.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session, self._pid, self.size = attached["sessionId"], self.browser.pid, (0, 0)
        self.browser.call("Target.setDiscoverTargets", discover=True)
        self.call("Page.enable")
        self.call("Fetch.enable", patterns=[{"urlPattern": "*"}])
        self.browser.call("Browser.setDownloadBehavior", behavior="deny", browserContextId=context)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command to this page; see `Chromium.call`."""
        return self.browser.call(method, self._session, **parameters)

    def show(
        self,
        html: str | bytes | None = None,
        *,
        width: int,
        height: int,
        folder: Path | None = None,
        path: str = "",
        scripts: bool = False,
        kind: str = "text/html; charset=utf-8",
    ) -> None:
        """Load a page and wait until it is there.

        Args:
            html: the page's text; nobody trusts it, so that it may fetch nothing.
            width: of the window in pixels.
            height: of the window in pixels.
            folder: instead of `html`, trusted files of ours that the page and what it refers to come from.
            path: of the page in the folder, with a query where it wants one.
            scripts: whether the page's own scripts run.
            kind: the media type of `html`.

        Raises:
            BrowserStopped: the browser ended, or the page did not load in time.
        """
        self.open()
        if self.size != (width, height):
            self.call(
                "Emulation.setDeviceMetricsOverride",
                width=width, height=height, deviceScaleFactor=1, mobile=False,
            )  # fmt: skip
            self.size = (width, height)
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.blocked = []
        self._folder = folder.resolve() if folder else None
        self._policy = "" if folder else POLICY + ("; script-src 'unsafe-inline'" if scripts else "")
        body = html.encode(errors="replace") if isinstance(html, str) else html
        self._served = {} if body is None else {HOST + path: (body, kind)}
        self._loaded = False
        deadline = time.monotonic() + self.browser.seconds
        # An earlier page may still be on its way somewhere.
        self.browser.send("Page.stopLoading", self._session)
        error = self.call("Page.navigate", url=HOST + path).get("errorText", "")
        if error:
            raise FileNotFoundError(f"page {path}: {error}")
        while not self._loaded:
            self.browser.attend(deadline)

    def _event(self, session: str, method: str, parameters: dict[str, Any]) -> None:
        if method == "Fetch.requestPaused":
            self._serve(session, parameters)
        elif method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Page.javascriptDialogOpening":
            self.browser.send("Page.handleJavaScriptDialog", session, accept=True)
        elif method == "Target.targetCreated":
            opened = parameters["targetInfo"]
            if opened["type"] == "page" and opened.get("openerId"):
                # A second window would take the front, and pages behind it are not drawn.
                self.browser.send("Target.closeTarget", targetId=opened["targetId"])
        elif method == "Inspector.targetCrashed":
            self.browser.close()

    def _serve(self, session: str, parameters: dict[str, Any]) -> None:
        url = parameters["request"]["url"].split("#")[0]
        found = self._served.get(url) or self._file(url)
        if found is None:
            self.blocked.append(url[:200])
            self.browser.send(
                "Fetch.failRequest", session, requestId=parameters["requestId"], errorReason="Aborted"
            )
            return
        headers = {"Content-Type": found[1]} | (
            {"Content-Security-Policy": self._policy} if self._policy else {}
        )
        self.browser.send(
            "Fetch.fulfillRequest",
            session,
            requestId=parameters["requestId"],
            responseCode=200,
            responseHeaders=[{"name": name, "value": value} for name, value in headers.items()],
            body=base64.b64encode(found[0]).decode(),
        )

    def _file(self, url: str) -> tuple[bytes, str] | None:
        if self._folder is None or not url.startswith(HOST):
            return None
        path = (self._folder / unquote(urlsplit(url).path).lstrip("/")).resolve()
        if not path.is_relative_to(self._folder) or not path.is_file():
            return None
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return path.read_bytes(), f"{kind}; charset=utf-8" if kind.startswith("text/") else kind

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page, as JSON knows it; works where the page's scripts are off.

        Raises:
            RuntimeError: the script raised.
            BrowserStopped: it did not end in time.
        """
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            text = details.get("exception", {}).get("description") or details["text"]
            raise RuntimeError(f"script: {text.splitlines()[0]}")
        return answer["result"].get("value")

    def screenshot(self, box: tuple[int, int, int, int] | None = None, *, whole: bool = False) -> np.ndarray:
        """The pixels, uint8 `[height, width, 3]`.

        Args:
            box: x1, y1, x2, y2 of a part of the window.
            whole: the page down to its end (`TALLEST` at most) instead of the window.
        """
        more: dict[str, Any] = {}
        if whole:
            width, height = self.size
            script = "Math.max(document.documentElement.scrollHeight, document.body?.scrollHeight ?? 0)"
            height = max(height, min(TALLEST, int(self.evaluate(script) or 0)))
            more["captureBeyondViewport"] = True
            more["clip"] = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = self.call("Page.captureScreenshot", format="png", optimizeForSpeed=True, **more)
        with Image.open(io.BytesIO(base64.b64decode(shot["data"]))) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        if box is None:
            return pixels
        x1, y1, x2, y2 = box
        return pixels[y1:y2, x1:x2]

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """One event of the mouse: mouseMoved, mousePressed, mouseReleased or mouseWheel."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float, *, button: str = "left", count: int = 1) -> None:
        """Move there, press and release, `count` times."""
        self.mouse("mouseMoved", x, y)
        for number in range(1, count + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self.mouse(kind, x, y, button=button, clickCount=number)

    def drag(self, start: tuple[float, float], end: tuple[float, float], *, steps: int = 8) -> None:
        """Press at one point and release at another, with moves between."""
        (x1, y1), (x2, y2) = start, end
        self.mouse("mouseMoved", x1, y1)
        self.mouse("mousePressed", x1, y1, button="left", clickCount=1)
        for step in range(1, steps + 1):
            share = step / steps
            self.mouse("mouseMoved", x1 + (x2 - x1) * share, y1 + (y2 - y1) * share, button="left", buttons=1)
        self.mouse("mouseReleased", x2, y2, button="left", clickCount=1)

    def type(self, text: str) -> None:
        """Type characters one by one, as a keyboard does; of a long text the last, the rest is pasted."""
        if rest := text[:-KEYED]:
            self.call("Input.insertText", text=rest)
        for character in text[-KEYED:]:
            if character == "\n":
                self.key("enter")
                continue
            self.call("Input.dispatchKeyEvent", type="keyDown", text=character, key=character)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=character)

    def key(self, keys: str) -> None:
        """Press keys together, such as `ctrl+a` or `enter`.

        Raises:
            ValueError: there is no such key.
        """
        *held, last = keys.lower().split("+")
        unknown = [name for name in held if name not in MODIFIERS]
        if unknown or (last not in KEYS and len(last) != 1):
            raise ValueError(f"no key {keys!r}; {', '.join(KEYS)}, or one character would be right")
        mask = 0
        for name in held:
            mask |= MODIFIERS[name]
        name, code, text = KEYS[last] if last in KEYS else (last, ord(last.upper()[0]), last)
        more: dict[str, Any] = {"text": text} if text and not mask & ~8 else {}
        if mask & 2 and last == "a":
            more["commands"] = ["selectAll"]
        common = {"key": name, "windowsVirtualKeyCode": code, "modifiers": mask}
        self.call("Input.dispatchKeyEvent", type="keyDown", **common, **more)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def settle(self, seconds: float) -> None:
        """Let the page go on for a while, and answer its requests meanwhile."""
        self.browser.listen(seconds)
