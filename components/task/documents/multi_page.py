"""Several pages, and a question that one or two of them answer."""

from __future__ import annotations

from collections.abc import Sequence

from vlmloom.components.contracts.sample import Thing
from vlmloom.components.contracts.sources import FontSource, Source, TextSource
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask, by_name
from vlmloom.components.task.documents.flow import Flow
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.sheet import Rendered
from vlmloom.components.task.world import World
from vlmloom.registry import register

FIELDS = {"born": "date", "city": "city", "job": "job", "employer": "company"}


@register("task/multi_page")
class MultiPage(ContentTask):
    """Answer from a letter of several pages: a fact of one page, or one that leads over another page.

    Each page tells of two people. A question over two pages asks for a fact about somebody whom the first
    page names by the telephone number only; the list of numbers is on the last page.

    Args:
        world: what is shared by the tasks of a suite.
        texts: what is written; None is `source/faker`.
        fonts: what it is written with; None is `source/page_fonts`.
        pages: of the letter, from 2, without the list of numbers.
    """

    name = "multi_page"
    family = "documents"
    knob = "pages"

    def __init__(
        self,
        *,
        world: World,
        texts: TextSource | None = None,
        fonts: FontSource | None = None,
        pages: int = 3,
    ) -> None:
        super().__init__(world=world, fonts=fonts)
        if not 2 <= pages <= 7:
            raise ValueError(f"task/multi_page: pages is {pages}, but may be 2 to 7")
        self.texts: TextSource = by_name(texts, "source/faker")
        self.pages = pages

    def sources(self) -> Sequence[Source]:
        """Fonts and texts."""
        return (self.fonts, self.texts)

    def compose(self, draw: Draw, split: str) -> Item | None:
        """Pages of two people each, a list of numbers, a question."""
        people = [
            {"name": self._write(draw, "name"), "number": f"{draw.between(2000, 9999)}"}
            | {field: self._write(draw, what) for field, what in FIELDS.items()}
            for _ in range(2 * self.pages)
        ]
        if any(len({one[key] for one in people}) < len(people) for key in people[0]):
            return None
        if not self.belongs(split, repr(people)):
            return None
        face, size, width = self.face(draw, split), draw.between(13, 15), draw.choice((360, 400))
        pictures: list[Rendered] = []
        things: list[Thing] = []
        for page in range(self.pages + 1):
            flow = Flow(width, face, size)
            flow.heading("Telephone" if page == self.pages else f"Page {page + 1}", 2)
            if page == self.pages:
                for one in draw.sample(people, len(people)):
                    flow.row(one["name"], one["number"])
            for one in people[2 * page : 2 * page + 2]:
                flow.paragraph(self._write(draw, "sentence"))
                flow.bullets([f"{key}: {one[key]}" for key in ("name", *FIELDS)], False)
            sheet = flow.done()
            pictures.append(sheet.picture())
            things += sheet.things(page)
        one, field = draw.choice(people), draw.choice(list(FIELDS))
        far = draw.chance(0.5)
        who = f"the person whose telephone number is {one['number']}" if far else one["name"]
        question = f"What is given as '{field}' for {who}? Answer as it is printed."
        return Item(
            question, one[field], tuple(things), tuple(pictures), source="faker", content=repr(people)
        )

    def _write(self, draw: Draw, what: str) -> str:
        return self.texts.write(what, draw.bits() >> 1)
