"""`report.html` of targets on a suite: one file with everything inside, made from the document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from vlmloom.components.contracts.suite import FAMILIES, Suite
from vlmloom.components.media.png import png
from vlmloom.pipelines.evaluate_suite.record import Item
from vlmloom.pipelines.report import Example, plots, wording
from vlmloom.pipelines.report.document import ALL_MEAN, VISUAL_MEAN, family_mean, is_mean
from vlmloom.pipelines.report.page import environment, illustrated

Row = dict[str, Any]


def render(document: Row, examples: Sequence[Example] = ()) -> str:
    """Write the page of what `report.document` gave."""
    targets = [design["name"] for design in document["designs"]]
    others = [name for name in targets if name != document["base"]]
    listed = names(document)
    split = document["suite"]["split"]
    means = [
        (row | {"place": targets.index(row["design"])})
        for row in document["summary"]
        if row["category"] == ALL_MEAN
    ]
    ends = plots.reach(document["differences"])
    overall = [_failed(row) for row in document["told"] if row["category"] is None]
    return (
        environment(Path(__file__).parent)
        .get_template("page.html")
        .render(
            document=document,
            targets=targets,
            others=others,
            tiles=means,
            panels=_panels(document, listed, split),
            scores=_table(document, "summary", targets, listed),
            forests=[panel for name in others if (panel := _forest(document, name, ends))],
            differences=_table(document, "differences", others, listed) if document["differences"] else [],
            overall=overall,
            by_category={
                name: [row for row in document["told"] if row["design"] == name and row["category"]]
                for name in targets
            },
            examples=[illustrated(example) for example in examples],
        )
    )


def names(document: Row) -> list[str]:
    """The mean of all, that of what shows pictures, then every family: its mean and its categories."""
    found = [ALL_MEAN, VISUAL_MEAN]
    ordered = plots.by_family(document["categories"])
    for family, members in groupby(ordered, key=lambda category: category["family"]):
        found += [family_mean(family)] * (family in FAMILIES) + [category["name"] for category in members]
    return found


def _panels(document: Row, names: Sequence[str], split: str) -> list[Row]:
    families = [name for name in names if is_mean(name)]
    groups = {"families": families} | {
        family: [category["name"] for category in document["categories"] if category["family"] == family]
        for family in dict.fromkeys(category["family"] for category in document["categories"])
    }
    panels = []
    for group, members in groups.items():
        present = [name for name in members if wording.find(document["summary"], split=split, category=name)]
        if present:
            rows = [(plots.readable(name), split, name) for name in present]
            plot = plots.accuracy_dots(document, rows, f"scores-{group or 'other'}", f"accuracy: {group}")
            panels.append({"name": group or "others", "plot": plot})
    return panels


def _forest(document: Row, target: str, ends: tuple[float, float]) -> Row | None:
    rows = [
        (plots.readable(row["category"]), row) for row in document["differences"] if row["design"] == target
    ]
    if not rows:
        return None
    title = f"{target} {wording.MINUS} {document['base']}"
    place = [design["name"] for design in document["designs"]].index(target)
    plot = plots.forest(document, rows, f"difference-{place}", title, [target] * len(rows), ends)
    return {"name": title, "plot": plot}


def _table(document: Row, rows: str, targets: Sequence[str], names: Sequence[str]) -> list[Row]:
    chances = {category["name"]: category["chance"] for category in document["categories"]}
    made = []
    for name in names:
        cells = [wording.find(document[rows], design=target, category=name) for target in targets]
        if any(cells):
            mean = is_mean(name)
            made.append({"name": name, "mean": mean, "chance": chances.get(name), "cells": cells})
    return made


def _failed(row: Row) -> Row:
    words = {"target": "the target", "judge": "the judge", "task": "the task"}
    told = [f"{words[who]} {count}" for who, count in row["faults"].items() if count]
    return row | {"failed": sum(row["faults"].values()), "told": ", ".join(told)}


def examples(suite: Suite, found: Mapping[str, Sequence[Item]]) -> list[Example]:
    """The first judged item of each category of one step, with its pictures and all answers to it."""
    by_place: dict[tuple[str, int], dict[str, Item]] = {}
    for name, items in found.items():
        for item in items:
            if item.value is not None:
                by_place.setdefault((item.category, item.item), {})[name] = item
    made = []
    for category, places in groupby(sorted(by_place), key=lambda place: place[0]):
        task = suite.tasks[category]
        _, index = next(places)
        given = by_place[category, index]
        if task.steps > 1:
            continue
        sample = task.plan(next(iter(given.values())).split, index)
        made.append(
            Example(
                category,
                " ".join(part.strip() for part in sample.prompt if isinstance(part, str)),
                sample.answer,
                [png(frame) for picture in sample.pictures for frame in picture.render()],
                {name: item.response or "" for name, item in given.items()},
                {name: item.value for name, item in given.items() if item.value is not None},
                sample.split,
            )
        )
    return made
