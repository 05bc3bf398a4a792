"""`report.html`: one file with everything inside, made from the document and the example pictures."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from vlmloom.components.contracts.suite import FAMILIES
from vlmloom.components.media.png import data_url
from vlmloom.pipelines.report import plots, wording
from vlmloom.pipelines.report.document import VISUAL_MEAN, family_mean
from vlmloom.pipelines.report.record import Example

Row = dict[str, Any]
HERE = Path(__file__).parent
PNG = b"\x89PNG\r\n\x1a\n"
EVERY_PAIR_UP_TO = 3
"""So many trained designs are compared pair by pair; more of them only with the first."""


def environment(*folders: Path) -> Environment:
    """What renders templates of these folders and of this one, in the report's words and style."""
    made = Environment(
        loader=FileSystemLoader([*folders, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "si": wording.si,
        "percent": wording.percent,
        "points": wording.points,
        "plain": wording.plain,
        "duration": wording.duration,
        "size": wording.size,
        "listing": wording.listing,
        "readable": plots.readable,
        "number": wording.number,
        "change": wording.change,
        "chance_of": wording.chance_of,
    }
    style = (HERE / "style.css").read_text(encoding="utf-8")
    made.globals |= {"span": wording.span, "style": Markup(style)}
    return made


def render(document: Row, examples: Iterable[Example] = ()) -> str:
    """Write the page.

    Args:
        document: from `build_document`.
        examples: questions with their pictures, PNG files.

    Raises:
        ValueError: a picture is not a PNG file.
    """
    page = environment()
    return page.get_template("template.html").render(
        document=document,
        budget=wording.budget(document),
        trained=wording.trained(document),
        verdict=wording.verdict(document),
        tiles=_tiles(document),
        seeds_done=len({row["seed"] for row in document["results"]}),
        accuracy=_accuracy(document),
        families_plot=_families_plot(document),
        table=_table(document),
        splits_plot=_splits_plot(document),
        splits_table=_splits_table(document),
        kinds=sorted({kind for kinds in document["labels_seen"].values() for kind in kinds}),
        forests=_forests(document),
        floor=_floor(document),
        curves=_curves(document),
        measured=_measured(document),
        labels=plots.labels_seen(document),
        errors=_errors(document),
        costs=_costs(document),
        examples=[illustrated(example) for example in examples],
        diffs=_diffs(document["configs"]),
        pretrained_columns=_columns(document["pretrained"]),
    )


def _first_split(document: Row) -> str | None:
    return document["splits"][0]["name"] if document["splits"] else None


def _tiles(document: Row) -> list[Row]:
    """The headline number of every design."""
    split = _first_split(document)
    tiles = []
    for place, design in enumerate(document["designs"]):
        name = design["name"]
        row = wording.find(document["summary"], design=name, split=split, category=VISUAL_MEAN)
        if row is not None:
            gain = wording.between(document, name, document["reference"], split) if split else None
            tiles.append({"place": place, "role": design["role"], "gain": gain} | row)
    return tiles


def _accuracy(document: Row) -> list[Row]:
    """One plot a split, with the same order of categories in each."""
    panels = []
    for split in document["splits"]:
        name = split["name"]
        present = {row["category"] for row in document["summary"] if row["split"] == name}
        rows = [
            (plots.readable(category["name"]), name, category["name"])
            for category in plots.by_family(document["categories"])
            if category["name"] in present
        ]
        plot = plots.accuracy_dots(
            document, rows, f"accuracy-{name}", f"accuracy by category and design, {name} split"
        )
        panels.append(split | {"plot": plot})
    return panels


def _families_plot(document: Row) -> Markup | None:
    """The mean of every family on the first split."""
    split = _first_split(document)
    means = [family_mean(family) for family in FAMILIES]
    rows = [
        (name.removesuffix(" mean"), split or "", name)
        for name in means
        if wording.find(document["summary"], split=split, category=name)
    ]
    if not rows:
        return None
    return plots.accuracy_dots(document, rows, "families", f"mean of every family by design, {split} split")


def _splits_plot(document: Row) -> Markup | None:
    rows = [
        (split["name"], split["name"], VISUAL_MEAN)
        for split in document["splits"]
        if wording.find(document["summary"], split=split["name"], category=VISUAL_MEAN)
    ]
    if not rows:
        return None
    return plots.accuracy_dots(document, rows, "splits", "mean of the visual categories by split and design")


def _splits_table(document: Row) -> list[Row]:
    """The mean of the visual categories as numbers: one row a split, one cell a design."""
    names = [design["name"] for design in document["designs"]]
    return [
        split
        | {
            "cells": [
                wording.find(document["summary"], design=name, split=split["name"], category=VISUAL_MEAN)
                for name in names
            ]
        }
        for split in document["splits"]
    ]


def _table(document: Row) -> list[Row]:
    """Accuracies as numbers: one row a category, one cell a design."""
    split = _first_split(document)
    kinds = {category["name"]: category for category in plots.by_family(document["categories"])}
    names = [VISUAL_MEAN]
    for family, members in groupby(kinds.values(), key=lambda category: category["family"]):
        names += [family_mean(family)] * bool(family) + [category["name"] for category in members]
    rows = []
    for name in names:
        cells = [
            wording.find(document["summary"], design=design["name"], split=split, category=name)
            for design in document["designs"]
        ]
        if any(cells):
            low = {
                row["design"] for row in document["floor"] if (row["split"], row["category"]) == (split, name)
            }
            items = max(cell["items"] for cell in cells if cell)
            rows.append(
                {"name": name, "cells": cells, "floor": low, "items": items, "category": kinds.get(name)}
            )
    return rows


def _forests(document: Row) -> list[Row]:
    """Paired differences: the means of all pairs first, then each pair by category."""
    split = _first_split(document)
    if split is None:
        return []
    means = [
        row for row in document["differences"] if (row["split"], row["category"]) == (split, VISUAL_MEAN)
    ]
    panels = []
    names = wording.trained(document)
    pairs = [(a, b) for index, a in enumerate(names) for b in names[index + 1 :]]
    if document["base"] or len(names) > EVERY_PAIR_UP_TO:
        first = document["base"] or names[0]
        pairs = [(name, first) for name in names if name != first]
        means = [
            row
            for name, other in [*pairs, *((name, document["reference"]) for name in names)]
            if (row := other and wording.between(document, name, other, split)) is not None
        ]
    if means:
        label = "paired differences of the mean over visual categories"
        rows = [(f"{row['design']} {wording.MINUS} {row['against']}", row) for row in means]
        marks = [row["design"] for row in means]
        plot = plots.forest(document, rows, "difference-mean", label, marks, plots.reach(means))
        panels.append({"title": "Mean of the visual categories", "plot": plot})
    if document["reference"]:
        pairs += [(name, document["reference"]) for name in names]
    found = {}
    for design, against in pairs:
        rows = [
            (plots.readable(category["name"]), row)
            for category in plots.by_family(document["categories"])
            if (row := wording.between(document, design, against, split, category["name"])) is not None
        ]
        if rows:
            found[design, against] = rows
    ends = plots.reach([row for rows in found.values() for _, row in rows])
    for (design, against), rows in found.items():
        title = f"{design} {wording.MINUS} {against}"
        label, name = (
            f"paired differences by category, {title}, {split} split",
            f"difference-{design}-{against}",
        )
        plot = plots.forest(document, rows, name, label, [design] * len(rows), ends)
        panels.append({"title": title, "plot": plot})
    return panels


def _floor(document: Row) -> list[Row]:
    """Per split and design, the visual categories that cannot be told from the reference."""
    listed = []
    for split in document["splits"]:
        for name in wording.trained(document):
            rows = [
                row for row in document["floor"] if (row["split"], row["design"]) == (split["name"], name)
            ]
            seen = wording.find(
                document["differences"], design=name, against=document["reference"], split=split["name"]
            )
            if seen is not None:
                listed.append({"split": split["name"], "design": name, "rows": rows})
    return listed


def _curves(document: Row) -> list[Row]:
    titles = {
        ("flops", "accuracy"): "Validation accuracy against FLOPs",
        ("seconds", "accuracy"): "Validation accuracy against wall time",
        ("flops", "loss"): "Training loss against FLOPs",
        ("seconds", "loss"): "Training loss against wall time",
    }
    drawn = [
        {"title": title, "plot": plots.curves(document, x, y, f"curve-{y}-{x}")}
        for (x, y), title in titles.items()
    ]
    return [panel for panel in drawn if panel["plot"] is not None]


def _measured(document: Row) -> Row:
    """What parts report of themselves: a table of a row a design, histograms, and curves by part."""
    names = [design["name"] for design in document["designs"]]
    columns = list(dict.fromkeys(row["measure"] for row in document["measures"]))
    stated = list(dict.fromkeys(row["name"] for row in document["declared"]))
    rows = [
        {
            "design": name,
            "cells": [
                {
                    "own": wording.find(document["measures"], design=name, measure=column),
                    "lead": wording.find(document["measure_differences"], design=name, measure=column),
                }
                for column in columns
            ],
            "stated": [wording.find(document["declared"], design=name, name=column) for column in stated],
        }
        for name in names
    ]
    counts: dict[str, list[Row]] = {}
    for row in document["histograms"]:
        total = sum(row["counts"].values()) or 1
        shares = {value: count / total for value, count in row["counts"].items()}
        counts.setdefault(row["name"], []).append({"design": row["design"], "shares": shares})
    histograms = [
        {
            "name": name,
            "rows": listed,
            "values": sorted({v for row in listed for v in row["shares"]}, key=float),
        }
        for name, listed in counts.items()
    ]
    parts = dict.fromkeys(
        part for curve in document["curves"] for point in curve["points"] for part in point["parts"]
    )
    curves = [
        {
            "title": f"{plots.readable(part)} against FLOPs",
            "plot": plots.curves(document, "flops", part, f"curve-{part}"),
        }
        for part in parts
        if "loss" in part or "logit" in part
    ]
    return {"columns": columns, "stated": stated, "rows": rows, "histograms": histograms, "curves": curves}


def _errors(document: Row) -> list[Row]:
    split = _first_split(document)
    panels = []
    for design, oracle in document["oracles"].items():
        plot = plots.error_split(document, design, split) if split else None
        if plot is not None:
            mean = wording.find(document["error_split"], design=design, split=split, category=VISUAL_MEAN)
            rows = [
                row for row in document["error_split"] if (row["design"], row["split"]) == (design, split)
            ]
            panels.append({"design": design, "oracle": oracle, "plot": plot, "mean": mean, "rows": rows})
    return panels


def _costs(document: Row) -> list[Row]:
    """Cost of every design, each number with its share of the column's largest."""
    columns = (
        ("Parameters", lambda d: d["parameters"]["total"], wording.si),
        ("Active a token", lambda d: d["parameters"]["active"], wording.si),
        ("Training FLOPs", lambda d: d["flops"], wording.si),
        ("Samples", lambda d: d["samples"], wording.si),
        ("Training time", lambda d: d["seconds_training"], wording.duration),
        (
            "Latency an answer",
            lambda d: d["latency_ms"],
            lambda v: wording.NOTHING if v is None else f"{v:.1f} ms",
        ),
        ("Peak memory", lambda d: d["peak_memory_bytes"], wording.size),
    )
    table = []
    for title, read, write in columns:
        values = [read(design) for design in document["designs"]]
        top = max((value for value in values if value is not None), default=0) or 1
        table.append({"title": title, "cells": [(write(v), 100 * (v or 0) / top) for v in values]})
    return table


def illustrated(example: Example) -> Row:
    """An example with its pictures as data URLs."""
    for picture in example.pictures:
        if not picture.startswith(PNG):
            raise ValueError(
                f"example {example.category!r} ({example.question[:40]!r}): a picture begins with "
                f"{picture[:4]!r}; pictures of examples are PNG files"
            )
    return {"example": example, "pictures": [data_url(picture) for picture in example.pictures]}


def _diffs(configs: dict[str, str]) -> list[Row]:
    """Every resolved configuration, and how it differs from the first."""
    listed = []
    base = next(iter(configs), "")
    for name, text in configs.items():
        lines = list(
            difflib.unified_diff(
                configs[base].splitlines(),
                text.splitlines(),
                f"{base}.yaml",
                f"{name}.yaml",
                n=2,
                lineterm="",
            )
        )
        marks = {"+": "added", "-": "removed", "@": "place"}
        diff = [
            (marks.get(line[:1], "same") if index > 1 else "place", line) for index, line in enumerate(lines)
        ]
        listed.append({"name": name, "base": base, "text": text, "diff": diff})
    return listed


def _columns(rows: list[Row]) -> list[str]:
    """The keys of all rows, in the order in which they appear."""
    return list(dict.fromkeys(key for row in rows for key in row))
