"""A screenshot of a page, to be written as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from vlmloom.components.contracts.sources import Source, SourceMissing, TextSource
from vlmloom.components.sandbox.chromium import BrowserMissing, chromium
from vlmloom.components.task.agentic.pages import WIDTH, compose, screenshot
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask, by_name
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.sheet import Rendered
from vlmloom.components.task.world import World
from vlmloom.registry import register


@register("task/design2code")
class Design2Code(ContentTask):
    """Write the HTML of a page that is shown; judged by what it looks like in a Chromium without network.

    Pages have a bar, sections (heading, cards, table, list, form) and a last line, with texts of Faker. The
    shift split is dark and in a font of fixed width.

    Args:
        world: what is shared by the tasks of a suite.
        text: where texts come from; None is `source/faker`.
        sections: sections of a page between its bar and its last line.

    Raises:
        SourceMissing: there is no Chromium here.
    """

    name = "design2code"
    family: ClassVar[str] = "agentic"
    knob: ClassVar[str] = "sections"

    def __init__(self, *, world: World, text: TextSource | None = None, sections: int = 3) -> None:
        super().__init__(world=world)
        if not 1 <= sections <= 12:
            raise ValueError(f"task/design2code: sections is {sections}; 1 to 12 would be right")
        self.text: TextSource = by_name(text, "source/faker")
        self.sections = sections
        need_chromium(self.name)

    def sources(self) -> Sequence[Source]:
        """The texts."""
        return (self.text,)

    def judge(self) -> dict[str, Any]:
        """Design2Code's five terms."""
        return {"use": "reward/html"}

    def compose(self, draw: Draw, split: str) -> Item:
        """A page at random."""
        html, height = compose(
            draw, lambda what: self.text.write(what, draw.below(1 << 31)), self.sections, split == "shift"
        )
        return Item(
            question=(
                f"Write this page as one HTML document with its styles in it, for a window {WIDTH} pixels "
                "wide. Answer with the HTML alone."
            ),
            answer=html,
            pictures=(Rendered(screenshot, WIDTH, height, html, slow="chromium"),),
            source="faker",
            content=html,
            truth={"viewport": (WIDTH, height)},
        )


def need_chromium(task: str) -> None:
    """Whether a task that needs a browser can be there.

    Raises:
        SourceMissing: it cannot.
    """
    try:
        chromium()
    except BrowserMissing as error:
        raise SourceMissing(f"task/{task}: {error}") from None
