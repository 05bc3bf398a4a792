"""What a nano model learns: small pictures, few things, short questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vlmloom.components.contracts.sources import FontSource, PhotoSource, SpriteSource, TableSource
from vlmloom.components.contracts.task import Task
from vlmloom.components.task.documents.bar_value import BarValue
from vlmloom.components.task.documents.digit import Digit
from vlmloom.components.task.documents.read import Read
from vlmloom.components.task.documents.table_cell import TableCell
from vlmloom.components.task.mixture import Mixture, world_of
from vlmloom.components.task.perception.box import BoxOf
from vlmloom.components.task.perception.category import Category
from vlmloom.components.task.perception.choice import Choice
from vlmloom.components.task.perception.colour import Colour
from vlmloom.components.task.perception.count import Count
from vlmloom.components.task.perception.name import Name
from vlmloom.components.task.perception.odd_one_out import OddOneOut
from vlmloom.components.task.perception.relation import Relation
from vlmloom.components.task.perception.which_image import WhichImage
from vlmloom.components.task.reasoning.arithmetic import Arithmetic
from vlmloom.components.task.video.order import Order
from vlmloom.registry import register

NANO: dict[str, Callable[..., Task]] = {
    "name": Name,
    "category": Category,
    "choice": Choice,
    "count": Count,
    "relation": Relation,
    "box": BoxOf,
    "odd_one_out": OddOneOut,
    "colour": Colour,
    "read": Read,
    "digit": Digit,
    "bar_value": BarValue,
    "table_cell": TableCell,
    "which_image": WhichImage,
    "order": Order,
    "arithmetic": Arithmetic,
}

SMALL: dict[str, dict[str, Any]] = {"arithmetic": {"largest": 9}}
"""What these tasks are given here, where their own defaults are for larger models."""


@register("suite/nano")
class Nano(Mixture):
    """Small pictures, few things, short questions: what a nano model learns in minutes.

    Args:
        tasks: name -> task; None takes all of this suite. Each is built with `world=` of this suite.
        weights: name -> share in the mixture; 1 where it is not given.
        sprites: the cut-outs that are trained on; None is `source/openmoji`.
        shift: cut-outs in other styles; None is `source/noto_emoji` and `source/tuxpaint`, where installed.
        tables: None is `source/tables`.
        photos: None is `source/photos`.
        fonts: None is `source/fonts`.
        things: how many things are in use, at most 64.
        colours: how many colours are in use, at most 8.
        seed: another seed is another set of scenes.
        held_out: one pair in so many is shown in the compositional split only.
        photo_share: the share of scenes with a photograph as backdrop.
        square_share: the share of square pictures.
        side: the shorter side of a picture in pixels.
        items: how many different training items there are, met again in every round; None never repeats one.
    """

    def __init__(
        self,
        *,
        tasks: dict[str, Callable[..., Task]] | None = None,
        weights: dict[str, float] | None = None,
        sprites: SpriteSource | None = None,
        shift: Sequence[SpriteSource] | None = None,
        tables: TableSource | None = None,
        photos: PhotoSource | None = None,
        fonts: FontSource | None = None,
        things: int = 32,
        colours: int = 6,
        seed: int = 0,
        held_out: int = 8,
        photo_share: float = 0.1,
        square_share: float = 0.75,
        side: int = 64,
        items: int | None = None,
    ) -> None:
        world = world_of(
            sprites=sprites,
            shift=shift,
            tables=tables,
            photos=photos,
            fonts=fonts,
            things=things,
            colours=colours,
            seed=seed,
            held_out=held_out,
            photo_share=photo_share,
            square_share=square_share,
            side=side,
        )
        built = {}
        for name, template in (NANO if tasks is None else tasks).items():
            built[name] = template(world=world, **(SMALL.get(name, {}) if tasks is None else {}))
            built[name].name = name
        super().__init__(world, built, weights, items)
