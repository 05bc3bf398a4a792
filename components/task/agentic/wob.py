"""MiniWoB++ pages: which there are, how an episode begins, what its state is."""

from __future__ import annotations

import json
from functools import cache
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np

from vlmloom.components.contracts.sources import SourceMissing
from vlmloom.components.sandbox.page import Page
from vlmloom.components.task.draw import stable_hash

WIDTH, HEIGHT = 160, 210
"""Pixels of a MiniWoB++ screen; the upper 50 rows hold the instruction."""
WINDOW = (500, 320)
"""Pixels of the window that the screen is the upper left corner of, as in the package."""

TIMED = frozenset({"chase-circle", "moving-items", "simon-says", "button-delay", "hot-cold", "drag-cube"})
"""Pages whose state depends on the clock, so that no episode can be run again; left out."""

COLOURED = frozenset({"click-shape", "identify-shape", "text-editor", "use-colorwheel", "use-colorwheel-2"})
"""Pages that ask for a colour or show yellow on white, which inverted colours make another, or unseen."""

START = """(() => {
    if (window.jQuery) jQuery.fx.off = true;
    core.EPISODE_MAX_TIME = 1e8;
    Math.seedrandom(SEED);
    if (window.WOB_DATA_MODE !== undefined) WOB_DATA_MODE = "train";
    core.startEpisodeReal();
    document.getElementById('reward-display').style.display = 'none';
})()"""
STATE = """(() => {
    const said = core.getUtterance();
    return {
        ready: WOB_TASK_READY, done: WOB_DONE_GLOBAL, reward: WOB_RAW_REWARD_GLOBAL,
        instruction: typeof said === 'string' ? said : said.utterance
    };
})()"""
ELEMENTS = """[...document.querySelectorAll('body *')].filter(
    e => !e.closest('#query, #reward-display, #click-canvas')
).map(e => {
    // The first line of what is broken over several, whose middle may be none of it.
    const r = e.getClientRects()[0] || e.getBoundingClientRect();
    const own = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent).join(' ').trim();
    return {
        tag: e.tagName.toLowerCase(), id: e.id, cls: e.getAttribute('class') || '', own,
        text: (e.innerText || e.textContent || '').trim(), type: e.type || '', value: e.value ?? '',
        checked: !!e.checked, focused: document.activeElement === e, fill: e.getAttribute('fill') || '',
        style: e.getAttribute('style') || '', href: e.getAttribute('href') || '',
        parent: e.parentElement.innerText || '', shown: e.checkVisibility(),
        x: r.x + r.width / 2, y: r.y + r.height / 2, w: r.width, h: r.height
    };
}).filter(e => e.shown && e.w > 0 && e.h > 0)"""
DARK = "document.documentElement.style.filter = 'invert(1) hue-rotate(180deg)'"


def folder() -> Path:
    """Where the package's pages lie.

    Raises:
        SourceMissing: the package is not installed.
    """
    spec = util.find_spec("miniwob")
    if spec is None or spec.origin is None:
        raise SourceMissing("task/miniwob: pip install miniwob (extra: browser)")
    return Path(spec.origin).parent / "html"


@cache
def names() -> tuple[str, ...]:
    """All pages that an episode can be run on again."""
    found = (path.stem for path in (folder() / "miniwob").glob("*.html"))
    return tuple(sorted(name for name in found if name not in TIMED))


def held_out(name: str) -> bool:
    """Whether a page is kept from training; variants of one page go together.

    >>> held_out("click-tab") == held_out("click-tab-2-hard")
    True
    """
    return stable_hash("miniwob", *name.split("-")[:2]) % 2 == 1


def begin(page: Page, name: str, seed: int, dark: bool = False) -> dict[str, Any]:
    """Load a page afresh and start an episode; gives back its state.

    Args:
        page: of a browser.
        name: of the MiniWoB++ page.
        seed: of all that is random in it.
        dark: in inverted colours.

    Raises:
        RuntimeError: the page does not become ready.
    """
    page.show(folder=folder(), path=f"miniwob/{name}.html", width=WINDOW[0], height=WINDOW[1], scripts=True)
    page.evaluate(START.replace("SEED", json.dumps(str(seed))))
    if dark:
        page.evaluate(DARK)
    for _ in range(40):
        found = state(page)
        if found["ready"]:
            return found
        page.settle(0.05)
    raise RuntimeError(f"miniwob {name}: the page did not become ready in 2 s")


def state(page: Page) -> dict[str, Any]:
    """`instruction`, `done` and, once done, `reward` from -1 to 1, whatever the time it took."""
    found: dict[str, Any] = page.evaluate(STATE)
    return found


def screenshot(page: Page) -> np.ndarray:
    """The screen, uint8 `[210, 160, 3]`."""
    return page.screenshot((0, 0, WIDTH, HEIGHT))


def elements(page: Page) -> list[dict[str, Any]]:
    """Every visible element: tag, id, text, kind, value, place and size; for scripted policies alone."""
    found: list[dict[str, Any]] = page.evaluate(ELEMENTS)
    return found
