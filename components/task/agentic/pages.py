"""Pages of plain HTML and CSS, composed from real texts; the height is known before anything is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

import numpy as np

from vlmloom.components.sandbox.browsers import browsers
from vlmloom.components.sandbox.page import Page
from vlmloom.components.task.draw import Draw

Write = Callable[[str], str]
"""A text of a kind (a provider of Faker), another one every time."""


@dataclass(frozen=True)
class Theme:
    """Colours and the font of a page."""

    ground: str
    ink: str
    bar: str
    on_bar: str
    accent: str
    soft: str
    font: str


LIGHT = (
    Theme("#ffffff", "#222222", "#1f3a5f", "#ffffff", "#c0392b", "#eef2f7", "sans-serif"),
    Theme("#fffdf7", "#2d2a26", "#7a4f2b", "#fff4e0", "#2e7d32", "#f3e9dc", "serif"),
    Theme("#ffffff", "#111111", "#0b8457", "#ffffff", "#5b2a86", "#e6f5ee", "sans-serif"),
    Theme("#f7f7fb", "#1c1c3c", "#3b3b98", "#f1f1ff", "#d35400", "#e4e4f5", "sans-serif"),
    Theme("#ffffff", "#333333", "#f2c14e", "#222222", "#1565c0", "#fdf3d8", "serif"),
)
DARK = (
    Theme("#16181d", "#e6e6e6", "#2a2f3a", "#9fd3ff", "#ffb454", "#20242c", "monospace"),
    Theme("#1b1b1b", "#f0ead6", "#3d2c2e", "#f6c667", "#7bd389", "#2a2526", "monospace"),
)
FAMILIES = {
    "sans-serif": "'DejaVu Sans', sans-serif",
    "serif": "'DejaVu Serif', serif",
    "monospace": "'DejaVu Sans Mono', monospace",
}


def navigation(draw: Draw, write: Write, theme: Theme) -> tuple[str, int]:
    """A bar with a name and links."""
    links = "".join(
        f"<span style='margin-left:14px;font-size:12px'>{escape(write('word').title())}</span>"
        for _ in range(draw.between(2, 4))
    )
    name = escape(write("last_name"))
    return (
        f"<div style='height:44px;line-height:44px;padding:0 16px;background:{theme.bar};"
        f"color:{theme.on_bar}'>"
        f"<b style='font-size:17px'>{name}</b><span style='float:right'>{links}</span></div>"
    ), 44


def hero(draw: Draw, write: Write, theme: Theme) -> tuple[str, int]:
    """A heading, a line and a button."""
    side = draw.choice(("left", "center"))
    return (
        f"<div style='height:124px;padding:16px;text-align:{side};background:{theme.soft}'>"
        f"<h1 style='margin:0;font-size:24px;color:{theme.accent}'>{escape(write('word').title())} "
        f"{escape(write('word'))}</h1>"
        f"<p style='margin:12px 0;font-size:13px'>{escape(write('catch_phrase'))}</p>"
        f"<span style='display:inline-block;padding:7px 16px;font-size:13px;background:{theme.accent};"
        f"color:{theme.ground}'>{escape(write('word').title())}</span></div>"
    ), 156


def cards(draw: Draw, write: Write, theme: Theme) -> tuple[str, int]:
    """Two or three boxes side by side."""
    count = draw.between(2, 3)
    share = (480 - 16 * (count + 1)) // count
    boxes = "".join(
        f"<div style='position:absolute;top:12px;left:{16 + place * (share + 16)}px;width:{share - 18}px;"
        f"height:76px;padding:8px;border:1px solid {theme.bar}'>"
        f"<b style='font-size:14px'>{escape(write('first_name'))}</b>"
        f"<div style='margin-top:8px;font-size:12px'>{escape(write('job'))[:30]}</div></div>"
        for place in range(count)
    )
    return f"<div style='position:relative;height:120px'>{boxes}</div>", 120


def table(draw: Draw, write: Write, theme: Theme) -> tuple[str, int]:
    """A table of three columns."""
    rows = draw.between(2, 4)
    cell = "width:33%;height:24px;padding:0 8px;font-size:12px;border-bottom:1px solid " + theme.bar
    head = "".join(
        f"<th style='{cell};text-align:left;background:{theme.soft}'>{word}</th>"
        for word in ("Name", "City", "Sum")
    )
    body = "".join(
        f"<tr><td style='{cell}'>{escape(write('last_name'))}</td>"
        f"<td style='{cell}'>{escape(write('city'))[:16]}</td>"
        f"<td style='{cell}'>{draw.between(10, 9999)}</td></tr>"
        for _ in range(rows)
    )
    return (
        f"<div style='height:{25 * (rows + 1) + 24}px;padding:12px 16px;box-sizing:border-box'><table style='"
        f"width:100%;border-collapse:collapse;table-layout:fixed'><tr>{head}</tr>{body}</table></div>"
    ), 25 * (rows + 1) + 24


def listing(draw: Draw, write: Write, theme: Theme) -> tuple[str, int]:
    """A heading and points."""
    count = draw.between(2, 5)
    points = "".join(
        f"<li style='height:20px;font-size:13px'>{escape(write('bs'))[:44]}</li>" for _ in range(count)
    )
    return (
        f"<div style='height:{44 + 20 * count}px;padding:0 16px'><h2 style='margin:0;padding:8px 0 6px;"
        f"height:20px;font-size:16px;color:{theme.accent}'>{escape(write('word').title())}</h2>"
        f"<ul style='margin:0;padding-left:20px'>{points}</ul></div>"
    ), 44 + 20 * count


def form(draw: Draw, write: Write, theme: Theme) -> tuple[str, int]:
    """Labels with fields, and a button."""
    count = draw.between(1, 3)
    fields = "".join(
        f"<div style='height:34px'>"
        f"<span style='display:inline-block;width:110px;font-size:13px'>{label}</span>"
        f"<span style='display:inline-block;vertical-align:middle;width:220px;height:22px;border:1px solid "
        f"{theme.bar};background:#ffffff'></span></div>"
        for label in draw.sample(("Name", "Email", "Phone", "City", "Street"), count)
    )
    return (
        f"<div style='height:{34 * count + 38}px;padding:12px 16px 0;background:{theme.soft}'>{fields}"
        f"<span style='padding:5px 14px;font-size:13px;background:{theme.bar};color:{theme.on_bar}'>"
        f"{draw.choice(('Send', 'Save', 'Search', 'Sign up'))}</span></div>"
    ), 34 * count + 50


def footer(draw: Draw, write: Write, theme: Theme) -> tuple[str, int]:
    """A line at the end."""
    return (
        f"<div style='height:30px;line-height:30px;text-align:center;font-size:11px;background:{theme.bar};"
        f"color:{theme.on_bar}'>{escape(write('company'))[:40]} {draw.between(1990, 2026)}</div>"
    ), 30


SECTIONS = (hero, cards, table, listing, form)
WIDTH = 480


def compose(draw: Draw, write: Write, sections: int, dark: bool) -> tuple[str, int]:
    """A page of so many sections between a bar and a last line, and its height in pixels."""
    theme = draw.choice(DARK if dark else LIGHT)
    chosen = [navigation, *(draw.choice(SECTIONS) for _ in range(sections)), footer]
    drawn = [section(draw, write, theme) for section in chosen]
    style = (
        f"margin:0;background:{theme.ground};color:{theme.ink};font-family:{FAMILIES[theme.font]};"
        "overflow-x:hidden"
    )
    body = "\n".join(text for text, _ in drawn)
    return f'<body style="{style}">\n{body}\n</body>', sum(height for _, height in drawn)


def screenshot(width: int, height: int, html: str) -> np.ndarray:
    """A page in a window of this size, uint8 `[height, width, 3]`."""

    def draw(page: Page) -> np.ndarray:
        page.show(html, width=width, height=height)
        return page.screenshot()

    return browsers().run(draw)
