"""The next action of a computer on a real page."""

from __future__ import annotations

from typing import Any

from vlmloom.components.contracts.sources import PageView
from vlmloom.components.task.agentic.desktop import FORMS, click_at
from vlmloom.components.task.agentic.page_action import Asked, PageAction, middle, named, told
from vlmloom.components.task.draw import Draw
from vlmloom.registry import register

FORM = f"Answer with the next action alone: {FORMS}. x and y run from 0 to 999, from the top left corner."
MOUSE = {
    "left_click": "Click on {}, or give up where it is not on the screen.",
    "right_click": "Open the context menu of {} by the right mouse button.",
    "left_double_click": "Double-click on {}.",
    "hover": "Move the pointer onto {}, without a click.",
}
KEYS = {
    "ctrl+c": "Copy what is marked, by the keyboard.",
    "ctrl+v": "Paste what was copied, by the keyboard.",
    "ctrl+z": "Undo the last change, by the keyboard.",
    "ctrl+a": "Mark everything, by the keyboard.",
    "ctrl+f": "Open the search within the page, by the keyboard.",
    "ctrl+p": "Print the page, by the keyboard.",
    "ctrl+s": "Save the page, by the keyboard.",
    "ctrl+t": "Open a new tab, by the keyboard.",
}


@register("task/desktop_action")
class DesktopAction(PageAction):
    """The next action on a real page by mouse or keyboard: click, hover, drag, type, scroll, keys, give up.

    Pages are real ones and those of MiniWoB++, whose DOM says where things are. Before a field is typed
    in, it is clicked; what is not on the screen is given up. Pages, and elements of the same kind and words,
    are in one split alone, the one that they have in `task/gui_grounding`, pages of MiniWoB++ in that of
    `task/miniwob`; the shift split has those of test in narrow windows of real pages.

    Args:
        world: what is shared by the tasks of a suite.
        pages: the pages; None is `source/web_pages` and `source/miniwob_pages`.
        text: what is typed; None is `source/faker`.
        smallest: elements are at least so many pixels high; smaller ones are harder.

    Raises:
        SourceMissing: there are no pages, or no Chromium.
    """

    name = "desktop_action"
    form = FORM

    def judge(self) -> dict[str, Any]:
        """By the kind of action and the distance on the grid."""
        return {"use": "reward/desktop_action"}

    def size(self, draw: Draw, split: str) -> str:
        """Wide windows and the pages of MiniWoB++; narrow windows in the shift split."""
        return "narrow" if split == "shift" else draw.choice(("small", "wide"))

    def into(self, written: str, draw: Draw, view: PageView, element: Any) -> Asked:
        """A click into the field, or, after it, the text."""
        goal = f"Type “{written}” into {told(element)}. A field is clicked before one types."
        if draw.chance(0.4):
            place = click_at(*middle(element), view.width, view.height)
            return f"{goal} Nothing has been done yet.", place, named(element)
        return f"{goal} It has been clicked just now.", f"type(content={written!r})", named(element)

    def beside(self, draw: Draw, view: PageView, element: Any) -> Asked | None:
        """A click, a drag or a scroll at the element; keys; or to give up what is not there."""
        what = draw.choice((*MOUSE, "left_click", "left_drag", "scroll", "key", "FAIL", "FAIL", "FAIL"))
        if what == "key":
            keys = draw.choice(list(KEYS))
            goal = f"{KEYS[keys]} Keys are written as in ctrl+x."
            return goal, f"key(keys='{keys}')", f"{keys} {view.path.name}"
        if what == "FAIL":
            lacking = self.absent(draw, view, element[1])
            return lacking and (MOUSE["left_click"].format(told(lacking)), "FAIL()", named(lacking))
        size, content = (view.width, view.height), named(element)
        if what in MOUSE:
            return MOUSE[what].format(told(element)), click_at(*middle(element), *size, name=what), content
        if what == "left_drag":
            other = draw.choice(view.elements)
            if other[:2] == element[:2]:
                return None
            start, end = (click_at(*middle(one), *size).split("'")[1] for one in (element, other))
            goal = f"Drag {told(element)} onto {told(other)}."
            return goal, f"left_drag(start_box='{start}', end_box='{end}')", content
        way, steps = draw.choice(("down", "up")), draw.between(2, 12)
        goal = f"Scroll {way} by {steps} steps, with the pointer on {told(element)}."
        place = click_at(*middle(element), *size, name="scroll")
        return goal, f"{place[:-1]}, direction='{way}', step={steps})", content
