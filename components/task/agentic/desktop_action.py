"""The next action of a computer on a real page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from vlmloom.components.contracts.boxes import GUI, permille
from vlmloom.components.contracts.sample import Thing
from vlmloom.components.contracts.sources import PageSource, PageView, Source, SourceMissing, TextSource
from vlmloom.components.task.agentic.desktop import FORMS, click_at
from vlmloom.components.task.agentic.gui_grounding import NARROW, Place, Shot, elements
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask, by_name
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.world import World
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
SMALL = 320
"""Pages of MiniWoB++ are narrower than this, and no narrow windows of other pages."""
WRITTEN = ("name", "city", "company", "word", "street_address", "user_name")


@register("task/desktop_action")
class DesktopAction(ContentTask):
    """The next action on a real page by mouse or keyboard: click, hover, drag, type, scroll, keys, give up.

    Pages are real ones and those of MiniWoB++, whose DOM says where things are. Before a field is typed
    in, it is clicked; what is not on the screen is given up. Elements of the same kind and words are in one
    split alone, the one that they have in `task/gui_grounding`; the shift split has those of test in narrow
    windows of real pages.

    Args:
        world: what is shared by the tasks of a suite.
        pages: the pages; None is `source/web_pages` and `source/miniwob_pages`.
        text: what is typed; None is `source/faker`.
        smallest: elements are at least so many pixels high; smaller ones are harder.

    Raises:
        SourceMissing: there are no pages, or no Chromium.
    """

    name = "desktop_action"
    family: ClassVar[str] = "agentic"
    knob: ClassVar[str] = "smallest"
    salt: ClassVar[str] = "GuiGrounding"

    def __init__(
        self,
        *,
        world: World,
        pages: Sequence[PageSource] | None = None,
        text: TextSource | None = None,
        smallest: int = 8,
    ) -> None:
        super().__init__(world=world)
        if smallest < 1:
            raise ValueError(f"task/desktop_action: smallest is {smallest}; 1 or more would be right")
        self.pages: Sequence[PageSource] = pages or [
            by_name(None, name) for name in ("source/web_pages", "source/miniwob_pages")
        ]
        self.text: TextSource = by_name(text, "source/faker")
        self.smallest = smallest
        self._places: dict[str, dict[str, list[list[Place]]]] = {}
        for source in self.pages:
            if missing := source.available():
                raise SourceMissing(missing)

    def sources(self) -> Sequence[Source]:
        """The pages and the texts."""
        return (*self.pages, self.text)

    def judge(self) -> dict[str, Any]:
        """By the kind of action and the distance on the grid."""
        return {"use": "reward/desktop_action"}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """An element of a page, and what is to be done with it or beside it."""
        small = split != "shift" and draw.chance(0.5)
        kinds = self._kinds("small" if small else "narrow" if split == "shift" else "wide")
        if not kinds:
            return None
        # Fields are few, and typing is half of what a keyboard is for.
        kind = "field" if "field" in kinds and draw.chance(0.4) else draw.choice(sorted(kinds))
        view, element = draw.choice(draw.choice(kinds[kind]))
        words, _, *box = element
        if box[3] - box[1] < self.smallest:
            return None
        asked = (self._field if kind == "field" else self._other)(draw, view, element)
        if asked is None:
            return None
        goal, action, content = asked
        named = content == f"{kind} {words}"
        inside = permille((box[0], box[1], box[2], box[3]), view.width, view.height, last=GUI)
        return Item(
            question=f"{goal}\n{FORM}",
            answer=action,
            things=(Thing(kind, "element", inside, "", words),) if named else (),
            pictures=(Shot(view),),
            source=view.page.partition("/")[0],
            content=content,
            truth={"box": inside if named else None, "window": view.path.name},
        )

    def scene_key(self, item: Item) -> str:
        """An action in a window."""
        return f"{super().scene_key(item)}:{item.truth['window']}:{item.answer}"

    def _kinds(self, size: str) -> dict[str, list[list[Place]]]:
        """Kind of element -> where each is, once for each words; on pages that are so wide."""
        if not self._places:
            views = [view for source in self.pages for view in source.load()]
            for name, low, high in (
                ("small", 0, SMALL),
                ("narrow", SMALL, NARROW),
                ("wide", NARROW, 1 << 20),
            ):
                kinds: dict[str, list[list[Place]]] = {}
                for places in elements([view for view in views if low <= view.width < high]):
                    kinds.setdefault(places[0][1][1], []).append(places)
                self._places[name] = kinds
        return self._places[size]

    def _field(self, draw: Draw, view: PageView, element: Any) -> tuple[str, str, str]:
        written = self.text.write(draw.choice(WRITTEN), draw.below(1 << 31)).replace("\n", " ")[:40]
        goal = f"Type “{written}” into {told(element)}. A field is clicked before one types."
        content = f"{element[1]} {element[0]}"
        if draw.chance(0.4):
            place = click_at(*middle(element), view.width, view.height)
            return f"{goal} Nothing has been done yet.", place, content
        return f"{goal} It has been clicked just now.", f"type(content={written!r})", content

    def _other(self, draw: Draw, view: PageView, element: Any) -> tuple[str, str, str] | None:
        """Goal, action, and what decides on the split: the element that is named, or keys and window."""
        what = draw.choice((*MOUSE, "left_click", "left_drag", "scroll", "key", "FAIL", "FAIL", "FAIL"))
        if what == "key":
            keys = draw.choice(list(KEYS))
            goal = f"{KEYS[keys]} Keys are written as in ctrl+x."
            return goal, f"key(keys='{keys}')", f"{keys} {view.path.name}"
        if what == "FAIL":
            return self._absent(draw, view, element[1])
        size, content = (view.width, view.height), f"{element[1]} {element[0]}"
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

    def _absent(self, draw: Draw, view: PageView, kind: str) -> tuple[str, str, str] | None:
        """A button or a box to tick of another page, whose words no second page has."""
        places = self._kinds("small").get(kind)
        if kind == "link" or not places:
            return None
        elsewhere, element = draw.choice(draw.choice(places))
        if elsewhere.page == view.page or not self._rare(element[0]):
            return None
        return MOUSE["left_click"].format(told(element)), "FAIL()", f"{kind} {element[0]}"

    def _rare(self, words: str) -> bool:
        """Whether these words are on one page alone."""
        pages = {
            view.page
            for places in self._kinds("small").values()
            for each in places
            for view, element in each
            if element[0].lower() == words.lower()
        }
        return len(pages) == 1


def middle(element: Any) -> tuple[float, float]:
    """The middle of an element's box, in pixels."""
    _, _, x1, y1, x2, y2 = element
    return (x1 + x2) / 2, (y1 + y2) / 2


def told(element: Any) -> str:
    """An element in words.

    >>> told(("Save", "button", 0, 0, 9, 9))
    'the button “Save”'
    """
    if element[:2] == ("text", "field"):
        return "the only field"
    return f"the {element[1]} “{element[0]}”"
