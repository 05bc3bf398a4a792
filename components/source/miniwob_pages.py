"""Pages of MiniWoB++ as they look when an episode begins: fields, buttons, boxes to tick, links."""

from __future__ import annotations

import json
from functools import partial
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vlmloom.components.sandbox.browsers import browsers
from vlmloom.components.sandbox.page import Page
from vlmloom.components.source.cache import Tick
from vlmloom.components.source.screenshots import Screenshots
from vlmloom.registry import register

PAGES = (
    *("book-flight-nodelay", "buy-ticket", "click-button", "click-checkboxes", "click-checkboxes-large"),
    *("click-checkboxes-soft", "click-dialog-2", "click-link", "click-option", "click-tab-2-hard"),
    *(
        "click-widget",
        "copy-paste",
        "count-shape",
        "enter-password",
        "enter-text",
        "enter-time",
        "find-word",
        "form-sequence-3",
    ),
    *("generate-number", "guess-number", "identify-shape", "login-user", "login-user-popup", "multi-layouts"),
    *("multi-orderings", "phone-book", "read-table", "search-engine", "sign-agreement", "simple-algebra"),
    *("simple-arithmetic", "stock-market", "text-transform", "use-autocomplete-nodelay"),
)
WINDOW = (500, 320)
WIDTH, TOP, BOTTOM = 160, 50, 210
"""Pixels of a page; the rows above hold the page's own instruction and are not shown."""
FORMAT = 4

START = """(() => {
    if (window.jQuery) jQuery.fx.off = true;
    core.EPISODE_MAX_TIME = 1e8;
    Math.seedrandom(SEED);
    core.startEpisodeReal();
    document.getElementById('reward-display').style.display = 'none';
})()"""
ELEMENTS = (
    """(() => {
    const found = [], seen = {}, plain = said => said.replace(/\\s+/g, ' ').trim().replace(/[:*]+$/, '');
    const pushed = e => e.tagName === 'BUTTON' || ['button', 'submit'].includes(e.type);
    const shown = e => e.checkVisibility() && !e.closest('#query, #reward-display');
    const fields = [...document.querySelectorAll('input, textarea')].filter(
        e => shown(e) && !pushed(e) && !['checkbox', 'radio'].includes(e.type)
    );
    const beside = e => {
        const box = e.parentElement, before = box.previousElementSibling;
        if (box.id === 'area' || box.querySelectorAll('input').length !== 1) return '';
        const own = [...box.childNodes].filter(
            n => !(n.matches && (n.matches('input, button') || n.querySelector('input, button')))
        ).map(n => n.textContent).join(' ');
        return plain(own) || (box.tagName === 'TD' && before ? before.innerText : '');
    };
    const words = e => {
        if (pushed(e)) return e.value || e.innerText;
        if (!['INPUT', 'TEXTAREA'].includes(e.tagName)) return e.innerText;
        const label = e.labels && e.labels[0] ? e.labels[0].innerText : '';
        return label || e.placeholder || beside(e) || (fields.length === 1 ? 'text' : '');
    };
    for (const e of document.querySelectorAll('a, .alink, button, input, textarea, [role=button]')) {
        if (!shown(e)) continue;
        const said = plain(words(e)), r = e.getBoundingClientRect();
        if (!said || said.length > 40) continue;
        seen[said.toLowerCase()] = (seen[said.toLowerCase()] || 0) + 1;
        if (e.getClientRects().length !== 1 || r.width < 8 || r.height < 8) continue;
        if (r.left < 0 || r.top < TOP || r.right > WIDTH || r.bottom > BOTTOM) continue;
        const top = document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2);
        if (!top || !(e === top || e.contains(top))) continue;
        const kind = fields.includes(e) ? 'field' : {checkbox: 'checkbox', radio: 'option'}[e.type]
            || (e.tagName === 'A' || e.classList.contains('alink') ? 'link' : 'button');
        found.push([said, kind, r.left, r.top - TOP, r.right, r.bottom - TOP]);
    }
    return found.filter(one => seen[one[0].toLowerCase()] === 1);
})()""".replace("WIDTH", str(WIDTH))
    .replace("TOP", str(TOP))
    .replace("BOTTOM", str(BOTTOM))
)


@register("source/miniwob_pages")
class MiniWoBPages(Screenshots):
    """Screenshots of MiniWoB++ pages without their instruction, with boxes of what is clicked or typed in.

    Each page begins in so many ways, with other names, buttons and places; what looks the same is kept once.
    They are looked at once, and kept.

    Args:
        ways: how often a page begins.

    Reference: https://miniwob.farama.org
    """

    package = "PyPI miniwob"
    licence = "MIT"

    def __init__(self, *, ways: int = 12) -> None:
        if ways < 1:
            raise ValueError(f"source/miniwob_pages: ways is {ways}; 1 or more would be right")
        self.ways = ways

    def lacking(self) -> str | None:
        """None where miniwob is installed."""
        if util.find_spec("miniwob"):
            return None
        return "source/miniwob_pages: pip install miniwob (extra: browser)"

    def settings(self) -> dict[str, Any]:
        """The version of miniwob, and how often a page begins."""
        return {"format": FORMAT, "version": metadata.version("miniwob"), "ways": self.ways}

    def look(self, folder: Path, tick: Tick) -> list[list[Any]]:
        """Each page in each way."""
        spec = util.find_spec("miniwob")
        assert spec is not None and spec.origin is not None
        root = Path(spec.origin).parent / "html"
        index: list[list[Any]] = []
        seen: set[bytes] = set()
        for number, name in enumerate(PAGES):
            for way in range(self.ways):
                pixels, elements = browsers().run(partial(view, root=root, name=name, way=way))
                if elements and pixels.tobytes() not in seen:
                    seen.add(pixels.tobytes())
                    Image.fromarray(pixels).save(folder / f"{name}-{way}.png")
                    index.append([f"miniwob/{name}", f"{name}-{way}.png", WIDTH, BOTTOM - TOP, elements])
            tick(number + 1, len(PAGES))
        return index


def view(page: Page, root: Path, name: str, way: int) -> tuple[np.ndarray, list[list[Any]]]:
    """What a page looks like, uint8 `[160, 160, 3]`, and its elements."""
    page.show(folder=root, path=f"miniwob/{name}.html", width=WINDOW[0], height=WINDOW[1], scripts=True)
    page.evaluate(START.replace("SEED", json.dumps(str(way))))
    page.settle(0.05)
    elements: list[list[Any]] = page.evaluate(ELEMENTS)
    return page.screenshot((0, TOP, WIDTH, BOTTOM)), elements
