"""What a page shows: its blocks of text, its picture, and its picture without the text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vlmloom.components.sandbox.page import Page

MOST = 200
"""Blocks of a page that are looked at, the largest first."""

BLOCKS = """(() => {
    const found = new Map();
    const pen = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
    const top = document.body || document.documentElement;
    const walker = document.createTreeWalker(top, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const node = walker.currentNode;
        const text = node.textContent.replace(/\\s+/g, ' ').trim();
        const parent = node.parentElement;
        if (!text || !parent || ['SCRIPT', 'STYLE', 'TEMPLATE'].includes(parent.tagName)) continue;
        if (!parent.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
        const range = document.createRange();
        range.selectNodeContents(node);
        const r = range.getBoundingClientRect();
        if (r.width < 1 || r.height < 1) continue;
        const x1 = r.left + scrollX, y1 = r.top + scrollY, old = found.get(parent);
        if (old) {
            old.text += ' ' + text;
            old.box = [Math.min(old.box[0], x1), Math.min(old.box[1], y1),
                       Math.max(old.box[2], x1 + r.width), Math.max(old.box[3], y1 + r.height)];
        } else {
            // Drawn, since a colour may be written in any space.
            pen.clearRect(0, 0, 1, 1);
            pen.fillStyle = getComputedStyle(parent).color;
            pen.fillRect(0, 0, 1, 1);
            const colour = [...pen.getImageData(0, 0, 1, 1).data.slice(0, 3)];
            found.set(parent, {text, colour, box: [x1, y1, x1 + r.width, y1 + r.height]});
        }
    }
    return [...found.values()];
})()"""
BARE = """(() => {
    const style = document.createElement('style');
    style.textContent = `*, ::before, ::after, ::placeholder, ::marker { color: transparent !important;
        -webkit-text-fill-color: transparent !important; text-shadow: none !important;
        text-decoration-color: transparent !important; caret-color: transparent !important }`;
    document.documentElement.append(style);
})()"""


@dataclass(frozen=True)
class Block:
    """A piece of text.

    Attributes:
        text: with single spaces.
        box: x1, y1, x2, y2 as shares of the page.
        colour: red, green and blue from 0 to 255.
    """

    text: str
    box: tuple[float, float, float, float]
    colour: tuple[float, float, float]

    @property
    def area(self) -> float:
        """As a share of the page."""
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])


@dataclass(frozen=True)
class Look:
    """What a page shows, down to its end.

    Attributes:
        blocks: in the order of the document; those that change no pixel are not there.
        picture: uint8 `[height, width, 3]`.
        bare: the same without the text, which is drawn transparent: exactly painted in.
    """

    blocks: tuple[Block, ...]
    picture: np.ndarray
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
        found = page.evaluate(BLOCKS)
        picture = page.screenshot(whole=True)
        page.evaluate(BARE)
        bare = page.screenshot(whole=True)
    if bare.shape != picture.shape:
        bare = bare[: picture.shape[0]]
        bare = np.pad(bare, ((0, picture.shape[0] - bare.shape[0]), (0, 0), (0, 0)), mode="edge")
    change = np.abs(picture.astype(np.int16) - bare).max(2)
    blocks = []
    high, wide = change.shape
    for one in found:
        x1, y1, x2, y2 = one["box"]
        x1, x2, y1, y2 = max(0.0, x1), min(float(wide), x2), max(0.0, y1), min(float(high), y2)
        inner = change[int(y1) : int(y2) + 1, int(x1) : int(x2) + 1]
        # Text in the colour of its ground, behind something, or off the page shows nothing.
        if x2 > x1 and y2 > y1 and inner.size and inner.max() >= 24:
            box = (x1 / wide, y1 / high, x2 / wide, y2 / high)
            blocks.append(Block(one["text"][:2000], box, tuple(one["colour"])))
    if len(blocks) > MOST:
        least = sorted((block.area for block in blocks), reverse=True)[MOST - 1]
        blocks = [block for block in blocks if block.area >= least][:MOST]
    return Look(tuple(blocks), picture, bare)
