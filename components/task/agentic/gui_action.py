"""The next action on a phone's screen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from vlmloom.components.contracts.boxes import GUI, permille
from vlmloom.components.contracts.sources import Source, TextSource
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask, by_name
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import RGB
from vlmloom.components.task.sheet import Face, Sheet
from vlmloom.components.task.world import World
from vlmloom.registry import register

WIDTH, HEIGHT = 270, 480
Box = tuple[int, int, int, int]
Action = dict[str, Any]
LIGHT: tuple[RGB, RGB, RGB] = ((255, 255, 255), (30, 30, 30), (63, 81, 181))
DARK: tuple[RGB, RGB, RGB] = ((24, 26, 32), (230, 230, 230), (255, 160, 60))
APPS = ("Camera", "Maps", "Clock", "Mail", "Music", "Files", "Notes", "Calendar")
SETTINGS = ("Bluetooth", "Wi-Fi", "Location", "Dark theme", "Flight mode", "Hotspot", "Vibration")
FIELDS = ("Name", "City", "Email", "Phone")
FORM = (
    'Answer with one action as JSON, {"action_type": ...}: click or long_press (box_2d), input_text (text, '
    "box_2d), swipe (direction in which the finger moves), open_app (app_name), answer (text), wait, "
    "navigate_back, navigate_home, or status (goal_status: complete or infeasible). box_2d is "
    "[[x1, y1, x2, y2]] from 0 to 999."
)


@register("task/gui_action")
class GuiAction(ContentTask):
    """One action on a phone, as JSON, for an instruction and a screen: lists, forms, settings, dialogs.

    What is right depends on the screen, not on the words of the instruction alone, but for the two keys
    that lead back and home. Screens are drawn with texts of Faker; those of the shift split are dark.

    Args:
        world: what is shared by the tasks of a suite.
        text: names and words; None is `source/faker`.
        rows: rows of a list; more are harder.
    """

    name = "gui_action"
    family: ClassVar[str] = "agentic"
    knob: ClassVar[str] = "rows"

    def __init__(self, *, world: World, text: TextSource | None = None, rows: int = 6) -> None:
        super().__init__(world=world)
        if not 3 <= rows <= 9:
            raise ValueError(f"task/gui_action: rows is {rows}; 3 to 9 would be right")
        self.text: TextSource = by_name(text, "source/faker")
        self.rows = rows

    def sources(self) -> Sequence[Source]:
        """Fonts and texts."""
        return (*super().sources(), self.text)

    def judge(self) -> dict[str, Any]:
        """The product over the keys."""
        return {"use": "reward/mobile_action"}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """A screen and an instruction."""
        screen = Screen(self.face(draw, split), DARK if split == "shift" else LIGHT)
        kind = draw.choice(("contacts", "form", "settings", "dialog", "apps", "loading"))
        asked = getattr(self, f"_{kind}")(draw, screen)
        if asked is None:
            return None
        goal, action = asked
        return Item(
            question=f"{goal}\n{FORM}",
            answer=json.dumps(action),
            things=screen.sheet.things(),
            pictures=(screen.sheet.picture(),),
            source="faker",
            content=repr((goal, action, [thing.text for thing in screen.sheet.things()])),
        )

    def _write(self, draw: Draw, what: str) -> str:
        return self.text.write(what, draw.below(1 << 31))[:18]

    def _contacts(self, draw: Draw, screen: Screen) -> tuple[str, Action] | None:
        names = sorted({self._write(draw, "name") for _ in range(self.rows + 2)}, key=str.casefold)
        if len(names) < self.rows + 2:
            return None
        first, *names, last = names
        screen.bar("Contacts")
        boxes = [screen.row(place, name) for place, name in enumerate(names)]
        at = draw.below(len(names))
        click: Action = {"action_type": "click", "box_2d": [boxes[at]]}
        match draw.below(5):
            case 0:
                return f"Open the entry of {names[at]}.", click
            case 1:
                there = draw.chance(0.5)
                asked = names[at] if there else draw.choice((first, last))
                return (
                    f"Open the entry of {asked}. The whole list is shown: report that the goal is infeasible "
                    "where it has no such entry."
                ), click if there else {"action_type": "status", "goal_status": "infeasible"}
            case 2:
                return f"Mark the entry of {names[at]} by a long press.", click | {
                    "action_type": "long_press"
                }
            case 3:
                down = draw.chance(0.5)
                return (
                    f"Scroll to the entry of {last if down else first}; the list is in alphabetical order."
                ), {"action_type": "swipe", "direction": "up" if down else "down"}
        return f"Who is in row {at + 1} of the list? Answer with the name.", {
            "action_type": "answer", "text": names[at],
        }  # fmt: skip

    def _form(self, draw: Draw, screen: Screen) -> tuple[str, Action]:
        screen.bar("New entry")
        fields = draw.sample(FIELDS, 3)
        boxes = [screen.field(place, name) for place, name in enumerate(fields)]
        left = draw.between(16, 154)
        save = screen.button(draw.between(290, 420), "Save", left, left + 100)
        if draw.chance(0.3):
            return "Save the entry.", {"action_type": "click", "box_2d": [save]}
        at = draw.below(3)
        said = self._write(
            draw, {"Name": "name", "City": "city", "Email": "user_name"}.get(fields[at], "ssn")
        )
        return f"Type “{said}” into the field {fields[at]}.", {
            "action_type": "input_text", "text": said, "box_2d": [boxes[at]],
        }  # fmt: skip

    def _settings(self, draw: Draw, screen: Screen) -> tuple[str, Action]:
        screen.bar("Settings")
        names = draw.sample(SETTINGS, min(self.rows, len(SETTINGS)))
        states = [draw.chance(0.5) for _ in names]
        boxes = [screen.switch(place, name, states[place]) for place, name in enumerate(names)]
        at = draw.below(len(names))
        click: Action = {"action_type": "click", "box_2d": [boxes[at]]}
        if draw.chance(0.5):
            return f"Switch {names[at]} {'off' if states[at] else 'on'}.", click
        wanted = draw.chance(0.5)
        return (
            f"{names[at]} has to be {'on' if wanted else 'off'}. Use its switch, or report that the goal is "
            "complete where it is so already."
        ), {"action_type": "status", "goal_status": "complete"} if states[at] == wanted else click

    def _dialog(self, draw: Draw, screen: Screen) -> tuple[str, Action]:
        name = self._write(draw, "last_name")
        screen.bar("Files")
        top = draw.between(80, 360)
        screen.sheet.text((135, top), f"Delete {name}?", screen.face, 15, screen.ink, "ma", "title")
        places = draw.sample(((20, 125), (145, 250)), 2)
        boxes = [
            screen.button(top + 50, words, *place)
            for words, place in zip(("Delete", "Cancel"), places, strict=True)
        ]
        gone = draw.chance(0.5)
        return f"The file {name} should {'go' if gone else 'stay'}.", {
            "action_type": "click", "box_2d": [boxes[not gone]],
        }  # fmt: skip

    def _apps(self, draw: Draw, screen: Screen) -> tuple[str, Action]:
        if draw.chance(0.3):
            screen.bar(self._write(draw, "city"))
            for place in range(3):
                screen.row(place, self._write(draw, "word"))
            if draw.chance(0.5):
                return "Go back to where you came from.", {"action_type": "navigate_back"}
            return "Go to the home screen.", {"action_type": "navigate_home"}
        screen.bar("Apps")
        app, *others = draw.sample(APPS, 5)
        names = draw.sample((app, *others[:3]) if draw.chance(0.5) else others, 4)
        boxes = [screen.row(place, name) for place, name in enumerate(names)]
        return f"Open the app {app}: by a click where it is on the screen, else by its name.", (
            {"action_type": "click", "box_2d": [boxes[names.index(app)]]}
            if app in names
            else {"action_type": "open_app", "app_name": app}
        )

    def _loading(self, draw: Draw, screen: Screen) -> tuple[str, Action] | None:
        screen.bar("Mail")
        names = [self._write(draw, "name") for _ in range(self.rows)]
        if len(set(names)) < len(names):
            return None
        at = draw.below(len(names))
        goal = f"Open the mail of {names[at]} once the list has been loaded."
        if draw.chance(0.5):
            screen.sheet.text((135, 220), "Loading ...", screen.face, 16, screen.ink, "ma")
            return goal, {"action_type": "wait"}
        boxes = [screen.row(place, name) for place, name in enumerate(names)]
        return goal, {"action_type": "click", "box_2d": [boxes[at]]}


class Screen:
    """A phone's screen in the making; boxes come back in thousandths up to 999."""

    def __init__(self, face: Face, colours: tuple[RGB, RGB, RGB]) -> None:
        self.face = face
        self.paper, self.ink, self.accent = colours
        self.sheet = Sheet(WIDTH, HEIGHT, self.paper)

    def bar(self, title: str) -> None:
        """The bar at the top."""
        self.sheet.box(0, 0, WIDTH, 48, self.accent)
        self.sheet.text((16, 24), title, self.face, 17, (255, 255, 255), "lm", "title")

    def row(self, place: int, words: str) -> Box:
        """A row of a list."""
        y = 52 + 46 * place
        self.sheet.text((16, y + 23), words, self.face, 14, self.ink, "lm")
        self.sheet.line([(12, y + 45), (WIDTH - 12, y + 45)], (150, 150, 150))
        return self.box(0, y, WIDTH, y + 46)

    def switch(self, place: int, words: str, on: bool) -> Box:
        """A row with a switch at its right; the box is the switch's."""
        self.row(place, words)
        y = 52 + 46 * place + 13
        self.sheet.box(212, y, 252, y + 20, self.accent if on else (160, 160, 160))
        self.sheet.circle((242 if on else 222, y + 10), 8, (255, 255, 255))
        return self.box(212, y, 252, y + 20)

    def field(self, place: int, words: str) -> Box:
        """An empty field below its label; the box is the field's."""
        y = 62 + 76 * place
        self.sheet.text((16, y + 8), words, self.face, 13, self.ink, "lm")
        self.sheet.box(16, y + 20, WIDTH - 16, y + 54, None, (130, 130, 130))
        return self.box(16, y + 20, WIDTH - 16, y + 54)

    def button(self, y: int, words: str, left: int, right: int) -> Box:
        """A button."""
        self.sheet.box(left, y, right, y + 38, self.accent)
        self.sheet.text(((left + right) / 2, y + 19), words, self.face, 14, (255, 255, 255), "mm", "button")
        return self.box(left, y, right, y + 38)

    def box(self, x1: int, y1: int, x2: int, y2: int) -> Box:
        """Pixels as thousandths."""
        return permille((x1, y1, x2, y2), WIDTH, HEIGHT, last=GUI)
