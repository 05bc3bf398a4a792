"""Build towers, show them the pictures, and keep what was found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlmloom.components.contracts.vision import Teacher, Vision
from vlmloom.components.teacher.cached import digest_of
from vlmloom.pipelines.evaluate_vision.pictures import Plan, draw_all
from vlmloom.pipelines.evaluate_vision.report import answers, document
from vlmloom.pipelines.evaluate_vision.score import NAMES, Score, score
from vlmloom.pipelines.files import write_text
from vlmloom.registry import build
from vlmloom.registry.errors import UserError
from vlmloom.registry.overrides import read_component

KEPT = "towers"
"""The folder of scores, one file a tower and settings."""


def tower(text: str, seed: int) -> Vision:
    """The tower that `kind/name,key=value` or the folder of a finished run names.

    Raises:
        UserError: it is no vision or teacher component.
    """
    wrong = UserError(
        f"evaluate-vision: {text} is no tower; a vision or teacher component such as vision/timm, or the "
        "folder of a run, would be right"
    )
    folder = Path(text).is_dir()
    if not folder and text.partition("/")[0] not in ("vision", "teacher"):
        raise wrong
    torch.manual_seed(seed)
    built = build(read_component(f"teacher/run,folder={text}" if folder else text, f"evaluate-vision {text}"))
    if not isinstance(built, Vision):
        raise wrong
    return built


def compare(
    towers: Sequence[str],
    probes: Sequence[str],
    plan: Plan,
    *,
    against: str | None = None,
    out: Path | None = None,
    facts: dict[str, Any] | None = None,
    tick: Callable[[str], None] = lambda name: None,
) -> dict[str, Any]:
    """Towers on the same pictures.

    Args:
        towers: as `tower` takes them.
        probes: names of them.
        plan: the pictures.
        against: the tower that the others are compared with; None is the first.
        out: a folder where scores are kept. A tower of the same weights is not shown the same pictures again.
        facts: see `report.document`.
        tick: is told the tower that is looking.

    Returns:
        See `report.document`.

    Raises:
        UserError: a tower is named twice or is none, or a source has no cut-outs or too few.
    """
    if twice := [name for name in towers if towers.count(name) > 1]:
        raise UserError(f"evaluate-vision: {twice[0]} stands twice; each tower once would be right")
    if against is not None and against not in towers:
        raise UserError(f"evaluate-vision: --against {against} is none of {', '.join(towers)}")
    built = {name: tower(name, plan.seed) for name in towers}
    pictures = draw_all(plan)
    found: dict[str, list[Score]] = {}
    for name, one in built.items():
        file = None if out is None else out / KEPT / f"{_key(name, one, probes, plan)}.json"
        if file is not None and file.is_file():
            found[name] = _read(file)
            continue
        tick(name)
        found[name] = list(score(one, pictures, probes))
        if file is not None:
            write_text(file, json.dumps({"tower": name, "scores": [_plain(own) for own in found[name]]}))
    chances = {own.probe: own.chance for scores in found.values() for own in scores}
    # Recalls, which are parts of a probe, stay in their own order behind the others.
    place = {name: number for number, name in enumerate(NAMES)}
    ordered = {name: chances[name] for name in sorted(chances, key=lambda name: place.get(name, len(place)))}
    told = {name: answers(name, scores, plan.seed) for name, scores in found.items()}
    made = document(told, ordered, against or towers[0], plan.seed, facts or {})
    return made | {"plan": asdict(plan), "unseen": pictures.unseen}


def _key(name: str, one: Vision, probes: Sequence[str], plan: Plan) -> str:
    """What the scores of a tower depend on."""
    weights = one.weights() if isinstance(one, Teacher) else one.state_dict()
    if {"zero_shot", "retrieval"} & set(probes) and (space := one.shared_space()) is not None:
        weights = weights | {"words": space.embed_texts(plan.templates)}
    pairs = "" if plan.captions is None else Path(plan.captions).read_text(encoding="utf-8")
    told = json.dumps([name, digest_of(weights), list(probes), asdict(plan), pairs])
    return hashlib.blake2b(told.encode(), digest_size=10).hexdigest()


def _plain(own: Score) -> dict[str, Any]:
    return asdict(own) | {"values": own.values.astype(float).tolist(), "things": own.things.tolist()}


def _read(file: Path) -> list[Score]:
    """What was kept.

    Raises:
        UserError: the file is damaged.
    """
    try:
        rows = json.loads(file.read_bytes())["scores"]
        return [
            Score(**row | {"values": np.array(row["values"]), "things": np.array(row["things"])})
            for row in rows
        ]
    except (ValueError, TypeError, KeyError):
        raise UserError(f"{file}: holds no scores; without the file the tower is looked at again") from None
