"""What targets did on a suite: every number of `report.json`. docs/evaluation.md describes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from statistics import median
from typing import Any

import numpy as np

from vlmloom.components.contracts.suite import Suite
from vlmloom.pipelines.evaluate import categories
from vlmloom.pipelines.evaluate_suite.record import Item
from vlmloom.pipelines.report import Answer, Comparison, build_document, statistics
from vlmloom.pipelines.report.document import is_mean, strict
from vlmloom.pipelines.report.flips import flip_test, holm
from vlmloom.pipelines.report.wording import between
from vlmloom.registry.errors import UserError, one_line

Row = dict[str, Any]
Price = tuple[float, float]
"""Of a million tokens read, and of a million written."""

FAULTS_SHOWN = 20
KEPT = (
    *("format", "statistics", "splits", "summary", "differences", "designs", "categories", "base"),
    *("machine", "versions", "command"),
)
"""What is taken over from a comparison's document."""


def document(
    found: Mapping[str, Sequence[Item]],
    suite: Suite,
    *,
    split: str,
    against: str | None = None,
    price: Price | None = None,
    facts: Row | None = None,
) -> Row:
    """The report in the form of a comparison's, where targets are the designs.

    Args:
        found: target -> its items, those that failed too.
        suite: whose they are.
        split: of the suite.
        against: the target that the others are compared with; None is the first.
        price: of tokens, where there is one.
        facts: `machine`, `versions`, `command`, and `suite`, which is told as it is.

    Returns:
        The content of `report.json`: `summary`, `differences` and the rest as `vlmloom compare` has them,
        with `p` and `p_holm` beside each difference to `against`; `told` by target and category; `faults`.
    """
    facts = dict(facts or {})
    suite_facts = facts.pop("suite", {})
    base = against or next(iter(found))
    answers = [answer for name, items in found.items() for answer in _answers(name, items)]
    comparison = Comparison(
        budget={},
        designs=list(found),
        seeds=[0],
        runs=[],
        answers=answers,
        categories=categories(suite, split),
        reference=None,
        base=base,
        oracles={},
        **facts,
    )
    try:
        made = build_document(comparison)
    except ValueError as fault:
        raise UserError(f"evaluate: {one_line(fault)}; answers without their faults would be right") from None
    made["differences"] = _tested(made, comparison, base, split)
    told = [row for name, items in found.items() for row in _told(name, items, price)]
    return strict(
        {key: made[key] for key in KEPT}
        | {"suite": suite_facts | {"split": split}, "told": told, "faults": list(_faults(found))}
        | {"price": None if price is None else {"in": price[0], "out": price[1]}}
    )


def _answers(name: str, items: Iterable[Item]) -> list[Answer]:
    return [
        Answer(
            name,
            0,
            item.split,
            item.category,
            item.item,
            item.scene,
            item.value,
            item.response or "",
            item.gold,
            item.seconds,
        )
        for item in items
        if item.value is not None
    ]


def _tested(made: Row, comparison: Comparison, base: str, split: str) -> list[Row]:
    """The differences to `base`, each with its p, and with one that counts all categories of the target."""
    names = [category.name for category in comparison.categories]
    others = [name for name in comparison.designs if name != base]
    if not others or not comparison.answers:
        return []
    scores = statistics.collect(comparison.answers, comparison.designs, names)
    members = _members(made, comparison, scores)
    rows = []
    for name in others:
        own = []
        for category, indices in members.items():
            row = between(made, name, base, split, category)
            if row is None:
                continue
            first, second = (comparison.designs.index(one) for one in (name, base))
            own.append(row | {"p": flip_test(scores, first, second, indices), "p_holm": None})
        single = [row for row in own if not is_mean(row["category"]) and row["p"] is not None]
        for row, corrected in zip(single, holm([row["p"] for row in single]), strict=True):
            row["p_holm"] = corrected
        rows += own
    return rows


def _members(made: Row, comparison: Comparison, scores: statistics.Scores) -> dict[str, list[int]]:
    """Category or mean -> the categories that it is made of, as they are numbered in `scores`."""
    kinds = {category.name: category for category in comparison.categories}
    found: dict[str, list[int]] = {}
    for name in dict.fromkeys(row["category"] for row in made["summary"]):
        found[name] = [
            index
            for index, category in enumerate(scores.categories)
            if category == name
            or (is_mean(name) and name.endswith(" of all"))
            or (name == "visual mean" and kinds[category].visual)
            or name == f"{kinds[category].family} mean"
        ]
    return found


def _told(name: str, items: Sequence[Item], price: Price | None) -> Iterable[Row]:
    """What a target's answers were like, over all categories (`category` None) and in each."""
    yield _row(name, None, items, price)
    ordered = sorted(items, key=lambda item: item.category)
    for category, own in groupby(ordered, key=lambda item: item.category):
        yield _row(name, category, list(own), price)


def _row(name: str, category: str | None, items: Sequence[Item], price: Price | None) -> Row:
    answered = [item for item in items if item.response is not None and item.fault != "target"]
    judged = [item for item in items if item.value is not None]
    seconds = [item.seconds for item in answered]
    faults = Counter(item.fault for item in items if item.value is None)

    def total(key: str) -> float | None:
        values = [value for item in items if (value := getattr(item, key)) is not None]
        return sum(values) if values else None

    tokens_in, tokens_out = total("tokens_in"), total("tokens_out")
    paid = price is not None and tokens_in is not None and tokens_out is not None
    cost = (price[0] * tokens_in + price[1] * tokens_out) / 1e6 if paid else None  # type: ignore[index,operator]
    return {
        "design": name,
        "category": category,
        "items": len(items),
        "judged": len(judged),
        "faults": {who: faults[who] for who in ("target", "judge", "task")},
        "retried": sum(item.tries > 1 for item in items),
        "stopped": sum(item.stopped for item in items),
        "cut": sum(item.cut for item in answered),
        "invalid_format": _mean([not item.well_formed for item in judged]),
        "characters": _mean([len(item.response or "") for item in answered]),
        "answer_tokens": _mean([item.tokens_out for item in answered if item.tokens_out is not None]),
        "steps": _mean([item.steps for item in judged]),
        "seconds": median(seconds) if seconds else None,
        "seconds_95": float(np.quantile(seconds, 0.95)) if seconds else None,
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "flops": total("flops"),
        "cost": cost,
    }


def _mean(values: Sequence[float | int | bool]) -> float | None:
    return sum(values) / len(values) if values else None


def _faults(found: Mapping[str, Sequence[Item]]) -> Iterable[Row]:
    """The first faults of every target, in words."""
    for name, items in found.items():
        failed = [item for item in items if item.value is None]
        for item in failed[:FAULTS_SHOWN]:
            yield {
                "design": name,
                "category": item.category,
                "item": item.item,
                "fault": item.fault,
                "error": item.error,
                "tries": item.tries,
            }
