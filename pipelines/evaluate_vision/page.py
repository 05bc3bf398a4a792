"""`report.html` of towers: one file with everything inside, made from the document."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from vlmloom.pipelines.evaluate_vision.tables import label
from vlmloom.pipelines.report import plots, wording
from vlmloom.pipelines.report.page import environment
from vlmloom.pipelines.report.svg import Axis, Canvas

Row = dict[str, Any]


def render(document: Row) -> str:
    """Write the page of what `report.document` and `compare` gave."""
    towers = [design["name"] for design in document["designs"]]
    others = [name for name in towers if name != document["base"]]
    plain = [row for row in document["summary"] if row["split"] == "test"]
    words = ("zero_shot", "image_to_text", "text_to_image")
    groups = {
        "Pictures": [row for row in plain if not row["category"].startswith(words)],
        "Pictures and words": [row for row in plain if row["category"].startswith(words)],
    }
    ends = plots.reach(document["differences"])
    return (
        environment(Path(__file__).parent)
        .get_template("page.html")
        .render(
            document=document,
            plan=document["plan"],
            towers=towers,
            others=others,
            panels=[_dots(document, name, rows) for name, rows in groups.items() if rows],
            scores=_table(document, document["summary"], towers),
            forests=[panel for name in others if (panel := _forest(document, name, ends))],
            differences=_table(document, document["differences"], others),
            drops=_table(document, document["drops"], towers),
            sides=_sides(document, towers),
        )
    )


def _dots(document: Row, name: str, rows: Sequence[Row]) -> Row:
    probes = dict.fromkeys(row["category"] for row in rows)
    places = [(plots.readable(probe), "test", probe) for probe in probes]
    slug = name.lower().replace(" ", "-")
    plot = plots.accuracy_dots(
        document, places, f"scores-{slug}", f"scores of every tower: {name}", "score, %"
    )
    return {"name": name, "plot": plot}


def _forest(document: Row, tower: str, ends: tuple[float, float]) -> Row | None:
    rows = [
        (plots.readable(row["category"]), row)
        for row in document["differences"]
        if (row["design"], row["split"]) == (tower, "test")
    ]
    if not rows:
        return None
    title = f"{tower} minus {document['base']}"
    place = [design["name"] for design in document["designs"]].index(tower)
    plot = plots.forest(document, rows, f"difference-{place}", title, [tower] * len(rows), ends)
    return {"name": tower, "plot": plot}


def _table(document: Row, rows: Sequence[Row], towers: Sequence[str]) -> list[Row]:
    chances = {category["name"]: category["chance"] for category in document["categories"]}
    cells = {(label(row), row["design"]): row for row in rows}
    return [
        {"name": name, "chance": chances[probe], "cells": [cells.get((name, tower)) for tower in towers]}
        for name, probe in {label(row): row["category"] for row in rows}.items()
    ]


def _sides(document: Row, towers: Sequence[str]) -> list[Row]:
    """Of each probe, the scores by the side of the test pictures."""
    plan = document["plan"]
    splits = {plan["side"]: "test"} | {side: f"{side} px" for side in plan["sizes"]}
    if len(splits) < 2:
        return []
    probes = dict.fromkeys(row["category"] for row in document["summary"] if row["split"].endswith(" px"))
    return [{"name": probe, "plot": _curve(document, probe, splits, towers)} for probe in probes]


def _curve(document: Row, probe: str, splits: dict[int, str], towers: Sequence[str]) -> Markup:
    left, right, top, bottom = 44, plots.WIDTH - 14, 10, 180
    canvas = Canvas(
        width=plots.WIDTH, height=bottom + 34, name=f"sides-{probe}", label=f"{probe} by side of the pictures"
    )
    x, y = Axis(min(splits), max(splits), left + 8, right - 8), Axis(0, 1, bottom, top)
    for tick in y.ticks():
        canvas.line(left, y(tick), right, y(tick), "grid")
        canvas.text(left - 6, y(tick) + 4, f"{100 * tick:.0f}", "tick", "end")
    for side in sorted(splits):
        canvas.text(x(side), bottom + 15, str(side), "tick", "middle")
    canvas.text(
        (left + right) / 2, bottom + 29, "side of the test pictures, px; score in %", "axis", "middle"
    )
    for place, tower in enumerate(towers):
        found = {
            side: wording.find(document["summary"], design=tower, split=splits[side], category=probe)
            for side in sorted(splits)
        }
        known = {side: row for side, row in found.items() if row is not None}
        if known:
            canvas.path(
                [(x(side), y(row["accuracy"])) for side, row in known.items()], f"curve d{place}", tower
            )
        for side, row in known.items():
            canvas.line(x(side), y(row["low"]), x(side), y(row["high"]), f"whisker d{place}")
            reached = wording.span(row["low"], row["high"])
            told = f"{tower}, {side} px: {wording.percent(row['accuracy'])} ({reached})"
            canvas.marker(x(side), y(row["accuracy"]), place, f"dot d{place}", told)
    return canvas.svg()
