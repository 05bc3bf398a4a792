"""The plots of the report, each a pure function of the document."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from vlmloom.components.contracts.suite import FAMILIES
from vlmloom.pipelines.report import wording
from vlmloom.pipelines.report.document import VISUAL_MEAN
from vlmloom.pipelines.report.svg import Axis, Canvas

Row = dict[str, Any]
WIDTH = 380
CURVE_POINTS = 160
LETTER = 6.1


def readable(name: str) -> str:
    """A name as a label."""
    return name.replace("_", " ")


def by_family(categories: list[Row]) -> list[Row]:
    """Categories in the order of their families; those without a family last."""
    order = {family: place for place, family in enumerate(FAMILIES)}
    return sorted(categories, key=lambda category: order.get(category["family"], len(order)))


def label_width(names: list[str]) -> float:
    """Pixels that the longest label takes."""
    return min(150.0, 12 + LETTER * max((len(name) for name in names), default=0))


def cut(name: str, width: float) -> str:
    """A label that fits."""
    room = int((width - 10) / LETTER)
    return name if len(name) <= room else name[: room - 1] + "…"


def accuracy_dots(
    document: Row, rows: list[tuple[str, str, str]], name: str, label: str, axis_title: str = "accuracy, %"
) -> Markup:
    """Accuracy of every design with its interval and every seed's own value.

    Args:
        document: the report's numbers.
        rows: label, split and category of each row.
        name: of the plot.
        label: what it shows, for who cannot see it.
        axis_title: what is written below.
    """
    designs = [design["name"] for design in document["designs"]]
    chances = {category["name"]: category["chance"] for category in document["categories"]}
    left, top, step = label_width([row[0] for row in rows]), 8, 8.5
    band = step * len(designs) + 11
    bottom = top + band * len(rows)
    canvas = Canvas(width=WIDTH, height=bottom + 32, name=name, label=label)
    axis = Axis(0, 1, left, WIDTH - 14)
    _grid(canvas, axis, top, bottom, lambda tick: f"{100 * tick:.0f}", axis_title)
    for index, (title, split, category) in enumerate(rows):
        upper = top + band * index
        if index % 2:
            canvas.rect(0, upper, WIDTH, band, "band")
        canvas.text(left - 8, upper + band / 2 + 4, cut(title, left), "label", "end")
        if chances.get(category) is not None:
            chance = axis(chances[category])
            canvas.line(chance, upper + 2, chance, upper + band - 2, "chance")
        for place, design in enumerate(designs):
            row = wording.find(document["summary"], design=design, split=split, category=category)
            if row is None:
                continue
            y = upper + 5.5 + step * (place + 0.5)
            reached = wording.span(row["low"], row["high"])
            found = f"{design}, {title}: {wording.percent(row['accuracy'])} ({reached})"
            canvas.line(axis(row["low"]), y, axis(row["high"]), y, f"whisker d{place}")
            for point in row["points"]:
                tip = f"{design}, {title}, seed {point['seed']}: {wording.percent(point['accuracy'])}"
                canvas.add("circle", title=tip, cx=axis(point["accuracy"]), cy=y, r=1.9, cls=f"seed d{place}")
            canvas.marker(axis(row["accuracy"]), y, place, f"dot d{place}", found)
    return canvas.svg()


def reach(rows: list[Row]) -> tuple[float, float]:
    """What an axis must cover to show these differences and zero."""
    ends = [end for row in rows for end in (row["low"], row["high"])]
    return min([0.0, *ends]) - 0.03, max([0.0, *ends]) + 0.03


def forest(
    document: Row,
    rows: list[tuple[str, Row]],
    name: str,
    label: str,
    marks: list[str],
    ends: tuple[float, float],
) -> Markup:
    """Differences with intervals around a line at zero; a hollow mark where the interval holds zero.

    Args:
        document: the report's numbers.
        rows: label and row of differences.
        name: of the plot.
        label: what it shows, for who cannot see it.
        marks: the design whose colour each row takes.
        ends: of the axis, from `reach`; shared by plots that stand side by side.
    """
    order = [design["name"] for design in document["designs"]]
    left, top, band = label_width([row[0] for row in rows]), 8, 21
    bottom = top + band * len(rows)
    canvas = Canvas(width=WIDTH, height=bottom + 32, name=name, label=label)
    axis = Axis(*ends, left, WIDTH - 14)
    _grid(
        canvas, axis, top, bottom, lambda tick: wording.points(tick).removesuffix(".0"), "difference, points"
    )
    for index, (title, _) in enumerate(rows):
        y = top + band * (index + 0.5)
        if index % 2:
            canvas.rect(0, y - band / 2, WIDTH, band, "band")
        canvas.text(left - 8, y + 4, cut(title, left), "label", "end")
    canvas.line(axis(0), top, axis(0), bottom, "zero")
    for index, (title, row) in enumerate(rows):
        y, place = top + band * (index + 0.5), order.index(marks[index])
        reached = wording.span(row["low"], row["high"], signed=True)
        found = f"{title}: {wording.points(row['difference'])} points ({reached})"
        canvas.line(axis(row["low"]), y, axis(row["high"]), y, f"whisker d{place}")
        for point in row["points"]:
            tip = f"{title}, seed {point['seed']}: {wording.points(point['difference'])}"
            canvas.add("circle", title=tip, cx=axis(point["difference"]), cy=y, r=1.9, cls=f"seed d{place}")
        hollow = " hollow" if row["low"] <= 0 <= row["high"] else ""
        canvas.marker(axis(row["difference"]), y, place, f"dot d{place}{hollow}", found, r=4.2)
    return canvas.svg()


def curves(document: Row, x: str, y: str, name: str) -> Markup | None:
    """Learning curves of every run; None where nothing was recorded.

    Args:
        document: the report's numbers.
        x: `flops` or `seconds`.
        y: `accuracy` (validation), `loss` (training, a running mean), or the name of a part's loss.
        name: of the plot.
    """
    order = [design["name"] for design in document["designs"]]
    lines = []
    for curve in document["curves"]:
        places = [
            (point[x], value, point["stage"])
            for point in curve["points"]
            if point[x] is not None and (value := point.get(y, point["parts"].get(y))) is not None
        ]
        if places:
            lines.append((curve["design"], curve["seed"], _thin(places, smooth=y != "accuracy")))
    if not lines:
        return None
    height, left, top = 250, 46, 12
    words = {"flops": "training FLOPs", "seconds": "training time", "accuracy": "validation accuracy, %"}
    words |= {y: words.get(y, "training loss" if y == "loss" else f"{readable(y)} in training")}
    label = f"{words[y]} against {words[x]}, one line per design and seed"
    canvas = Canvas(width=WIDTH, height=height, name=name, label=label)
    horizontal = Axis(0, max(p[0] for *_, line in lines for p in line), left, WIDTH - 14, count=4)
    peak = 1.0 if y == "accuracy" else _ceiling([p[1] for *_, line in lines for p in line])
    vertical = Axis(0, peak, height - 38, top)
    for tick in vertical.ticks():
        canvas.line(left, vertical(tick), WIDTH - 14, vertical(tick), "grid")
        number = wording.si(tick) if tick >= 1000 else f"{tick:g}"
        text = f"{100 * tick:.0f}" if y == "accuracy" else number
        canvas.text(left - 7, vertical(tick) + 4, text, "tick", "end")
    _ticks(canvas, horizontal, height - 38, lambda v: wording.si(v) if x == "flops" else _clock(v))
    canvas.text((left + WIDTH - 14) / 2, height - 5, words[x], "axis", "middle")
    canvas.text(12, (height - 26) / 2, words[y], "axis", "middle", transform=(
        f"rotate(-90 12 {(height - 26) / 2:.0f})"
    ))  # fmt: skip
    for design, seed, line in lines:
        place = order.index(design)
        drawn = [(horizontal(a), vertical(b)) for a, b, _ in line]
        begins = [index for index in range(1, len(line)) if line[index][2] != line[index - 1][2]]
        # The losses of two stages may be of different objectives: no line joins them.
        cuts = [0, len(line)] if y == "accuracy" else [0, *begins, len(line)]
        for start, stop in pairwise(cuts):
            canvas.path(drawn[start:stop], f"curve d{place}", f"{design}, seed {seed}")
        for index in begins:
            tip = f"{design}, seed {seed}: stage {line[index][2]} begins"
            canvas.marker(*drawn[index], place, f"dot d{place}", tip, r=3)
        canvas.marker(*drawn[-1], place, f"dot d{place}", f"{design}, seed {seed}: end", r=3.6)
    return canvas.svg()


def labels_seen(document: Row) -> Markup | None:
    """How many labels of each kind every design was trained on."""
    seen = {design: kinds for design, kinds in document["labels_seen"].items() if kinds}
    if not seen:
        return None
    order = [design["name"] for design in document["designs"]]
    kinds = sorted({kind for kinds in seen.values() for kind in kinds})
    left, top, step = label_width(kinds), 8, 9.0
    band = step * len(seen) + 10
    bottom = top + band * len(kinds)
    canvas = Canvas(
        width=WIDTH, height=bottom + 32, name="labels", label="labels seen in training, by kind and design"
    )
    axis = Axis(0, max(max(kinds.values()) for kinds in seen.values()), left, WIDTH - 52, count=3)
    _grid(canvas, axis, top, bottom, wording.si, "labels seen")
    for index, kind in enumerate(kinds):
        upper = top + band * index
        canvas.text(left - 8, upper + band / 2 + 4, cut(readable(kind), left), "label", "end")
        for line, (design, counts) in enumerate(seen.items()):
            count, y = counts.get(kind, 0), upper + 5 + step * line
            tip = f"{design}, {readable(kind)}: {count:,}"
            canvas.rect(left, y, axis(count) - left, step - 2, f"bar d{order.index(design)}", tip)
            canvas.text(axis(count) + 4, y + 6.6, wording.si(count), "value")
    return canvas.svg()


def error_split(document: Row, design: str, split: str) -> Markup | None:
    """Each category as one bar: right, lost in perception, lost in reasoning."""
    rows = [row for row in document["error_split"] if (row["design"], row["split"]) == (design, split)]
    if not rows:
        return None
    # The label of the mean is bold, and so wider than its letters are counted.
    left, top, band = label_width([row["category"] for row in rows]) + 8, 8, 24
    bottom = top + band * len(rows)
    label = f"answers of {design}: right, wrong by perception, wrong by reasoning; {split} split"
    canvas = Canvas(width=WIDTH, height=bottom + 32, name=f"error-{design}", label=label)
    axis = Axis(0, 1, left, WIDTH - 14)
    _grid(canvas, axis, top, bottom, lambda tick: f"{100 * tick:.0f}", "share of items, %")
    for index, row in enumerate(rows):
        y, start = top + band * index + 4, 0.0
        weight = " strong" if row["category"] == VISUAL_MEAN else ""
        canvas.text(left - 8, y + 12, cut(readable(row["category"]), left), "label" + weight, "end")
        # Where the oracle answers no better than its design, no error is left to perception.
        shares = {"correct": row["correct"], "perception": max(row["perception"], 0.0)}
        shares["reasoning"] = 1 - sum(shares.values())
        for part, share in shares.items():
            end = min(1.0, start + share)
            tip = f"{readable(row['category'])}: {part} {wording.percent(row[part])}"
            canvas.rect(axis(start), y, axis(end) - axis(start), band - 8, f"part {part}", tip)
            if end - start > 0.09:
                middle = (axis(start) + axis(end)) / 2
                canvas.text(middle, y + 12, f"{100 * share:.0f}", f"inside in-{part}", "middle")
            start = end
    return canvas.svg()


def _grid(
    canvas: Canvas, axis: Axis, top: float, bottom: float, write: Callable[[float], str], title: str
) -> None:
    for tick in axis.ticks():
        canvas.line(axis(tick), top, axis(tick), bottom, "grid")
    _ticks(canvas, axis, bottom, write)
    canvas.text((axis.start + axis.end) / 2, bottom + 29, title, "axis", "middle")


def _ticks(canvas: Canvas, axis: Axis, bottom: float, write: Callable[[float], str]) -> None:
    for tick in axis.ticks():
        canvas.text(axis(tick), bottom + 15, write(tick), "tick", "middle")


def _clock(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 600 else f"{seconds / 60:.0f} min"


def _thin(places: list[tuple[float, float, str]], smooth: bool) -> list[tuple[float, float, str]]:
    """At most `CURVE_POINTS` places; a smoothed line averages what falls into one, within a stage."""
    if len(places) <= CURVE_POINTS:
        return places
    size = -(-len(places) // CURVE_POINTS)
    thinned, chunk = [], [places[0]]
    for place in [*places[1:], None]:
        if place is not None and len(chunk) < size and place[2] == chunk[-1][2]:
            chunk.append(place)
            continue
        value = sum(entry[1] for entry in chunk) / len(chunk) if smooth else chunk[-1][1]
        thinned.append((chunk[-1][0], value, chunk[-1][2]))
        chunk = [place] if place is not None else []
    return thinned


def _ceiling(values: list[float]) -> float:
    """The top of a loss axis: the first steps of a training may leave it."""
    ranked = sorted(values)
    return 1.15 * ranked[min(len(ranked) - 1, int(0.97 * len(ranked)))] or 1.0
