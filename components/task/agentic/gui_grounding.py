"""Where to click on a real page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from vlmloom.components.contracts.boxes import GUI, permille
from vlmloom.components.contracts.sample import Picture, Thing
from vlmloom.components.contracts.sources import PageSource, PageView, Source, SourceMissing
from vlmloom.components.task.agentic.desktop import click_at
from vlmloom.components.task.agentic.wob import held_out
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask, by_name
from vlmloom.components.task.draw import Draw, stable_hash
from vlmloom.components.task.world import World, belongs, quarter
from vlmloom.registry import register
from vlmloom.registry.errors import UserError

NARROW = 600
"""Windows that are narrower are for the shift split."""

Place = tuple[PageView, tuple[str, str, float, float, float, float]]
"""A window and what can be clicked in it."""


@register("task/gui_grounding")
class GuiGrounding(ContentTask):
    """Click on what an instruction names, on screenshots of real pages; right inside the element's box.

    Pages are in one split alone, and so are elements of the same kind and words; the shift split has those of
    test in narrow windows.

    Args:
        world: what is shared by the tasks of a suite.
        pages: the pages; None is `source/web_pages`.
        smallest: elements are at least so many pixels high.
    """

    name = "gui_grounding"
    family: ClassVar[str] = "agentic"
    knob: ClassVar[str] = "smallest"

    def __init__(self, *, world: World, pages: PageSource | None = None, smallest: int = 8) -> None:
        super().__init__(world=world)
        self.pages: PageSource = by_name(pages, "source/web_pages")
        self.smallest = smallest
        self._places: dict[str, list[list[Place]]] = {}
        if missing := self.pages.available():
            raise SourceMissing(missing)

    def sources(self) -> Sequence[Source]:
        """The pages."""
        return (self.pages,)

    def judge(self) -> dict[str, Any]:
        """A left click inside the box."""
        return {"use": "reward/point", "click": True}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """An element of a window."""
        if split not in self._places:
            self._places[split] = elements(
                [
                    view
                    for view in self.pages.load()
                    if (view.width < NARROW) == (split == "shift") and shown_in(split, view.page)
                ]
            )
        if not self._places[split]:
            raise UserError(
                f"task/{self.name}: no page of {len({view.page for view in self.pages.load()})} is in the "
                f"split {split}; a page is in one split alone, so some 20 are needed"
            )
        view, (words, kind, *box) = draw.choice(draw.choice(self._places[split]))
        x1, y1, x2, y2 = box
        if y2 - y1 < self.smallest:
            return None
        inside = permille((x1, y1, x2, y2), view.width, view.height, last=GUI)
        return Item(
            question=(
                f"Click on the {kind} “{words}”. Answer with left_click(start_box='[x,y]'), x and y from 0 "
                "to 999 from the top left corner."
            ),
            answer=click_at((x1 + x2) / 2, (y1 + y2) / 2, view.width, view.height),
            things=(Thing(kind, "element", inside, "", words),),
            pictures=(Shot(view),),
            source=view.page.partition("/")[0],
            content=f"{kind} {words}",
            truth={"box": inside, "window": view.path.name},
        )

    def scene_key(self, item: Item) -> str:
        """An element in a window."""
        return f"{super().scene_key(item)}:{item.truth['window']}"


def shown_in(split: str, page: str) -> bool:
    """Whether a split shows a page; those that `task/miniwob` keeps for test are in no other.

    >>> [split for split in ("train", "validation", "test") if shown_in(split, "miniwob/click-tab-2-hard")]
    ['test']
    """
    package, _, name = page.partition("/")
    kept = package == "miniwob" and held_out(name)
    if kept:
        return quarter(split) == "test"
    return belongs(stable_hash("page", package, name), split)


def elements(views: Sequence[PageView]) -> list[list[Place]]:
    """Where each element stands, in all windows that show it."""
    found: dict[tuple[str, str], list[Place]] = {}
    for view in views:
        for element in view.elements:
            found.setdefault((element[1], element[0]), []).append((view, element))
    return list(found.values())


class Shot(Picture):
    """A screenshot that a source keeps."""

    def __init__(self, view: PageView) -> None:
        self.width, self.height = view.width, view.height
        self.path = view.path
        self.key = f"{view.page} {view.path.name}"

    def render(self) -> np.ndarray:
        """The pixels, uint8 `[1, height, width, 3]`."""
        with Image.open(self.path) as picture:
            return np.asarray(picture.convert("RGB"))[None]
