"""Desktop actions as text, and what they do to a page."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from typing import Any

from vlmloom.components.sandbox.page import Page

GRID = 1000
"""Coordinates run from 0 to 999 in both directions, whatever the size of the screen."""

FORMS = (
    "left_click(start_box='[x,y]'), right_click(start_box='[x,y]'), left_double_click(start_box='[x,y]'), "
    "hover(start_box='[x,y]'), left_drag(start_box='[x,y]', end_box='[x,y]'), type(content='text'), "
    "key(keys='ctrl+a'), scroll(start_box='[x,y]', direction='down', step=5), WAIT(), DONE() or FAIL()"
)
NEEDS = {
    "left_click": ("start_box",),
    "right_click": ("start_box",),
    "middle_click": ("start_box",),
    "left_double_click": ("start_box",),
    "hover": ("start_box",),
    "left_drag": ("start_box", "end_box"),
    "type": ("content",),
    "key": ("keys",),
    "scroll": ("start_box", "direction"),
    "WAIT": (),
    "DONE": (),
    "FAIL": (),
}
"""Action -> the arguments that it cannot do without."""
DIRECTIONS = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}
NOTCH = 20
"""Pixels that one step of scrolling moves."""


@dataclass(frozen=True)
class Action:
    """One action.

    Attributes:
        name: a key of `NEEDS`.
        points: its boxes as points of the grid, a box by its middle.
        text: what is typed, the keys, or the direction.
        step: how far to scroll.
    """

    name: str
    points: tuple[tuple[float, float], ...] = ()
    text: str = ""
    step: int = 5
    extra: dict[str, Any] = field(default_factory=dict)


def read_action(text: str) -> Action:
    """The one action in a text.

    Raises:
        ValueError: there is none, or it is not well formed; the message says what would be right.

    >>> read_action("left_click(start_box='[500,250]', element_info='the button')").points
    ((500.0, 250.0),)
    >>> read_action("DONE")
    Action(name='DONE', points=(), text='', step=5, extra={})
    """
    text = text.strip()
    if text in ("WAIT", "DONE", "FAIL"):
        return Action(text)
    if len(text) > 4000:
        raise ValueError(f"found {len(text):,} characters; one action would be right")
    try:
        parsed: Any = ast.parse(text, mode="eval").body
        name = parsed.func.id
        arguments = {word.arg: ast.literal_eval(word.value) for word in parsed.keywords}
        plain = not parsed.args
    except (SyntaxError, ValueError, AttributeError, RecursionError, MemoryError, TypeError):
        raise ValueError(f"found {text[:80]!r}; one of {FORMS} would be right") from None
    if name not in NEEDS or not plain or any(need not in arguments for need in NEEDS[name]):
        raise ValueError(f"found {text[:80]!r}; one of {FORMS} would be right")
    points = tuple(_point(arguments[key]) for key in ("start_box", "end_box") if key in arguments)
    said = next((str(arguments[key]) for key in ("content", "keys", "direction") if key in arguments), "")
    step = arguments.get("step", 5)
    if name == "scroll" and (said not in DIRECTIONS or type(step) is not int or not 0 < step <= 100):
        raise ValueError(
            f"found {text[:80]!r}; a direction of {', '.join(DIRECTIONS)} and 1 to 100 steps are right"
        )
    return Action(name, points, said, step if name == "scroll" else 5)


def _point(value: Any) -> tuple[float, float]:
    numbers = [int(number) for number in re.findall(r"-?\d{1,4}", str(value))]
    if len(numbers) not in (2, 4) or not all(0 <= number < GRID for number in numbers):
        raise ValueError(f"found the point {str(value)[:40]!r}; '[x,y]' from 0 to {GRID - 1} would be right")
    if len(numbers) == 4:
        return (numbers[0] + numbers[2]) / 2, (numbers[1] + numbers[3]) / 2
    return float(numbers[0]), float(numbers[1])


def grid(x: float, y: float, width: int, height: int) -> tuple[int, int]:
    """A pixel's place on the grid."""
    return (
        min(GRID - 1, max(0, round(x * GRID / width))),
        min(GRID - 1, max(0, round(y * GRID / height))),
    )


def click_at(x: float, y: float, width: int, height: int, name: str = "left_click") -> str:
    """The action that clicks a pixel."""
    return f"{name}(start_box='[{','.join(map(str, grid(x, y, width, height)))}]')"


def perform(page: Page, action: Action, width: int, height: int) -> None:
    """Do it on the page; WAIT, DONE and FAIL do nothing here.

    Args:
        page: what is acted on.
        action: what is done.
        width: pixels that the grid spans.
        height: pixels that the grid spans.

    Raises:
        ValueError: there is no such key.
    """
    points = [(x * width / GRID, y * height / GRID) for x, y in action.points]
    match action.name:
        case "left_click" | "right_click" | "middle_click":
            page.click(*points[0], button=action.name.partition("_")[0])
        case "left_double_click":
            page.click(*points[0], count=2)
        case "hover":
            page.mouse("mouseMoved", *points[0])
        case "left_drag":
            page.drag(points[0], points[1])
        case "type":
            page.type(action.text)
        case "key":
            page.key(action.text)
        case "scroll":
            across, down = DIRECTIONS[action.text]
            far = NOTCH * action.step
            page.mouse("mouseWheel", *points[0], deltaX=across * far, deltaY=down * far)
