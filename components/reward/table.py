"""Tables by the edit distance of their trees."""

from __future__ import annotations

import re
from typing import Any

from vlmloom.components.contracts.reward import OnError
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.leads import unled
from vlmloom.components.reward.parsed import Parsed, Unreadable, shown, unfenced
from vlmloom.components.reward.styles import shows
from vlmloom.registry import register
from vlmloom.registry.errors import UserError

SPAN = re.compile(r"[1-9][0-9]{0,2}")


@register("reward/table")
class Table(Parsed):
    """TEDS: 1 - edit distance of the trees / nodes of the larger one, for one HTML table.

    Rows and cells count, with their spans and their text; head and body, `th` and `td`, markup within cells
    and attributes do not. Words beside the cells (a caption too), strikes and what is hidden make an answer
    wrong. Nothing is run or loaded. An answer with far more cells than the gold table is worth nothing, which
    it nearly would be anyway.

    Args:
        structure: leave the text of the cells out (TEDS-S).
        on_error: see `Verifier`.

    Raises:
        UserError: apted or lxml is not installed.

    Reference: arXiv 1911.10683; distances by `table_recognition_metric` and `apted`.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> gold = "<table><tr><td>a</td><td>b</td></tr><tr><td>1</td><td>2</td></tr></table>"
    >>> sample = Sample("t", "test", 0, [], gold, Scene(""))
    >>> answers = [gold.replace("<td>a", "<th>a"), gold.replace("1", "7"), "<table></table>"]
    >>> [round(reward.value, 3) for reward in Table().judge(sample, answers)]
    [1.0, 0.857, 0.143]
    """

    def __init__(self, *, structure: bool = False, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        try:
            import apted  # noqa: F401
            import lxml.html  # noqa: F401
            import table_recognition_metric  # noqa: F401
        except ImportError as error:
            raise UserError(
                f"reward/table: {error.name} is not installed; pip install 'vlmloom[tasks]'"
            ) from None
        self.structure = structure

    def read(self, text: str, sample: Sample) -> Any:
        """The rows, each a tuple of (columns, rows, text)."""
        return read_table(unled(unfenced(text)), self.structure)

    def compare(self, found: Any, gold: Any, sample: Sample) -> Reward:
        """TEDS."""
        value = teds(found, gold)
        sizes = [(len(rows), sum(map(len, rows))) for rows in (found, gold)]
        (rows, cells), (right_rows, right_cells) = sizes
        return Reward(value, reason=f"{rows} rows, {cells} cells; right are {right_rows} and {right_cells}")


Cells = tuple[tuple[tuple[int, int, str], ...], ...]


def read_table(text: str, structure: bool = False) -> Cells:
    """The rows of the one table in HTML, each a tuple of cells (columns, rows, text).

    Raises:
        Unreadable: there is no table, or there are several, words beside the cells, strikes or hidden parts.

    >>> read_table("<table><tr><th colspan=2>a <b>b</b></th></tr></table>")
    (((2, 1, 'a b'),),)
    """
    import lxml.etree
    import lxml.html

    if "<table" not in text.lower() or "\x00" in text:
        raise Unreadable(f"no table in {shown(text)}")
    try:
        whole = re.match(r"\s*(?:<!doctype[^>]*>\s*)?<html\b", text, re.I)
        page = lxml.html.document_fromstring(text if whole else f"<html><body>{text}</body></html>")
    except (lxml.etree.LxmlError, ValueError) as error:
        raise Unreadable(f"no HTML: {error}") from None
    styles = page.xpath("//@style | //style/text()")
    for inert in page.xpath("//script | //style | //comment() | //template"):
        inert.drop_tree()
    tables = page.xpath("//table[not(ancestor::table)]")
    if len(tables) != 1:
        raise Unreadable(f"{len(tables)} tables; one would be right")
    if beside := " ".join(
        page.xpath("//text()[not(ancestor::td or ancestor::th or ancestor::head)]")
    ).strip():
        raise Unreadable(f"words beside the cells: {shown(beside)}")
    if page.xpath("//del | //s | //strike"):
        raise Unreadable("something is struck out")
    if page.xpath("//*[@hidden]") or not shows(styles):
        raise Unreadable("something is hidden or struck out by its style")
    if page.xpath("//*[@dir] | //datalist | //dialog | //noscript | //object | //math | //details | //video"):
        raise Unreadable("something that no cell of a table needs")
    for raised in page.xpath("//sup | //sub"):
        # 1 with a raised 2 is not 12.
        raised.text = ("^" if raised.tag == "sup" else "_") + (raised.text or "")
    rows = tables[0].xpath("./tr | ./thead/tr | ./tbody/tr | ./tfoot/tr")
    return tuple(tuple(_cell(cell, structure) for cell in row.xpath("./td | ./th")) for row in rows)


def _cell(cell: Any, structure: bool) -> tuple[int, int, str]:
    columns, rows = (cell.get(name, "1").strip() for name in ("colspan", "rowspan"))
    text = "" if structure else " ".join(cell.text_content().split())
    return int(columns) if SPAN.fullmatch(columns) else 1, int(rows) if SPAN.fullmatch(rows) else 1, text


def teds(found: Cells, gold: Cells) -> float:
    """The similarity of two tables, from 0 to 1."""
    if found == gold:
        return 1.0
    nodes = [1 + len(rows) + sum(map(len, rows)) for rows in (found, gold)]
    if nodes[0] > 4 * nodes[1] + 8:
        return 0.0
    from apted import APTED
    from table_recognition_metric.utils import CustomConfig

    distance = APTED(_tree(found), _tree(gold), CustomConfig()).compute_edit_distance()
    return max(0.0, 1.0 - float(distance) / max(nodes))


def _tree(rows: Cells) -> Any:
    from table_recognition_metric.utils import TableTree

    return TableTree(
        "table",
        None,
        None,
        None,
        *(
            TableTree("tr", None, None, None, *(TableTree("td", *cell[:2], list(cell[2])) for cell in row))
            for row in rows
        ),
    )
