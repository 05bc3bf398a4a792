"""Build towers, draw pictures, probe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vlmloom.components.contracts.kinds import Vision
from vlmloom.components.contracts.sources import Sprites, SpriteSource
from vlmloom.pipelines.evaluate_vision.features import extract
from vlmloom.pipelines.evaluate_vision.probes import PROBES
from vlmloom.pipelines.evaluate_vision.report import rows
from vlmloom.pipelines.evaluate_vision.scenes import Scenes, draw
from vlmloom.registry import build
from vlmloom.registry.errors import UserError
from vlmloom.registry.overrides import read_component

TURN = 45.0
"""Degrees to either side that a thing is turned by, in the second picture of `correspondence`."""


@dataclass(frozen=True)
class Plan:
    """What is looked at.

    Attributes:
        things: how many, drawn from the source.
        views: pictures of each to learn from; half as many, at least one, to test.
        side: of a picture in pixels, before a tower brings it to its own size.
        seed: of random weights and of all draws.
    """

    things: int = 40
    views: int = 10
    side: int = 128
    seed: int = 0


def tower(text: str, seed: int) -> Vision:
    """The tower that `kind/name,key=value` or the folder of a finished run names.

    Raises:
        UserError: it is no vision or teacher component.
    """
    named = f"teacher/run,folder={text}" if Path(text).is_dir() else text
    torch.manual_seed(seed)
    built = build(read_component(named, f"evaluate-vision {text}"))
    if not isinstance(built, Vision):
        raise UserError(
            f"evaluate-vision: {text} is no tower; a vision or teacher component such as vision/timm, or the "
            "folder of a run, would be right"
        )
    return built


def compare(
    towers: Sequence[str],
    source: str,
    probes: Sequence[str],
    plan: Plan,
    tick: Callable[[str], None] = lambda name: None,
) -> list[dict[str, object]]:
    """Rows of `report.rows` for towers on the same pictures.

    Raises:
        UserError: a tower is named twice or is none, or the source has no cut-outs or too few.
    """
    if twice := [name for name in towers if towers.count(name) > 1]:
        raise UserError(f"evaluate-vision: {twice[0]} stands twice; each tower once would be right")
    built = {name: tower(name, plan.seed) for name in towers}
    sprites = _sprites(source, plan.things)
    chosen = np.random.default_rng((plan.seed, 0)).permutation(len(sprites))[: plan.things]
    views = max(1, plan.views // 2)
    # Which probes look at which pictures, to learn from and to be tested on.
    looks: list[tuple[list[str], Scenes, Scenes]] = []
    if others := [probe for probe in probes if probe != "correspondence"]:
        known = draw(sprites, chosen, plan.views, plan.side, (plan.seed, 1))
        looks.append((others, known, draw(sprites, chosen, views, plan.side, (plan.seed, 2))))
    if "correspondence" in probes:
        upright = draw(sprites, chosen, views, plan.side, (plan.seed, 3))
        turned = draw(sprites, chosen, views, plan.side, (plan.seed, 4), TURN)
        looks.append((["correspondence"], upright, turned))
    scores: dict[str, dict[str, np.ndarray]] = {probe: {} for probe in probes}
    for name, one in built.items():
        tick(name)
        for asked, known, truth in looks:
            train, test = extract(one, known.frames), extract(one, truth.frames)
            for probe in asked:
                scores[probe][name] = PROBES[probe](train, known, test, truth)
    return rows(scores, truth.things, plan.seed)


def _sprites(source: str, things: int) -> Sprites:
    made = build(read_component(source, f"--source {source}"))
    if not isinstance(made, SpriteSource):
        raise UserError(f"evaluate-vision: --source {source} has no cut-outs; source/openmoji would be right")
    sprites = made.load()
    if len(sprites) < things:
        raise UserError(f"evaluate-vision: --things is {things}; {source} has {len(sprites)}")
    return sprites
