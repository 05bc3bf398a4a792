"""Designs under one budget: train each with every seed, answer every split, and write the report.

What is finished is kept under `runs/`, so that an interrupted comparison goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from vlmloom.pipelines.evaluate import Items
from vlmloom.pipelines.exams import Exam, composer, plain
from vlmloom.pipelines.experiment import Budget
from vlmloom.pipelines.files import restored
from vlmloom.pipelines.gather import BLIND, gather
from vlmloom.pipelines.job import Job, in_process, read_record
from vlmloom.registry.compose import Composed
from vlmloom.registry.errors import UserError
from vlmloom.registry.marked import Node


@dataclass(frozen=True)
class Plan:
    """A comparison as it was asked for.

    Attributes:
        designs: name -> the experiment: its YAML, its name, or its tree.
        budget: `(unit, amount)` for every design, all stages included; None is the first experiment's own.
        seeds: how many.
        out: the folder of the comparison.
        exam: what is asked.
        base: the design that all others are changes of, where there is one.
        blind: add the first design that trains on pictures' questions, with the pictures withheld.
        sets: overrides for every design.
        command: what was typed.
    """

    designs: Mapping[str, str | Node]
    out: Path
    budget: tuple[str, float] | None = None
    seeds: int = 2
    exam: Exam = field(default_factory=Items)
    base: str | None = None
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
    from vlmloom.pipelines.run import begun
    from vlmloom.pipelines.startable import startable

    budget = plan.budget or own_budget(plan)
    plan, budget_sets = replace(plan, budget=budget), _budget(*budget)
    designs = [*plan.designs, *([BLIND] if plan.blind else [])]
    if plan.blind:
        withheld_stages(plan)
    # A design that is wrong, or a folder of another comparison, is told before anything trains.
    asked: dict[str, Any] = {}
    for seed in range(plan.seeds):
        for design in plan.designs:
            asked[design] = same_experiment(_job(plan, design, seed, budget_sets))
    if isinstance(plan.exam, Items):
        same_items(asked)
    for design in plan.designs:
        jobs = [_job(plan, design, seed, budget_sets) for seed in range(plan.seeds)]
        if any(not begun(job.folder) for job in jobs):
            startable(composed_of(jobs[0]), answers=isinstance(plan.exam, Items))
    runs = plan.out / "runs"
    with restored(plan.out, runs.exists, ["runs"]):
        return _all_runs(plan, designs, budget_sets, console)


def _all_runs(plan: Plan, designs: Sequence[str], budget_sets: tuple[str, ...], console: Console) -> Path:
    """Train and answer what is not done yet; the report."""
    from vlmloom.pipelines.report.write import write_report

    total, began, page = len(designs) * plan.seeds, time.monotonic(), plan.out / "report.html"
    finished = 0
    for seed in range(plan.seeds):
        for design in designs:
            job = _job(plan, design, seed, budget_sets)
            same_experiment(job)
            if not is_done(job):
                minutes = (time.monotonic() - began) / max(finished, 1) * (total - finished) / 60
                left = f", about {minutes:.0f} min left" if finished else ""
                console.print(f"[bold]{design}, seed {seed}[/bold] ({finished + 1} of {total}{left})")
                in_process(job)
            finished += 1
        page = write_report(gather(plan, designs), plan.out)
        console.print(f"{page}: {seed + 1} of {plan.seeds} seeds, {(time.monotonic() - began) / 60:.1f} min")
    return page


def own_budget(plan: Plan) -> tuple[str, float]:
    """The budget that the first experiment gives itself."""
    first = next(iter(plan.designs.values()))
    composed = composer(plan.exam)(first, sets=plan.sets, swaps=plan.swaps, scale=plan.scale)
    budget = Budget(**composed.root.plain()["budget"])
    return budget.unit, getattr(budget, budget.unit)


def _budget(unit: str, amount: float) -> tuple[str, ...]:
    """Overrides that give an experiment this budget and no other."""
    units = [field.name for field in fields(Budget)]
    return tuple(f"budget.{name}={amount if name == unit else 'null'}" for name in units)


def _job(plan: Plan, design: str, seed: int, budget_sets: tuple[str, ...]) -> Job:
    folder = plan.out / "runs" / f"{design}-seed{seed}"
    sets = (*plan.sets, f"seed={seed}")
    if design != BLIND:
        return Job(
            design,
            plan.designs[design],
            seed,
            folder,
            (*budget_sets, *sets),
            plan.swaps,
            plan.scale,
            plan.exam,
        )
    return blind_job(plan, seed, folder, sets)


def same_experiment(job: Job) -> dict[str, Any]:
    """See that a run's folder, where there is one, holds what is asked for now.

    Returns:
        The experiment as plain data.

    Raises:
        ConfigError: the experiment is wrong.
        UserError: the folder holds another one: other budget, other values, another design.
    """
    from vlmloom.pipelines.run import claim
    from vlmloom.registry.build import saved

    composed = composed_of(job)
    claim(job.folder, saved(composed))
    return composed.root.plain()


def composed_of(job: Job) -> Composed:
    """The experiment of a run.

    Raises:
        ConfigError: it is wrong.
    """
    return composer(job.exam)(job.source, sets=job.sets, swaps=job.swaps, scale=job.scale)


def same_items(experiments: dict[str, dict[str, Any]]) -> None:
    """See that all designs are asked the same items; their mixtures in training may differ.

    Raises:
        UserError: two suites differ in more than their weights.
    """
    suites = {
        design: {key: value for key, value in plain["data"].get("suite", {}).items() if key != "weights"}
        for design, plain in experiments.items()
    }
    first, *others = suites
    for design in others:
        differ = sorted(
            key
            for key in suites[first].keys() | suites[design].keys()
            if suites[first].get(key) != suites[design].get(key)
        )
        if differ:
            raise UserError(
                f"compare: {design} and {first} would be asked different items: data.suite differs in "
                f"{', '.join(differ)}; the same suite would be right"
            )


def is_done(job: Job) -> bool:
    """Whether a run has reached its end, and has answered what is asked now.

    Raises:
        UserError: its record is damaged.
    """
    record = read_record(job.folder)
    return (
        record is not None
        and record.get("exam") == plain(job.exam)
        and all((job.folder / name).exists() for name in record["answers"])
    )


def withheld_stages(plan: Plan) -> tuple[str, list[int]]:
    """The first design that trains on questions about pictures, and the stages in which it does.

    Raises:
        UserError: none does, so nothing can be withheld.
    """
    from vlmloom.pipelines.loading import compose_experiment

    for design, source in plan.designs.items():
        composed = compose_experiment(source, sets=plan.sets, swaps=plan.swaps, scale=plan.scale)
        stages = composed.root.plain()["stages"]
        seen = [number for number, stage in enumerate(stages) if stage.get("view", "question") == "question"]
        if seen:
            return design, seen
    raise UserError(
        f"compare: {' and '.join(plan.designs)} train on no questions with pictures, so there is no blind "
        "twin; --no-blind leaves it out"
    )


def blind_job(plan: Plan, seed: int, folder: Path, sets: tuple[str, ...]) -> Job:
    """A design with its questions' pictures withheld, trained on as many items as that design saw."""
    design, seen = withheld_stages(plan)
    record = read_record(plan.out / "runs" / f"{design}-seed{seed}")
    assert record is not None, "blind comes after its twin"
    withheld = tuple(f"stages.{number}.view=withheld" for number in seen)
    blind_sets = (*_budget("samples", record["samples"]), *withheld, f"name={BLIND}", *sets)
    return Job(BLIND, plan.designs[design], seed, folder, blind_sets, plan.swaps, plan.scale, plan.exam)
