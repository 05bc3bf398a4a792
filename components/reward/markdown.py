"""Pages as Markdown."""

from __future__ import annotations

from dataclasses import dataclass, field

from vlmloom.components.contracts.reward import OnError, Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.bounded import Overran, bounded
from vlmloom.components.reward.edit import similarity, spaced
from vlmloom.components.reward.lists import common
from vlmloom.components.reward.parsed import Unreadable
from vlmloom.components.reward.table import Cells, read_table, teds
from vlmloom.registry import register


@register("reward/markdown")
class Markdown(Verifier):
    r"""The mean of what a page has: its text by edit distance, its blocks in their order, its tables by TEDS.

    Blocks are headings by level, paragraphs, entries of lists, code and tables, compared by their longest
    common subsequence over the longer list, and count by how right the text in them is. Tables may be
    Markdown or HTML. All of it is done in a process of its own; an answer that takes longer there than it may
    is wrong.

    Args:
        seconds: CPU time for one answer.
        on_error: see `Verifier`.

    Reference: arXiv 2412.07626 (OmniDocBench: text by edit distance, tables by TEDS).

    >>> from vlmloom.components.contracts.sample import Scene
    >>> sample = Sample("t", "test", 0, [], "# Tea\n\nGreen or black.", Scene(""))
    >>> answers = ["Tea\n===\nGreen or\nblack.", "Tea\n\nGreen or black.", ""]
    >>> [reward.value for reward in Markdown().judge(sample, answers)]
    [1.0, 0.75, 0.0]
    """

    longest = 50_000

    def __init__(self, *, seconds: float = 3.0, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        self.seconds = seconds

    def score(self, sample: Sample, response: str) -> Reward:
        """The mean."""
        if response.strip() == sample.answer.strip():
            return Reward(1.0, reason="letter by letter")
        try:
            parts: dict[str, float] = bounded(self.seconds).ask(compared, response, sample.answer)
        except Overran as error:
            return Reward(0.0, reason=str(error))
        said = ", ".join(f"{name} {value:.0%}" for name, value in parts.items())
        # Blocks are worth what is in them: the form of a page with other words on it is easily had.
        counted = parts | {"blocks": parts["blocks"] * parts.get("text", parts.get("tables", 1.0))}
        return Reward(sum(counted.values()) / len(counted), parts, said)


@dataclass
class Page:
    """What a page has.

    Attributes:
        text: of all blocks but tables, in their order.
        blocks: their kinds, in their order.
        tables: in their order.
    """

    text: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    tables: list[Cells] = field(default_factory=list)


def compared(found: str, gold: str) -> dict[str, float]:
    """The similarity of each part that the gold page has; called in the bounded process."""
    one, other = read_page(found), read_page(gold)
    parts = {"blocks": common(one.blocks, other.blocks) / max(len(one.blocks), len(other.blocks), 1)}
    if other.text:
        parts["text"] = similarity(spaced("\n".join(one.text)), spaced("\n".join(other.text)))
    if other.tables:
        pairs = zip(one.tables, other.tables, strict=False)
        parts["tables"] = sum(teds(*pair) for pair in pairs) / max(len(one.tables), len(other.tables))
    return parts


def read_page(text: str) -> Page:
    r"""The blocks of a page in Markdown.

    >>> read_page("## A\n- b\n- *c*\n\n| d |\n| - |\n| 1 |").blocks
    ['h2', 'li', 'li', 'table']
    """
    from markdown_it import MarkdownIt

    page = Page()
    stripped = text.strip()
    if stripped.startswith(("```markdown", "```md")) and stripped.endswith("```"):
        stripped = stripped.partition("\n")[2][:-3]
    tokens = MarkdownIt("commonmark").enable("table").parse(stripped)
    rows: list[list[tuple[int, int, str]]] = []
    kind, inside = "p", False
    for token in tokens:
        if token.type == "table_open":
            rows, inside = [], True
        elif token.type == "table_close":
            page.tables.append(tuple(map(tuple, rows)))  # type: ignore[arg-type]
            page.blocks.append("table")
            inside = False
        elif token.type == "tr_open":
            rows.append([])
        elif token.type in ("heading_open", "list_item_open"):
            kind = token.tag
        elif token.type == "inline":
            words = _words(token)
            if inside:
                rows[-1].append((1, 1, words))
            else:
                page.text.append(words)
                page.blocks.append(kind)
            kind = "p"
        elif token.type in ("fence", "code_block"):
            page.text.append(token.content)
            page.blocks.append("code")
        elif token.type == "html_block":
            try:
                page.tables.append(read_table(token.content))
                page.blocks.append("table")
            except Unreadable:
                page.blocks.append("html")
    return page


def _words(token: object) -> str:
    """The words of a line, without the signs of Markdown."""
    parts = [
        "\n" if child.type in ("softbreak", "hardbreak") else child.content
        for child in getattr(token, "children", None) or ()
    ]
    return " ".join("".join(parts).split())
