"""Designs under one budget: train each with every seed, answer every split, and write the report.

What is finished is kept under `runs/`, so that an interrupted comparison goes on where it stopped.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, fields
from pathlib import Path

from rich.console import Console

from vlmloom.pipelines.evaluate import Items
from vlmloom.pipelines.experiment import Budget
from vlmloom.pipelines.gather import BLIND, gather
from vlmloom.pipelines.job import Job, in_process
from vlmloom.registry.errors import UserError


@dataclass(frozen=True)
class Plan:
    """A comparison as it was asked for.

    Attributes:
        designs: name -> the experiment's YAML or its name.
        budget: `(unit, amount)` for every design, all stages included; None takes each experiment's own.
        seeds: how many.
        out: the folder of the comparison.
        items: how many are asked.
        blind: add the first design with its pictures withheld.
        sets: overrides for every design.
        command: what was typed.
    """

    designs: dict[str, str]
    out: Path
    budget: tuple[str, float] | None = None
    seeds: int = 2
    items: Items = field(default_factory=Items)
    blind: bool = True
    sets: tuple[str, ...] = ()
    swaps: tuple[str, ...] = ()
    scale: str = "nano"
    command: str = ""


def compare(plan: Plan, console: Console) -> Path:
    """Run what is not finished yet and write the report, first after one seed, then after each.

    Returns:
        The path of `report.html`.

    Raises:
        UserError: an experiment is wrong, or a run failed.
    """
    from vlmloom.pipelines.loading import compose_experiment
    from vlmloom.pipelines.report.write import write_report

    budget_sets = () if plan.budget is None else _budget(*plan.budget)
    for source in plan.designs.values():
        compose_experiment(source, sets=[*budget_sets, *plan.sets], swaps=plan.swaps, scale=plan.scale)
    designs = [*plan.designs, *([BLIND] if plan.blind and BLIND not in plan.designs else [])]
    total, began, page = len(designs) * plan.seeds, time.monotonic(), plan.out / "report.html"
    finished = 0
    for seed in range(plan.seeds):
        for design in designs:
            job = _job(plan, design, seed, budget_sets)
            if not (job.folder / "run.json").exists():
                minutes = (time.monotonic() - began) / max(finished, 1) * (total - finished) / 60
                left = f", about {minutes:.0f} min left" if finished else ""
                console.print(f"[bold]{design}, seed {seed}[/bold] ({finished + 1} of {total}{left})")
                in_process(job)
            finished += 1
        page = write_report(gather(plan, designs), plan.out)
        console.print(f"{page}: {seed + 1} of {plan.seeds} seeds, {(time.monotonic() - began) / 60:.1f} min")
    return page


def _budget(unit: str, amount: float) -> tuple[str, ...]:
    """Overrides that give an experiment this budget and no other."""
    units = [field.name for field in fields(Budget)]
    return tuple(f"budget.{name}={amount if name == unit else 'null'}" for name in units)


def _job(plan: Plan, design: str, seed: int, budget_sets: tuple[str, ...]) -> Job:
    folder = plan.out / "runs" / f"{design}-seed{seed}"
    sets = (*plan.sets, f"seed={seed}")
    if design != BLIND or BLIND in plan.designs:
        return Job(
            design,
            plan.designs[design],
            seed,
            folder,
            (*budget_sets, *sets),
            plan.swaps,
            plan.scale,
            plan.items,
        )
    return blind_job(plan, seed, folder, sets)


def blind_job(plan: Plan, seed: int, folder: Path, sets: tuple[str, ...]) -> Job:
    """The first design with its questions' pictures withheld, trained on as many items as that design saw."""
    from vlmloom.pipelines.loading import compose_experiment

    first, source = next(iter(plan.designs.items()))
    composed = compose_experiment(source, sets=plan.sets, swaps=plan.swaps, scale=plan.scale)
    stages = composed.root.plain()["stages"]
    seen = [number for number, stage in enumerate(stages) if stage.get("view", "question") == "question"]
    if not seen:
        raise UserError(
            f"compare: {first} trains on no questions, so it has no blind twin; --no-blind leaves it out"
        )
    samples = json.loads((plan.out / "runs" / f"{first}-seed{seed}" / "run.json").read_text())["samples"]
    withheld = tuple(f"stages.{number}.view=withheld" for number in seen)
    blind_sets = (*_budget("samples", samples), *withheld, f"name={BLIND}", *sets)
    return Job(BLIND, source, seed, folder, blind_sets, plan.swaps, plan.scale, plan.items)
