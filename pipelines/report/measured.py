"""What parts report of themselves on test items, with intervals: losses by part, tokens gained by drafts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from vlmloom.pipelines.report import statistics
from vlmloom.pipelines.report.record import Comparison, Run


def measures(
    comparison: Comparison, resamples: int = statistics.RESAMPLES, bootstrap_seed: int = 0
) -> dict[str, list[dict[str, Any]]]:
    """The tables `measures`, `measure_differences` (to the base), `histograms` and `declared` of the report.

    Intervals are those of `statistics`, with batches of test items in place of scenes; a batch holds the same
    items for every design.
    """
    designs, seeds = comparison.designs, sorted({run.seed for run in comparison.runs})
    runs = {(run.design, run.seed): run for run in comparison.runs}
    against = comparison.base or comparison.trained[0] if comparison.trained else None
    pairs = [(row, designs.index(against)) for row, name in enumerate(designs) if against and name != against]
    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("measures", "measure_differences", "histograms", "declared")
    }
    for measure in dict.fromkeys(name for run in comparison.runs for name in run.measures):
        plain = _collect(measure, designs, seeds, runs)
        drawn = statistics.bootstrap(statistics.with_differences(plain, pairs), resamples, bootstrap_seed)
        for row, design in enumerate(designs):
            mean = drawn.estimate(row, [0])
            if mean is not None:
                head = {"measure": measure, "design": design, "batches": plain.values.shape[-1]}
                tables["measures"].append(head | estimate("value", mean))
        for offset, (row, _) in enumerate(pairs):
            lead = drawn.estimate(drawn.plain + offset, [0])
            if lead is not None:
                head = {"measure": measure, "design": designs[row], "against": against}
                tables["measure_differences"].append(head | estimate("difference", lead))
    for design in designs:
        own = [runs[design, seed] for seed in seeds if (design, seed) in runs]
        totals: dict[str, Counter[str]] = {}
        for run in own:
            for name, counts in run.histograms.items():
                totals.setdefault(name, Counter()).update(counts)
        tables["histograms"] += [
            {
                "name": name,
                "design": design,
                "counts": dict(sorted(counts.items(), key=lambda c: float(c[0]))),
            }
            for name, counts in totals.items()
        ]
        tables["declared"] += [
            {"name": name, "design": design, "value": value}
            for name, value in (own[0].declared if own else {}).items()
        ]
    return tables


def _collect(
    measure: str, designs: Sequence[str], seeds: Sequence[int], runs: dict[tuple[str, int], Run]
) -> statistics.Scores:
    """The values of one measure; NaN where a run has none."""
    batches = max(len(run.measures.get(measure, ())) for run in runs.values())
    values = np.full((len(designs), len(seeds), batches), np.nan)
    for (design, seed), run in runs.items():
        found = run.measures.get(measure, [])
        known = [np.nan if value is None else value for value in found]
        values[designs.index(design), seeds.index(seed), : len(found)] = known
    return statistics.Scores(
        designs=tuple(designs),
        seeds=tuple(seeds),
        categories=(measure,),
        values=values,
        category=np.zeros(batches, np.int64),
        scene=np.arange(batches),
        plain=len(designs),
        shares=False,
    )


def estimate(name: str, found: statistics.Estimate) -> dict[str, Any]:
    """An estimate as the report holds it, its value under `name`."""
    return {
        name: found.value,
        "low": found.low,
        "high": found.high,
        "seed_low": found.seed_low,
        "seed_high": found.seed_high,
        "points": [{"seed": seed, name: value} for seed, value in found.points.items()],
    }
