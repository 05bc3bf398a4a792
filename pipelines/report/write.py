"""Writes both files of a report."""

from __future__ import annotations

from pathlib import Path

from vlmloom.pipelines.files import write_text
from vlmloom.pipelines.report.document import build_document, dump
from vlmloom.pipelines.report.page import render
from vlmloom.pipelines.report.record import Comparison


def write_report(comparison: Comparison, folder: Path | str) -> Path:
    """Write `report.json` and `report.html`, each whole or not at all.

    Returns:
        The path of the page.

    Raises:
        ValueError: the answers do not fit together; the message names the answer.
    """
    folder = Path(folder)
    document = build_document(comparison)
    page = render(document, comparison.examples)
    write_text(folder / "report.json", dump(document))
    write_text(folder / "report.html", page)
    return folder / "report.html"
