"""The model card of a finished run: what it is, how it was made and of what, what it scores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vlmloom.components.contracts.sources import Source
from vlmloom.components.contracts.vision import Vision
from vlmloom.pipelines.files import write_text
from vlmloom.pipelines.folders import CONFIG, WEIGHTS
from vlmloom.pipelines.loading import build_training, compose_training, finished_run
from vlmloom.pipelines.machine import versions
from vlmloom.pipelines.run import read_ledger
from vlmloom.pipelines.weights.shards import sha256
from vlmloom.pipelines.weights.starting import pretrained
from vlmloom.registry.build import as_yaml
from vlmloom.registry.errors import UserError, one_line

NAME = "README.md"
Row = dict[str, Any]


def write_card(folder: Path, scores: Path | None = None) -> Path:
    """Write the card into the folder of a run.

    Args:
        folder: of the run.
        scores: `report.json` of `vlmloom evaluate-vision`, with this run among its towers.

    Returns:
        The card's path.

    Raises:
        UserError: it is no finished run, or the scores are none of it.
    """
    folder = finished_run(folder)
    text = "\n".join(_lines(folder, None if scores is None else _found(folder, scores)))
    write_text(folder / NAME, text)
    return folder / NAME


def _lines(folder: Path, scores: list[Row] | None) -> Iterator[str]:
    from huggingface_hub import ModelCardData

    composed, ledger = compose_training(folder / CONFIG), read_ledger(folder)
    training, _ = build_training(composed)
    subject: Any = training.subject
    data = ModelCardData(
        library_name="vlmloom", license="other", tags=["vlmloom", str(subject.registered_name)]
    )
    yield f"---\n{data.to_yaml()}\n---\n"
    yield f"# {training.name}\n"
    parts = {name: sum(p.numel() for p in part.parameters()) for name, part in subject.parts().items()}
    sizes = ", ".join(f"{name} {count:,}" for name, count in parts.items())
    yield f"`{subject.registered_name}` of VLMLoom; parameters: {sizes}."
    yield f"`{WEIGHTS}`, sha256 {sha256(folder / WEIGHTS)}.\n"
    yield "## Use\n"
    if isinstance(subject, Vision) or "vision" in parts:
        yield f"The tower from Python: `build({{'use': 'teacher/run', 'folder': '{folder}'}})`;"
        yield f"in the YAML of a design: `weights: {{folder: {folder}, take: [vision]}}`.\n"
    yield "## Recipe\n"
    yield "| stage | sees | trains | samples | steps | seconds |\n| --- | --- | --- | --- | --- | --- |"
    for stage in ledger.stages:
        cells = (stage["name"], stage["view"], ", ".join(stage["trains"]), f"{stage['samples']:,}")
        yield f"| {' | '.join(cells)} | {stage['steps']:,} | {stage['seconds']:.0f} |"
    stages = [
        {key: stage[key] for key in ("name", "objective", "optimizer") if key in stage}
        for stage in composed.root.plain()["stages"]
    ]
    yield f"\n```yaml\n{as_yaml({'stages': stages})}```"
    yield f"\nSeed {training.seed}, {ledger.flops:.2e} FLOPs. `{CONFIG}` beside this card trains it again.\n"
    yield "## Data and teachers\n"
    yield "| source | package | licence |\n| --- | --- | --- |"
    sources: dict[str, Source] = getattr(training.data.suite, "sources", {})
    for name, source in sources.items():
        yield f"| {name} | {source.package} | {source.licence} |"
    for line in pretrained(training, folder):
        yield f"\nPretrained: {line}"
    yield "\n## Scores\n"
    if scores is None:
        yield "None were measured.\n"
    else:
        yield "| probe | pictures | score | 95 % interval | a guess |\n| --- | --- | --- | --- | --- |"
        for row in scores:
            chance = "" if row["chance"] is None else f"{row['chance']:.3f}"
            interval = f"{row['low']:.3f} to {row['high']:.3f}"
            yield f"| {row['category']} | {row['split']} | {row['accuracy']:.3f} | {interval} | {chance} |"
        yield ""
    yield "Made with " + ", ".join(f"{name} {version}" for name, version in versions().items()) + ".\n"


def _found(folder: Path, scores: Path) -> list[Row]:
    """The rows of a report that are of this run, each with the chance of its probe."""
    try:
        report = json.loads(scores.read_bytes())
        chances = {category["name"]: category["chance"] for category in report["categories"]}
        rows = [
            row | {"chance": chances[row["category"]]}
            for row in report["results"]
            if Path(row["design"]).resolve() == folder.resolve()
        ]
    except FileNotFoundError:
        raise UserError(f"{scores}: is not there; report.json of evaluate-vision would be right") from None
    except (ValueError, TypeError, KeyError) as fault:
        raise UserError(f"{scores}: is no report ({one_line(fault)[:100]})") from None
    if not rows:
        raise UserError(f"{scores}: says nothing of {folder}; one with it among the towers would be right")
    return rows
