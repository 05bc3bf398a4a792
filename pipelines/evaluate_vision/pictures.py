"""The pictures that every tower looks at, drawn once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlmloom.components.contracts.sources import Sprites, SpriteSource, unseen
from vlmloom.pipelines.evaluate_vision.retrieval import TEMPLATES, Pairs, read_pairs
from vlmloom.pipelines.evaluate_vision.scenes import Crowds, Scenes, draw, draw_crowds
from vlmloom.registry import build
from vlmloom.registry.errors import UserError
from vlmloom.registry.overrides import read_component

TURN = 45.0
"""Degrees to either side that a thing is turned by, in the second picture of `correspondence`."""


@dataclass(frozen=True)
class Plan:
    """What is looked at.

    Attributes:
        source: of the cut-outs.
        things: how many, drawn from the source.
        views: pictures of each to learn from; half as many, at least one, to test.
        side: of a picture in pixels, before a tower brings it to its own size.
        most: things in a picture to count.
        shift: a source of the same things in another drawing style, for the test pictures.
        sizes: further sides of the test pictures.
        templates: what names are put into.
        captions: a file of pictures and captions for retrieval, in place of test pictures and their names.
        seed: of random weights and of all draws.
    """

    source: str = "source/openmoji"
    things: int = 40
    views: int = 10
    side: int = 128
    most: int = 6
    shift: str | None = None
    sizes: tuple[int, ...] = ()
    templates: tuple[str, ...] = TEMPLATES
    captions: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Pictures:
    """Of the same things.

    Attributes:
        names: of the things.
        unseen: how many of them training on all cut-outs of a source leaves out (`sources.unseen`); these are
            taken first.
        known: to learn from.
        tests: split -> pictures to be tested on. Those of `test` are alike to the known ones, those of others
            show the same places, sizes and grounds in another style or at another side.
        turned: of `test`, each thing turned and elsewhere.
        crowds: to learn counting from, and, of other things, to be tested on.
        templates: what the names are put into.
        pairs: of a user, for retrieval.
    """

    names: list[str]
    unseen: int
    known: Scenes
    tests: dict[str, Scenes]
    turned: Scenes
    crowds: tuple[Crowds, Crowds]
    templates: tuple[str, ...] = TEMPLATES
    pairs: Pairs | None = None


def draw_all(plan: Plan) -> Pictures:
    """The pictures of a plan.

    Raises:
        UserError: a source has no cut-outs, or too few.
    """
    sprites, other = sprites_of(plan.source, "--source"), None
    eligible, twin = np.arange(len(sprites)), np.arange(len(sprites))
    found = f"{plan.source} has"
    if plan.shift is not None:
        other = sprites_of(plan.shift, "--shift")
        places = {code: place for place, code in enumerate(other.codes)}
        twin = np.array([places.get(code, -1) for code in sprites.codes])
        eligible, found = np.flatnonzero(twin >= 0), f"{plan.source} and {plan.shift} share"
    if len(eligible) < plan.things:
        raise UserError(f"evaluate-vision: --things is {plan.things}; {found} {len(eligible)}")
    drawn = np.random.default_rng((plan.seed, 0)).permutation(eligible)
    aside = np.array([unseen(sprites.codes[thing]) for thing in drawn])
    chosen = np.concatenate([drawn[aside], drawn[~aside]])[: plan.things]
    views, test = max(1, plan.views // 2), (plan.seed, 2)
    tests = {"test": draw(sprites, chosen, views, plan.side, test)}
    if other is not None:
        tests["shift"] = draw(other, twin[chosen], views, plan.side, test)
    tests |= {f"{side} px": draw(sprites, chosen, views, side, test) for side in plan.sizes}
    half = len(chosen) // 2
    few = max(1, plan.views // 4)
    return Pictures(
        [sprites.names[thing] for thing in chosen],
        min(int(aside.sum()), plan.things),
        draw(sprites, chosen, plan.views, plan.side, (plan.seed, 1)),
        tests,
        draw(sprites, chosen, views, plan.side, (plan.seed, 4), TURN),
        (
            draw_crowds(sprites, chosen[:half], plan.most, few, plan.side, (plan.seed, 5)),
            draw_crowds(sprites, chosen[half:], plan.most, few, plan.side, (plan.seed, 6)),
        ),
        plan.templates,
        None if plan.captions is None else read_pairs(Path(plan.captions)),
    )


def sprites_of(source: str, option: str) -> Sprites:
    """The cut-outs of a source.

    Raises:
        UserError: it has none.
    """
    made = build(read_component(source, f"{option} {source}"))
    if not isinstance(made, SpriteSource):
        raise UserError(f"evaluate-vision: {option} {source} has no cut-outs; source/openmoji would be right")
    return made.load()
