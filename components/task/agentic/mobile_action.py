"""The next action of a phone on a real page."""

from __future__ import annotations

import json
from typing import Any

from vlmloom.components.contracts.sample import Picture
from vlmloom.components.contracts.sources import PageView
from vlmloom.components.task.agentic.gui_action import FORM
from vlmloom.components.task.agentic.gui_grounding import Shot
from vlmloom.components.task.agentic.page_action import Asked, Dark, PageAction, marks, named, told
from vlmloom.components.task.draw import Draw
from vlmloom.registry import register

TOUCHED = {
    "click": "Tap on {}, or report that the goal is infeasible where it is not on the screen.",
    "long_press": "Press {} for long.",
}
WINDOW = {
    "Show what is further down on the page, by the finger.": {"action_type": "swipe", "direction": "up"},
    "Show what is further up on the page, by the finger.": {"action_type": "swipe", "direction": "down"},
    "Go back to the page before this one.": {"action_type": "navigate_back"},
    "Go to the home screen.": {"action_type": "navigate_home"},
    "The page is still loading. Wait for it.": {"action_type": "wait"},
    "The goal was to open this page. Report that it is complete.": {
        "action_type": "status",
        "goal_status": "complete",
    },
}


@register("task/mobile_action")
class MobileAction(PageAction):
    """The next action on a real page in a phone's window, as JSON: tap, press, type, swipe, navigate, report.

    Pages are real ones in narrow windows and those of MiniWoB++, whose DOM says where things are. Splits
    are those of `task/desktop_action`; the shift split has pages and elements of test in inverted colours.

    Args:
        world: what is shared by the tasks of a suite.
        pages: the pages; None is `source/web_pages` and `source/miniwob_pages`.
        text: what is typed; None is `source/faker`.
        smallest: elements are at least so many pixels high; smaller ones are harder.

    Raises:
        SourceMissing: there are no pages, or no Chromium.
    """

    name = "mobile_action"
    form = FORM

    def judge(self) -> dict[str, Any]:
        """The product over the keys."""
        return {"use": "reward/mobile_action"}

    def size(self, draw: Draw, split: str) -> str:
        """Narrow windows and the pages of MiniWoB++."""
        return draw.choice(("small", "narrow"))

    def shown(self, view: PageView, split: str) -> Picture:
        """Inverted in the shift split."""
        return Dark(view) if split == "shift" else Shot(view)

    def into(self, written: str, draw: Draw, view: PageView, element: Any) -> Asked:
        """The text and the field at once."""
        action = {"action_type": "input_text", "text": written, "box_2d": [marks(view, element)]}
        return f"Type “{written}” into {told(element)}.", json.dumps(action), named(element)

    def beside(self, draw: Draw, view: PageView, element: Any) -> Asked | None:
        """A touch of the element, something about the window, or a report that the element is not there."""
        what = draw.choice((*TOUCHED, *TOUCHED, "window", "absent"))
        if what in TOUCHED:
            action = {"action_type": what, "box_2d": [marks(view, element)]}
            return TOUCHED[what].format(told(element)), json.dumps(action), named(element)
        if what == "window":
            goal = draw.choice(list(WINDOW))
            return goal, json.dumps(WINDOW[goal]), f"{goal} {view.path.name}"
        lacking = self.absent(draw, view, element[1])
        report = json.dumps({"action_type": "status", "goal_status": "infeasible"})
        return lacking and (TOUCHED["click"].format(told(lacking)), report, named(lacking))
