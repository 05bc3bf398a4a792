"""A printed page, to be written down as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vlmloom.components.contracts.sources import FontSource, Source, TextSource
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask, by_name
from vlmloom.components.task.documents.flow import Flow
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.world import World
from vlmloom.registry import register

COLUMNS = {"Name": "name", "City": "city", "Date": "date", "Phone": "basic_phone_number", "Job": "job"}


@register("task/page_markdown")
class PageMarkdown(ContentTask):
    """Write a page down as Markdown: a title, then headings, paragraphs, lists and tables.

    Args:
        world: what is shared by the tasks of a suite.
        texts: what is written; None is `source/faker`.
        fonts: what it is written with; None is `source/page_fonts`.
        blocks: parts of a page under its title, from 1.
    """

    name = "page_markdown"
    family = "documents"
    knob = "blocks"

    def __init__(
        self,
        *,
        world: World,
        texts: TextSource | None = None,
        fonts: FontSource | None = None,
        blocks: int = 4,
    ) -> None:
        super().__init__(world=world, fonts=fonts)
        if blocks < 1:
            raise ValueError(f"task/page_markdown: blocks is {blocks}; 1 or more would be right")
        self.texts: TextSource = by_name(texts, "source/faker")
        self.blocks = blocks

    def sources(self) -> Sequence[Source]:
        """Fonts and texts."""
        return (self.fonts, self.texts)

    def judge(self) -> dict[str, Any]:
        """Block by block."""
        return {"use": "reward/markdown"}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """A page as wide as an envelope, as long as it needs."""
        flow = Flow(draw.choice((448, 512, 576)), self.face(draw, split), draw.between(13, 16))
        parts = [f"# {self._write(draw, 'catch_phrase')}"]
        flow.heading(parts[0][2:], 1)
        before = ""
        for _ in range(self.blocks):
            # Two paragraphs or two lists in a row could not be told from one.
            kind = draw.choice([one for one in ("paragraph", "list", "table", "heading") if one != before])
            if kind == "heading":
                parts.append(f"## {self._write(draw, 'bs').capitalize()}")
                flow.heading(parts[-1][3:], 2)
                kind = "paragraph"
            if kind == "paragraph":
                parts.append(" ".join(self._write(draw, "sentence") for _ in range(draw.between(2, 4))))
                flow.paragraph(parts[-1])
            elif kind == "list":
                entries = [self._write(draw, "sentence") for _ in range(draw.between(2, 4))]
                ordered = draw.chance(0.5)
                flow.bullets(entries, ordered)
                marks = [f"{number}." if ordered else "-" for number in range(1, len(entries) + 1)]
                parts.append("\n".join(f"{mark} {entry}" for mark, entry in zip(marks, entries, strict=True)))
            else:
                heads = draw.sample(list(COLUMNS), draw.between(2, 3))
                rows = [
                    [self._write(draw, COLUMNS[head]) for head in heads] for _ in range(draw.between(2, 4))
                ]
                flow.table([heads, *rows], (232, 232, 232) if draw.chance(0.5) else None)
                lines = [heads, ["---"] * len(heads), *rows]
                parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
            before = kind
        text = "\n\n".join(parts)
        if not flow.fits or not self.belongs(split, text):
            return None
        sheet = flow.done()
        question = "Write this page as Markdown: headings, paragraphs, lists and tables in their order."
        return Item(question, text, sheet.things(), (sheet.picture(),), source="faker", content=text)

    def _write(self, draw: Draw, what: str) -> str:
        return self.texts.write(what, draw.bits() >> 1)
