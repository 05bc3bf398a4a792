"""The report of a comparison: `report.json` for machines, `report.html` for people."""

from vlmloom.pipelines.report.document import build_document
from vlmloom.pipelines.report.page import render
from vlmloom.pipelines.report.record import (
    Answer,
    Category,
    Comparison,
    CurvePoint,
    Example,
    Run,
    Stage,
    read_answers,
    write_answers,
)
from vlmloom.pipelines.report.write import write_report

__all__ = [
    "Answer",
    "Category",
    "Comparison",
    "CurvePoint",
    "Example",
    "Run",
    "Stage",
    "build_document",
    "read_answers",
    "render",
    "write_answers",
    "write_report",
]
