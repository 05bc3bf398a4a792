"""What a page shows: its blocks of text, its picture, and its picture without the text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate
from math import fsum
from secrets import token_hex

import numpy as np

from vlmloom.components.sandbox.page import Page

MOST = 200
"""Blocks of a page that are looked at, the largest first, and lines of a block, the first ones."""

STILL = """for (const one of document.getAnimations()) {
    one.pause();
    try { one.currentTime = TIME; } catch { /* it moves with the scrolling, and stays where it is */ }
}
for (const one of document.querySelectorAll('svg')) {
    one.pauseAnimations();
    one.setCurrentTime(TIME / 1000);
}"""
"""What moves is as it is after so many milliseconds."""
BLOCKS = """(() => {
    const found = new Map();
    globalThis.words = [];
    globalThis.drawn = [];
    const pen = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
    const top = document.body || document.documentElement;
    const walker = document.createTreeWalker(top, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode;
        const text = node.textContent.replace(/\\s+/g, ' ').trim();
        const parent = node.parentElement;
        if (!text || !parent || ['SCRIPT', 'STYLE', 'TEMPLATE'].includes(parent.tagName)) continue;
        if (!parent.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
        const style = getComputedStyle(parent);
        if (style.webkitTextSecurity !== 'none') continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        const lines = [...range.getClientRects()].slice(0, MOST).map(r => [
            r.left + scrollX, r.top + scrollY, r.right + scrollX, r.bottom + scrollY
        ]).filter(([x1, y1, x2, y2]) => x2 - x1 >= 1 && y2 - y1 >= 1);
        if (!lines.length) continue;
        const old = found.get(parent);
        if (old) {
            old.text += ' ' + text;
            old.lines = [...old.lines, ...lines].slice(0, MOST);
            globalThis.words[old.place].push(range);
        } else {
            // Drawn, since a colour may be written in any space.
            pen.clearRect(0, 0, 1, 1);
            pen.fillStyle = parent instanceof SVGElement ? style.fill : style.webkitTextFillColor;
            pen.fillRect(0, 0, 1, 1);
            const colour = [...pen.getImageData(0, 0, 1, 1).data.slice(0, 3)];
            found.set(parent, {text, colour, lines, place: found.size});
            globalThis.words.push([range]);
            globalThis.drawn.push(parent instanceof SVGElement ? parent : null);
        }
    }
    return [...found.values()];
})()""".replace("MOST", str(MOST))
RULE = """(name => {
    for (const one of document.querySelectorAll('*')) {
        if (getComputedStyle(one).webkitBackgroundClip.includes('text'))
            one.animate([{backgroundImage: 'none'}], {duration: 1, fill: 'forwards'}).finish();
    }
    const sheet = new CSSStyleSheet(), clear = 'transparent !important';
    sheet.replaceSync(`::highlight(${name}) { color: ${clear}; -webkit-text-fill-color: ${clear};
        -webkit-text-stroke-color: ${clear}; text-decoration-color: ${clear} }`);
    document.adoptedStyleSheets.push(sheet);
})('NAME')"""
"""How words look that are to be transparent, and no gradient for their ground."""
CLEARED = """((name, places) => {
    const clear = {fill: 'transparent', stroke: 'transparent'};
    CSS.highlights.set(name, new Highlight(...places.flatMap(place => globalThis.words[place])));
    globalThis.painted = (globalThis.painted ?? []).filter(one => one.cancel());
    for (const place of places) {
        const one = globalThis.drawn[place];
        if (!one) continue;
        const paint = one.animate([clear], {duration: 1, fill: 'forwards'});
        paint.finish();
        globalThis.painted.push(paint);
    }
})('NAME', PLACES)"""
"""The words of some blocks are transparent, and no others.

That is in no element and no attribute, and no rule of the page knows the name.
"""
LINES = 2000
"""Of all blocks; what is beyond them is not seen."""
LAYERS = 6
"""Of blocks whose lines lie upon each other; those beyond them are not seen."""
SEEN, WIDE, HIGH, FULL = 24, 0.4, 0.15, 0.75
"""Levels by which words change a pixel; shares of a line's columns and rows in which they have to; and that
of its pixels which is more than letters."""
Box = tuple[float, float, float, float]
"""x1, y1, x2, y2."""


@dataclass(frozen=True)
class Block:
    """A piece of text.

    Attributes:
        text: with single spaces.
        lines: of at least one line, the box round its words: x1, y1, x2, y2 as shares of the page.
        colour: red, green and blue from 0 to 255.
    """

    text: str
    lines: tuple[Box, ...]
    colour: tuple[float, float, float]

    @property
    def box(self) -> Box:
        """The box round all lines."""
        return around(self.lines)

    @property
    def area(self) -> float:
        """That of the box, as a share of the page."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])


def around(boxes: Sequence[Box]) -> Box:
    """The box round boxes."""
    left, top, right, bottom = zip(*boxes, strict=True)
    return min(left), min(top), max(right), max(bottom)


@dataclass(frozen=True)
class Look:
    """What a page shows, down to its end.

    Attributes:
        blocks: in the order of the document, with those of their lines that can be seen.
        bare: uint8 `[height, width, 3]`, the page without the text of its blocks, which is drawn
            transparent: exactly painted in.
    """

    blocks: tuple[Block, ...]
    bare: np.ndarray


def look(page: Page, html: str, width: int, height: int) -> Look:
    """Load a page that nobody trusts and look at it.

    Args:
        page: of a browser.
        html: its text.
        width: of the window in pixels.
        height: of the window in pixels; the page may be higher.

    Raises:
        BrowserStopped: it could not be drawn in half of the time that a call to the browser may take.
        RuntimeError: the page is made so that it cannot be looked at.
    """
    page.open()
    with page.browser.within(page.browser.seconds / 2):
        page.show(html, width=width, height=height)
        page.evaluate(STILL.replace("TIME", str(moment(html))))
        found = page.evaluate(BLOCKS)
        picture = page.screenshot(whole=True)
        high, wide, _ = picture.shape
        lines = largest([cut(one["lines"], wide, high) for one in found])
        layers = apart(lines)
        name = f"words-{token_hex(8)}"
        page.evaluate(RULE.replace("NAME", name))

        def without(places: Sequence[int]) -> np.ndarray:
            page.evaluate(CLEARED.replace("NAME", name).replace("PLACES", json.dumps(list(places))))
            shot = page.screenshot(whole=True)[:high]
            return np.pad(shot, ((0, high - len(shot)), (0, 0), (0, 0)), mode="edge")

        shots = [without(layer) for layer in layers]
        bare = shots[0] if len(shots) == 1 else without(range(len(found)))
    seen_at: dict[int, Block] = {}
    for layer, shot in zip(layers, shots, strict=True):
        change = np.abs(picture.astype(np.int16) - shot).max(2)
        for place in layer:
            seen = [line for line in lines[place] if legible(change, line)]
            if seen and 2 * len(seen) >= len(lines[place]):
                shares = tuple((x1 / wide, y1 / high, x2 / wide, y2 / high) for x1, y1, x2, y2 in seen)
                one = found[place]
                seen_at[place] = Block(one["text"][:2000], shares, tuple(one["colour"]))
    blocks = [seen_at[place] for place in sorted(seen_at)]
    if len(blocks) > MOST:
        least = sorted((block.area for block in blocks), reverse=True)[MOST - 1]
        blocks = [block for block in blocks if block.area >= least][:MOST]
    return Look(tuple(blocks), bare)


def cut(lines: Sequence[Box], wide: int, high: int) -> list[Box]:
    """What of lines is on the page, in pixels."""
    kept = [
        (max(0.0, x1), max(0.0, y1), min(float(wide), x2), min(float(high), y2)) for x1, y1, x2, y2 in lines
    ]
    return [(x1, y1, x2, y2) for x1, y1, x2, y2 in kept if x2 > x1 and y2 > y1]


def largest(blocks: Sequence[list[Box]]) -> list[list[Box]]:
    """The lines of the largest blocks, as many as are looked at, in their places; none of the others."""

    def area(place: int) -> float:
        return fsum((x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in blocks[place])

    order = sorted(range(len(blocks)), key=area, reverse=True)
    total = dict(zip(order, accumulate(len(blocks[place]) for place in order), strict=True))
    return [lines if total[place] <= LINES else [] for place, lines in enumerate(blocks)]


def apart(blocks: Sequence[Sequence[Box]]) -> list[list[int]]:
    """Blocks in layers, so that no line of one lies upon one of another: the ink there is its own.

    Args:
        blocks: the lines of each.

    >>> apart([[(0, 0, 9, 9)], [(20, 0, 29, 9)], [(5, 2, 25, 9)]])
    [[0, 1], [2]]
    """
    layers: list[list[int]] = [[]]
    taken = [np.zeros((0, 4))]
    for place, lines in enumerate(blocks):
        if not lines:
            continue
        own = np.array(lines, float)
        free = next((at for at, others in enumerate(taken) if not _meet(own, others)), len(layers))
        if free == LAYERS:
            continue
        if free == len(layers):
            layers.append([])
            taken.append(np.zeros((0, 4)))
        layers[free].append(place)
        taken[free] = np.concatenate([taken[free], own])
    return layers


def _meet(lines: np.ndarray, others: np.ndarray) -> bool:
    """Whether one lies upon another; lines of one paragraph touch."""
    one, two = lines[:, None], others[None]
    width = np.minimum(one[..., 2], two[..., 2]) - np.maximum(one[..., 0], two[..., 0])
    height = np.minimum(one[..., 3], two[..., 3]) - np.maximum(one[..., 1], two[..., 1])
    return bool(((width > 2) & (height > 4)).any())


def moment(html: str) -> int:
    """When a page is looked at, in milliseconds: always the same, and not known to who writes it.

    >>> 4000 <= moment("<p>here</p>") < 6000
    True
    """
    digest = sha256(html.encode(errors="replace")).digest()
    return 4000 + int.from_bytes(digest[:2]) % 2000


def legible(change: np.ndarray, line: Box) -> bool:
    """Whether the words of a line can be seen along it: not in their ground's colour, or behind something.

    Args:
        change: levels by which the words change each pixel, `[height, width]`.
        line: the box round them in pixels.

    >>> change = np.zeros((20, 40))
    >>> change[5:15, 2:38:2] = change[5, 2:38] = 99
    >>> legible(change, (0, 0, 39, 19)), legible(change, (0, 0, 39, 4)), legible(change, (30, 0, 30, 9))
    (True, False, False)
    """
    x1, y1, x2, y2 = line
    inner = change[int(y1) : int(y2) + 1, int(x1) : int(x2) + 1] >= SEEN
    if x2 <= x1 or y2 <= y1 or not inner.any():
        return False
    wide, high, full = inner.any(0).mean(), inner.any(1).mean(), inner.mean()
    return bool(wide >= WIDE and high >= HIGH and full <= FULL)
