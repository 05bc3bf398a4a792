"""What the questions about the next action on a page share: pages with the boxes of their elements."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar

import numpy as np

from vlmloom.components.contracts.boxes import GUI, permille
from vlmloom.components.contracts.sample import Picture, Thing
from vlmloom.components.contracts.sources import PageSource, PageView, Source, SourceMissing, TextSource
from vlmloom.components.task.agentic.gui_grounding import NARROW, Place, Shot, elements, shown_in
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask, by_name
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.world import World

SMALL = 320
"""Pages of MiniWoB++ are narrower than this, and no narrow windows of other pages."""
SIZES = {"small": (0, SMALL), "narrow": (SMALL, NARROW), "wide": (NARROW, 1 << 20)}
WRITTEN = ("name", "city", "company", "word", "street_address", "user_name")

Asked = tuple[str, str, str]
"""Goal, action, and what decides on the split: the element that is named, or the window and what is done."""


class PageAction(ContentTask):
    """The next action on a page.

    Args:
        world: what is shared by the tasks of a suite.
        pages: the pages; None is `source/web_pages` and `source/miniwob_pages`.
        text: what is typed; None is `source/faker`.
        smallest: elements are at least so many pixels high; smaller ones are harder.

    Raises:
        SourceMissing: there are no pages, or no Chromium.
    """

    family = "agentic"
    knob = "smallest"
    salt = "GuiGrounding"
    form: ClassVar[str]
    """What an answer looks like."""

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
            raise ValueError(f"task/{self.name}: smallest is {smallest}; 1 or more would be right")
        self.pages: Sequence[PageSource] = pages or [
            by_name(None, name) for name in ("source/web_pages", "source/miniwob_pages")
        ]
        self.text: TextSource = by_name(text, "source/faker")
        self.smallest = smallest
        self._places: dict[tuple[str, str | None], dict[str, list[list[Place]]]] = {}
        for source in self.pages:
            if missing := source.available():
                raise SourceMissing(missing)

    def sources(self) -> Sequence[Source]:
        """The pages and the texts."""
        return (*self.pages, self.text)

    @abstractmethod
    def size(self, draw: Draw, split: str) -> str:
        """Pages of which of `SIZES` are shown."""

    @abstractmethod
    def into(self, written: str, draw: Draw, view: PageView, element: Any) -> Asked:
        """A text for a field."""

    @abstractmethod
    def beside(self, draw: Draw, view: PageView, element: Any) -> Asked | None:
        """Anything else than typing; None where the draw led nowhere."""

    def shown(self, view: PageView, split: str) -> Picture:
        """What a page looks like in a split."""
        return Shot(view)

    def compose(self, draw: Draw, split: str) -> Item | None:
        """An element of a page, and what is to be done with it or beside it."""
        kinds = self._kinds(self.size(draw, split), split)
        if not kinds:
            return None
        # Fields are few, and typing is half of what a keyboard is for.
        kind = "field" if "field" in kinds and draw.chance(0.4) else draw.choice(sorted(kinds))
        view, element = draw.choice(draw.choice(kinds[kind]))
        words, _, *box = element
        if box[3] - box[1] < self.smallest:
            return None
        if kind == "field":
            written = self.text.write(draw.choice(WRITTEN), draw.below(1 << 31)).replace("\n", " ")[:40]
            asked: Asked | None = self.into(written, draw, view, element)
        else:
            asked = self.beside(draw, view, element)
        if asked is None:
            return None
        goal, action, content = asked
        is_named = content == named(element)
        inside = marks(view, element)
        return Item(
            question=f"{goal}\n{self.form}",
            answer=action,
            things=(Thing(kind, "element", inside, "", words),) if is_named else (),
            pictures=(self.shown(view, split),),
            source=view.page.partition("/")[0],
            content=content,
            truth={"box": inside if is_named else None, "window": view.path.name},
        )

    def scene_key(self, item: Item) -> str:
        """An action in a window."""
        return f"{super().scene_key(item)}:{item.truth['window']}:{item.answer}"

    def _kinds(self, size: str, split: str | None = None) -> dict[str, list[list[Place]]]:
        """Kind of element -> where each is, once for each words; on pages of a split that are so wide."""
        if (size, split) not in self._places:
            low, high = SIZES[size]
            views = [
                view
                for source in self.pages
                for view in source.load()
                if low <= view.width < high and (split is None or shown_in(split, view.page))
            ]
            kinds = self._places[size, split] = {}
            for places in elements(views):
                kinds.setdefault(places[0][1][1], []).append(places)
        return self._places[size, split]

    def absent(self, draw: Draw, view: PageView, kind: str) -> Any:
        """A button or a box to tick of another page, whose words no second page has; or None."""
        places = self._kinds("small").get(kind)
        if kind == "link" or not places:
            return None
        elsewhere, element = draw.choice(draw.choice(places))
        if elsewhere.page == view.page or len(self._pages_of[element[0].lower()]) > 1:
            return None
        return element

    @cached_property
    def _pages_of(self) -> dict[str, set[str]]:
        """Words in lower case -> the small pages that have them."""
        found: dict[str, set[str]] = {}
        for places in self._kinds("small").values():
            for view, element in chain.from_iterable(places):
                found.setdefault(element[0].lower(), set()).add(view.page)
        return found


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


def marks(view: PageView, element: Any) -> tuple[int, int, int, int]:
    """An element's box from 0 to 999."""
    _, _, x1, y1, x2, y2 = element
    return permille((x1, y1, x2, y2), view.width, view.height, last=GUI)


def named(element: Any) -> str:
    """What an element is in the splits, in every window."""
    return f"{element[1]} {element[0]}"


class Dark(Shot):
    """A screenshot in inverted colours."""

    def __init__(self, view: PageView) -> None:
        super().__init__(view)
        self.key += " dark"

    def render(self) -> np.ndarray:
        """The pixels, uint8 `[1, height, width, 3]`."""
        return 255 - super().render()
