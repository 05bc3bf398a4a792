"""Pages as Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vlmloom.components.contracts.reward import OnError, Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.bounded import Overran, bounded
from vlmloom.components.reward.edit import similarity, spaced
from vlmloom.components.reward.leads import leads
from vlmloom.components.reward.lists import common
from vlmloom.components.reward.parsed import Unreadable
from vlmloom.components.reward.styles import shows
from vlmloom.components.reward.table import Cells, read_table, teds
from vlmloom.registry import register

WRAPPED = re.compile(r"([^`]*?)^```(markdown|md|)[ \t]*\n(.*?)(?:```)?\s*\Z", re.M | re.S | re.I)
"""A page in a code fence: what stands before it, its format, the page."""
STRUCK = re.compile(r"<(?:del|s|strike)\b", re.I)
HIDDEN = re.compile(r"<!--|<(?:details|dialog|noscript|script|style|template|title)\b|<[^>]*\shidden\b", re.I)
"""HTML that strikes its words out, and that which shows none of them."""


@register("reward/markdown")
class Markdown(Verifier):
    r"""The mean of what a page has: its text by edit distance, its blocks in their order, its tables by TEDS.

    Blocks are headings by level, paragraphs, entries of lists, code and tables, compared by their longest
    common subsequence over the longer list, and count by how right the text in them is. Tables may be
    Markdown or HTML, and the whole page may stand in a code fence, after words that only lead to it. Strikes
    and words that a page does not show (comments, titles of links, references to nowhere), where the gold
    page has none, make an answer wrong. All of it is done in a process of its own; an answer that takes
    longer there than it may is wrong.

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
            parts, unlike = bounded(self.seconds).ask(compared, response, sample.answer)
        except Overran as error:
            return Reward(0.0, reason=str(error))
        if unlike:
            return Reward(0.0, parts, f"{', '.join(unlike)}; the page has none")
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
        unseen: which kinds of strikes and hidden words it has.
    """

    text: list[str] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    tables: list[Cells] = field(default_factory=list)
    unseen: set[str] = field(default_factory=set)


def compared(found: str, gold: str) -> tuple[dict[str, float], list[str]]:
    """The similarity of each part that the gold page has, and strikes and hidden words that it has not.

    Called in the bounded process.
    """
    # A gold page that is code stands in its fence.
    one, other = read_page(found if gold.lstrip().startswith("```") else unwrapped(found)), read_page(gold)
    parts = {"blocks": common(one.blocks, other.blocks) / max(len(one.blocks), len(other.blocks), 1)}
    if other.text:
        parts["text"] = similarity(spaced("\n".join(one.text)), spaced("\n".join(other.text)))
    if other.tables:
        parts["tables"] = aligned(one.tables, other.tables) / max(len(one.tables), len(other.tables))
    return parts, sorted(one.unseen - other.unseen)


def aligned(found: Sequence[Cells], gold: Sequence[Cells]) -> float:
    """The most that tables in their order are alike, each beside one other at most, by TEDS.

    >>> one, other = (((1, 1, "a"),),), (((1, 1, "b"),), ((1, 1, "c"),))
    >>> aligned([other, one], [one]), aligned([one], [other, one]), aligned([], [one])
    (1.0, 1.0, 0.0)
    """
    row = [0.0] * (len(gold) + 1)
    for ours in found:
        before = 0.0
        for place, theirs in enumerate(gold, 1):
            here = row[place]
            row[place] = max(before + teds(ours, theirs), here, row[place - 1])
            before = here
    return row[-1]


def unwrapped(text: str) -> str:
    r"""A page without the code fence that may stand round it, and the words that lead to that.

    >>> unwrapped("Here is the page:\n```markdown\n# Tea\n```"), unwrapped("```\na\n```\nb\n```\nc\n```")
    ('# Tea\n', '```\na\n```\nb\n```\nc\n```')
    """
    match = WRAPPED.fullmatch(text.strip())
    if not match or not leads(match[1]) or (not match[2] and re.search("^```", match[3], re.M)):
        return text
    return match[3]


def read_page(text: str) -> Page:
    r"""The blocks of a page in Markdown.

    >>> read_page("## A\n- b\n- *c*\n\n| d |\n| - |\n| 1 |").blocks
    ['h2', 'li', 'li', 'table']
    """
    from markdown_it import MarkdownIt

    page, lines = Page(), text.strip().split("\n")
    known: dict[str, Any] = {}
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text.strip(), known)
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
            cells = re.split(r"(?<!\\)\|", lines[(token.map or [0])[0]].strip().strip("|"))
            # A table has as many columns as its head; what a row has beyond them is shown by none.
            page.text += [" ".join(cells[len(rows[0]) :])] if rows[0] and cells[len(rows[0]) :] else []
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
    page.unseen = unseen(tokens, known)
    return page


def unseen(tokens: list[Any], known: dict[str, Any]) -> set[str]:
    """Which kinds of strikes and of words that are not shown a parsed page has."""
    inner = [*tokens, *(child for token in tokens for child in token.children or ())]
    html = " ".join(token.content for token in inner if token.type in ("html_block", "html_inline"))
    meant = known.get("references", {}).values()
    used = {token.attrGet("href") or token.attrGet("src") for token in inner}
    kinds = {
        "a strike": any(token.type == "s_open" for token in inner) or STRUCK.search(html),
        "hidden HTML": HIDDEN.search(html) or not shows(_styles(html)),
        "the title of a link": any(token.attrGet("title") for token in inner),
        "a reference to nowhere": any(one["href"] not in used for one in meant),
    }
    return {kind for kind, there in kinds.items() if there}


def _styles(html: str) -> list[str]:
    import lxml.html

    page = lxml.html.document_fromstring(f"<html><body>{html.replace(chr(0), '')}</body></html>")
    return [str(style) for style in page.xpath("//@style")]


def _words(token: object) -> str:
    """The words of a line, without the signs of Markdown."""
    parts = [
        "\n" if child.type in ("softbreak", "hardbreak") else child.content
        for child in getattr(token, "children", None) or ()
    ]
    return " ".join("".join(parts).split())
