"""How numbers and findings are written out for people; every sentence is made from the document."""

from __future__ import annotations

from typing import Any

from vlmloom.pipelines.report.document import VISUAL_MEAN

Row = dict[str, Any]
MINUS = "\u2212"
NOTHING = "\u2013"


def si(value: float | None, unit: str = "") -> str:
    """A number with three digits and a prefix.

    >>> si(2.04e13, "FLOPs"), si(950), si(None)
    ('20.4 TFLOPs', '950', '–')
    """
    if value is None:
        return NOTHING
    for size, prefix in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:
            return f"{_three(value / size)} {prefix}{unit}"
    return f"{_three(value)} {unit}".strip()


def _three(value: float) -> str:
    digits = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(value: float | None) -> str:
    r"""A share as percent.

    >>> percent(0.4567)
    '45.7\xa0%'
    """
    return NOTHING if value is None else f"{100 * value:.1f}\u00a0%"


def points(value: float) -> str:
    """A difference of shares in percentage points, signed with a real minus.

    >>> points(-0.0432)
    '−4.3'
    """
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", MINUS)


def plain(value: float) -> str:
    """A share in points, signed only where it is below zero.

    >>> plain(0.383)
    '38.3'
    """
    return points(value).removeprefix("+")


def span(low: float, high: float, signed: bool = False) -> str:
    """An interval.

    >>> span(0.1, 0.25), span(-0.02, 0.3, signed=True)
    ('10.0 to 25.0', '−2.0 to +30.0')
    """
    write = points if signed else plain
    return f"{write(low)} to {write(high)}"


def duration(seconds: float | None) -> str:
    """Seconds for a reader.

    >>> duration(42.3), duration(200), duration(7320)
    ('42 s', '3 min 20 s', '2 h 02 min')
    """
    if seconds is None:
        return NOTHING
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(count: float | None) -> str:
    """Bytes for a reader.

    >>> size(1.5 * 2**30)
    '1.50 GiB'
    """
    if count is None:
        return NOTHING
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def budget(document: Row) -> str:
    """The budget in words."""
    kind, value = document["budget"].get("kind", ""), document["budget"].get("value")
    if value is None:
        return "an unstated budget"
    written = {"flops": lambda: si(value, "FLOPs"), "samples": lambda: f"{value:,.0f} samples"}
    return written.get(kind, lambda: f"{duration(value)} of training")()


def listing(names: list[str]) -> str:
    """Names as a sentence takes them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"


def find(rows: list[Row], **wanted: Any) -> Row | None:
    """The first row with these values."""
    return next((row for row in rows if all(row.get(key) == value for key, value in wanted.items())), None)


def trained(document: Row) -> list[str]:
    """The designs that are compared."""
    return [design["name"] for design in document["designs"] if design["role"] == "trained"]


def between(document: Row, design: str, against: str, split: str, category: str = VISUAL_MEAN) -> Row | None:
    """The difference of two designs, whichever of them stands first in the document."""
    wanted = {"split": split, "category": category}
    row = find(document["differences"], design=design, against=against, **wanted)
    if row is not None:
        return row
    other = find(document["differences"], design=against, against=design, **wanted)
    if other is None:
        return None
    turned = [{"seed": p["seed"], "difference": -p["difference"]} for p in other["points"]]
    return other | {
        "design": design,
        "against": against,
        "difference": -other["difference"],
        "low": -other["high"],
        "high": -other["low"],
        "points": turned,
    }


def verdict(document: Row) -> list[str]:
    """The findings on the first split, in sentences."""
    if not document["splits"]:
        return ["Nothing has been evaluated yet."]
    split, names = document["splits"][0]["name"], trained(document)
    means = [find(document["summary"], design=n, split=split, category=VISUAL_MEAN) for n in names]
    ranked = sorted((row for row in means if row), key=lambda row: -row["accuracy"])
    if not ranked:
        return ["No trained design has answered the visual questions yet."]
    if document["base"]:
        return [text for name in names if (text := _against_base(document, name, split))]
    best = ranked[0]["design"]
    sentences = []
    apart: list[tuple[str, str]] = []
    close: list[tuple[str, str]] = []
    for row in ranked[1:]:
        lead = between(document, best, row["design"], split)
        if lead is not None:
            reach = span(lead["low"], lead["high"], signed=True)
            text = f"{points(lead['difference'])} points over {row['design']} ({reach})"
            if lead["low"] > 0 and min(point["difference"] for point in lead["points"]) <= 0:
                text += ", though not in every seed"
            (apart if lead["low"] > 0 else close).append((row["design"], text))
    if apart:
        sentences.append(f"{best} leads: {listing([text for _, text in apart])}.")
    if close:
        others = listing([name for name, _ in close])
        texts = listing([text for _, text in close])
        sentences.append(f"{best} and {others} cannot be told apart: {texts}.")
    sentences += [text for text in (_against_reference(document, name, split) for name in names) if text]
    return sentences


def _against_base(document: Row, name: str, split: str) -> str | None:
    """What a change did to the mean of the visual categories."""
    base = document["base"]
    change = between(document, name, base, split) if name != base else None
    if change is None:
        return None
    told = f"{points(change['difference'])} points ({span(change['low'], change['high'], signed=True)})"
    if change["low"] <= 0 <= change["high"]:
        return f"{name} cannot be told apart from {base}: {told}."
    better = change["difference"] > 0
    if any((point["difference"] > 0) != better for point in change["points"]):
        told += ", though not in every seed"
    return f"{name} is {'better' if better else 'worse'} than {base}: {told}."


def number(value: float | None) -> str:
    """A measure with three digits behind the point, or whole where it is large.

    >>> number(1.23456), number(12288), number(None)
    ('1.235', '12,288', '–')
    """
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:.3f}"


def change(value: float) -> str:
    """A difference of measures, signed with a real minus.

    >>> change(-0.0432)
    '−0.043'
    """
    return f"{value:+.3f}".replace("-", MINUS)


def chance_of(p: float) -> str:
    """A p value.

    >>> chance_of(0.0321), chance_of(0.0002)
    ('p 0.032', 'p < 0.001')
    """
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}"


def _against_reference(document: Row, name: str, split: str) -> str | None:
    reference = document["reference"]
    gain = between(document, name, reference, split) if reference else None
    if gain is None:
        return None
    visual = [category["name"] for category in document["categories"] if category["visual"]]
    rows = [
        row
        for row in document["differences"]
        if (row["design"], row["against"], row["split"]) == (name, reference, split)
        and row["category"] in visual
    ]
    clear = sum(row["low"] > 0 for row in rows)
    far = sum(row["low"] > 0 and row["difference"] >= 0.2 for row in rows)
    return (
        f"{name} gains {points(gain['difference'])} points ({span(gain['low'], gain['high'], True)}) over "
        f"{reference}; it is clear of it in {clear} of {len(rows)} visual categories, "
        f"by 20 points or more in {far}."
    )
