"""`report.json`: every number of a comparison, computed from its answers. docs/report.md describes it."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from itertools import combinations
from typing import Any

from vlmloom.components.contracts.suite import FAMILIES
from vlmloom.pipelines.report import statistics
from vlmloom.pipelines.report.measured import estimate, measures
from vlmloom.pipelines.report.record import Answer, Comparison, Run

FORMAT = 1
VISUAL_MEAN = "visual mean"
ALL_MEAN = "mean of all"
SPLITS = ("test", "shift", "compositional", "corrupt")


def family_mean(family: str) -> str:
    """What the mean of a family's categories is called."""
    return f"{family} mean"


def is_mean(name: str) -> bool:
    """Whether a row is a mean of categories and no category."""
    return name in (VISUAL_MEAN, ALL_MEAN) or name in map(family_mean, FAMILIES)


def build_document(
    comparison: Comparison, resamples: int = statistics.RESAMPLES, bootstrap_seed: int = 0
) -> dict[str, Any]:
    """Turn a comparison into the content of `report.json`.

    Raises:
        ValueError: the answers do not fit together; the message names the answer.
    """
    by_split: dict[str, list[Answer]] = defaultdict(list)
    for answer in comparison.answers:
        by_split[answer.split].append(answer)
    document = _facts(comparison)
    document["statistics"] = {
        "method": "bootstrap over scenes, paired between designs, percentile with small-sample correction",
        "confidence": statistics.CONFIDENCE,
        "resamples": resamples,
        "seed": bootstrap_seed,
        "seeds_for_an_interval_over_seeds": statistics.SEEDS_FOR_INTERVAL,
    }
    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("splits", "results", "summary", "differences", "error_split", "floor")
    }
    known = [name for name in SPLITS if name in by_split]
    for split in known + sorted(set(by_split) - set(SPLITS)):
        _analyse_split(comparison, split, by_split[split], tables, resamples, bootstrap_seed)
    return strict(document | tables | measures(comparison, resamples, bootstrap_seed))


def _analyse_split(
    comparison: Comparison,
    split: str,
    answers: list[Answer],
    tables: dict[str, list[dict[str, Any]]],
    resamples: int,
    bootstrap_seed: int,
) -> None:
    names = [category.name for category in comparison.categories]
    plain = statistics.collect(answers, comparison.designs, names)
    pairs = list(combinations(range(len(comparison.designs)), 2))
    scores = statistics.with_differences(plain, pairs)
    drawn = statistics.bootstrap(scores, resamples, bootstrap_seed)
    items = scores.items()
    tables["splits"].append(
        {"name": split, "items": scores.values.shape[-1], "scenes": int(scores.scene.max()) + 1}
    )
    visual_names = {category.name for category in comparison.categories if category.visual}
    visual = [index for index, name in enumerate(scores.categories) if name in visual_names]
    columns: list[tuple[str, list[int]]] = [(VISUAL_MEAN, visual)] if visual else []
    family_of = {category.name: category.family for category in comparison.categories}
    if any(family_of.values()):
        columns.append((ALL_MEAN, list(range(len(scores.categories)))))
    for family in FAMILIES:
        members = [index for index, name in enumerate(scores.categories) if family_of[name] == family]
        columns += [(family_mean(family), members)] if members else []
    columns += [(name, [index]) for index, name in enumerate(scores.categories)]

    for category, members in columns:
        scenes = int(drawn.scenes[members].sum())
        for row, design in enumerate(comparison.designs):
            mean = drawn.estimate(row, members)
            if mean is None:
                continue
            tables["summary"].append(
                {"design": design, "split": split, "category": category, "scenes": scenes}
                | {"items": int(items[row][:, members].sum(-1).max())}
                | estimate("accuracy", mean)
            )
            if is_mean(category):
                continue
            for place, seed in enumerate(scores.seeds):
                single = drawn.estimate(row, members, seed)
                if single is not None:
                    tables["results"].append(
                        {
                            "design": design,
                            "seed": seed,
                            "split": split,
                            "category": category,
                            "items": int(items[row, place, members[0]]),
                            "accuracy": single.value,
                            "low": single.low,
                            "high": single.high,
                        }
                    )
        found = _differences(comparison, split, category, members, pairs, drawn)
        tables["differences"].extend(found)
        if category == VISUAL_MEAN or not is_mean(category):
            tables["error_split"].extend(_error_split(comparison, split, category, found, tables["summary"]))
        if not is_mean(category):
            tables["floor"].extend(
                {key: row[key] for key in ("design", "split", "category", "difference", "low", "high")}
                for row in found
                if row["against"] == comparison.reference
                and row["design"] in comparison.trained
                and category in visual_names
                and row["low"] <= 0
            )


def _differences(
    comparison: Comparison,
    split: str,
    category: str,
    members: list[int],
    pairs: list[tuple[int, int]],
    drawn: statistics.Bootstrap,
) -> list[dict[str, Any]]:
    """One row per pair of designs; an oracle stands first and the reference last."""
    rows = []
    weight = dict.fromkeys(comparison.oracles.values(), -1) | {comparison.reference: 1}
    for offset, (first, second) in enumerate(pairs):
        found = drawn.estimate(drawn.plain + offset, members)
        if found is None:
            continue
        names = comparison.designs[first], comparison.designs[second]
        fields = estimate("difference", found)
        if weight.get(names[0], 0) > weight.get(names[1], 0):
            names = names[1], names[0]
            fields = _turned(fields)
        rows.append({"design": names[0], "against": names[1], "split": split, "category": category} | fields)
    return rows


def _turned(fields: dict[str, Any]) -> dict[str, Any]:
    """The same difference seen from the other design."""
    seed_low, seed_high = fields["seed_low"], fields["seed_high"]
    return {
        "difference": -fields["difference"],
        "low": -fields["high"],
        "high": -fields["low"],
        "seed_low": None if seed_high is None else -seed_high,
        "seed_high": None if seed_low is None else -seed_low,
        "points": [{"seed": p["seed"], "difference": -p["difference"]} for p in fields["points"]],
    }


def _error_split(
    comparison: Comparison,
    split: str,
    category: str,
    differences: list[dict[str, Any]],
    summary: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Perception is what perfect perception would add; reasoning is what is still wrong with it.

    Both are taken on the seeds that the design and its oracle share, so that the parts add up to one.
    """
    rows = []
    for design, oracle in comparison.oracles.items():
        lost = next((row for row in differences if (row["design"], row["against"]) == (oracle, design)), None)
        upper = next(
            (
                row
                for row in summary
                if (row["design"], row["split"], row["category"]) == (oracle, split, category)
            ),
            None,
        )
        if lost is None or upper is None:
            continue
        shared = {point["seed"] for point in lost["points"]}
        reached = [point["accuracy"] for point in upper["points"] if point["seed"] in shared]
        reasoning = 1 - sum(reached) / len(reached)
        rows.append(
            {
                "design": design,
                "oracle": oracle,
                "split": split,
                "category": category,
                "correct": 1 - reasoning - lost["difference"],
                "perception": lost["difference"],
                "perception_low": lost["low"],
                "perception_high": lost["high"],
                "reasoning": reasoning,
                "reasoning_low": 1 - upper["high"],
                "reasoning_high": 1 - upper["low"],
            }
        )
    return rows


def _facts(comparison: Comparison) -> dict[str, Any]:
    """What is told and not computed from answers."""
    runs: dict[str, list[Run]] = {name: [] for name in comparison.designs}
    for run in sorted(comparison.runs, key=lambda run: run.seed):
        if run.design not in runs:
            raise ValueError(f"runs: design {run.design!r} is not listed; listed are {', '.join(runs)}")
        runs[run.design].append(run)
    answered = {(answer.design, answer.seed) for answer in comparison.answers}
    missing = [
        {"design": design, "seed": seed}
        for seed in comparison.seeds
        for design in comparison.designs
        if (design, seed) not in answered
    ]
    configs = {name: listed[0].config for name, listed in runs.items() if listed and listed[0].config}
    return {
        "format": FORMAT,
        "complete": not missing,
        "missing": missing,
        "budget": comparison.budget,
        "seeds": comparison.seeds,
        "reference": comparison.reference,
        "base": comparison.base,
        "oracles": {d: o for d, o in comparison.oracles.items() if {d, o} <= set(comparison.designs)},
        "designs": [_design(comparison, name, listed) for name, listed in runs.items()],
        "categories": [
            {"name": c.name, "family": c.family, "visual": c.visual, "chance": c.chance}
            for c in comparison.categories
        ],
        "labels_seen": {name: listed[0].labels_seen for name, listed in runs.items() if listed},
        "curves": [
            {"design": run.design, "seed": run.seed, "points": run.to_dict()["curve"]}
            for listed in runs.values()
            for run in listed
            if run.curve
        ],
        "configs": configs,
        "examples": [
            {
                "split": e.split,
                "category": e.category,
                "question": e.question,
                "gold": e.gold,
                "pictures": len(e.pictures),
                "responses": e.responses,
                "correct": e.correct,
            }
            for e in comparison.examples
        ],
        "absent_splits": comparison.absent_splits,
        "pretrained": comparison.pretrained,
        "machine": comparison.machine,
        "versions": comparison.versions,
        "command": comparison.command,
    }


def _design(comparison: Comparison, name: str, runs: list[Run]) -> dict[str, Any]:
    """Costs as means over the seeds that were run; every run's own beside them."""

    def mean(attribute: str) -> float | None:
        values = [getattr(run, attribute) for run in runs if getattr(run, attribute) is not None]
        return sum(values) / len(values) if values else None

    role = "trained"
    if name == comparison.reference:
        role = "reference"
    elif name in comparison.oracles.values():
        role = "oracle"
    costs = ("flops", "samples", "seconds_training", "latency_ms", "peak_memory_bytes")
    return {
        "name": name,
        "role": role,
        "parameters": {
            "total": runs[0].parameters_total if runs else None,
            "active": runs[0].parameters_active if runs else None,
        },
        **{cost: mean(cost) for cost in costs},
        "stages": runs[0].to_dict()["stages"] if runs else [],
        "runs": [{"seed": run.seed} | {cost: getattr(run, cost) for cost in costs} for run in runs],
    }


def strict(value: Any) -> Any:
    """The same with every number finite: NaN and infinities become None, as JSON knows neither."""
    if isinstance(value, dict):
        return {str(key): strict(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [strict(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def dump(document: dict[str, Any]) -> str:
    """The text of `report.json`."""
    return json.dumps(document, allow_nan=False, indent=1, ensure_ascii=False) + "\n"
