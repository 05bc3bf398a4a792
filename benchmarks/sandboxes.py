"""What the sandboxes do in a second: code, plots, pages in HTML, and MiniWoB++ steps with a screenshot."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from vlmloom.components.sandbox.browsers import Browsers
from vlmloom.components.sandbox.code import CodeRunner
from vlmloom.components.sandbox.look import look
from vlmloom.components.sandbox.page import Page
from vlmloom.components.task.agentic import wob

HTML = "<body style='font:14px sans-serif'>" + "<p>A line of <b>text</b>.</p>" * 12
PLOT = "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.savefig('a.png', dpi=80)"
COUNT = 20


def rate(work: Callable[[], object], repeats: int, count: int = COUNT) -> float:
    """Times a second, the median of some turns; the first time is not counted."""
    work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(count):
            work()
        seconds.append(time.perf_counter() - start)
    return count / median(seconds)


def step(page: Page, number: list[int]) -> None:
    """Click somewhere on the empty part of a page, ask for its state, look at it."""
    number[0] += 1
    page.click(5 + number[0] % 9, 200)
    wob.state(page)
    wob.screenshot(page)


def steps_side_by_side(browsers: Browsers, count: int, seconds: float) -> float:
    """Steps a second of so many browsers together."""
    done = [0] * count

    def play(place: int) -> None:
        page = browsers.lend()
        wob.begin(page, "click-button-sequence", place)
        until = time.perf_counter() + seconds
        number = [0]
        while time.perf_counter() < until:
            step(page, number)
        done[place] = number[0]
        browsers.give_back(page)

    threads = [threading.Thread(target=play, args=(place,)) for place in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / seconds


def run(shape: Any, repeats: int) -> dict[str, Any]:
    code, plots = CodeRunner(), CodeRunner(preload=("matplotlib.pyplot",), memory=2 << 30)
    browsers = Browsers(count=2, seconds=30)
    page = browsers.lend()
    wob.begin(page, "click-button-sequence", 0)
    number = [0]
    found = {
        "code runs": rate(lambda: code.run(["x = 1"], ["x"]), repeats),
        "plots": rate(lambda: plots.run([PLOT]), repeats, 5),
        "MiniWoB++ steps, one browser": rate(lambda: step(page, number), repeats),
        "MiniWoB++ resets": rate(lambda: wob.begin(page, "click-button-sequence", 0), repeats, 5),
        "pages looked at (two screenshots)": rate(lambda: look(page, HTML, 480, 480), repeats, 5),
    }
    browsers.give_back(page)
    found["MiniWoB++ steps, two browsers"] = steps_side_by_side(browsers, 2, 3.0)
    browsers.close()
    code.close()
    plots.close()
    return {"rates": found}


def notes(found: dict[str, Any]) -> list[str]:
    return [f"{name}: {value:.1f} a second" for name, value in found["rates"].items()]
