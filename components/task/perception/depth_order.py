"""What is in front of what?"""

from __future__ import annotations

from itertools import combinations
from typing import Any, ClassVar

from vlmloom.components.task.base import Item
from vlmloom.components.task.corrupt import TONAL
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.perception.scattered import ScatteredTask
from vlmloom.components.task.scatter import Spot, drawn, team
from vlmloom.components.task.silhouette import on_canvas, silhouette
from vlmloom.components.task.world import Style, World
from vlmloom.registry import register

COVERED = 0.1
"""Of the smaller of two things, the share that the front one covers visibly at the least."""

SEEN = 0.45
"""Of every thing, the share that is visible at the least."""


@register("task/depth_order")
class DepthOrder(ScatteredTask):
    """Give the order of overlapping things from front to back, as their names with commas between them.

    Every two of them overlap where one visibly covers the other, and nearly half of each is seen.

    Args:
        world: what is shared by the tasks of a suite.
        things: how many overlap; more are harder.
        language: see `PerceptionTask`.
    """

    name = "depth_order"
    most = 4
    corruptions = TONAL
    asks: ClassVar = {
        "en": "order from front to back: {0} and {1}?",
        "es": "¿orden de delante hacia atrás: {0} y {1}?",
        "de": "Reihenfolge von vorn nach hinten: {0} und {1}?",
        "zh": "从前到后的顺序：{0}和{1}？",
    }

    def __init__(self, *, world: World, things: int = 3, language: str = "en") -> None:
        super().__init__(world=world, things=things, language=language)

    def compose(self, draw: Draw, split: str) -> Item | None:
        """Things about the middle, until all overlap as they should."""
        style = self.world.style_of(split, draw)
        entries = team(self.world, draw, style, self.things)
        if entries is None:
            return None
        width, height = self.world.canvas(draw)
        side = self.world.side
        for _ in range(12):
            spots = []
            for entry in entries:
                size = side * 7 // 16 + draw.below(side // 8 + 1)
                reach = side // 3
                x = (width - size) // 2 + draw.between(-reach, reach) // (1 + (width < height))
                y = (height - size) // 2 + draw.between(-reach, reach)
                x, y = min(max(x, 0), width - size), min(max(y, 0), height - size)
                spots.append(Spot(entry, x, y, size, "", draw.chance(0.5)))
            if _order_is_seen(style, spots, width, height):
                break
        else:
            return None
        backdrop = self.world.backdrop(draw, width, height)
        picture, things = drawn(self.world, style, spots, width, height, backdrop)
        names = [self.word(entry.name) for entry in reversed(entries)]
        asked = draw.sample([entry.name for entry in entries], len(entries))
        truth = {"order": [entry.name for entry in reversed(entries)]}
        return Item(self.either(asked), ", ".join(names), things, (picture,), source=style.name, truth=truth)

    def judge(self) -> dict[str, Any]:
        """The names in order, all of them."""
        return {"use": "reward/sequence", "whole": True}


def _order_is_seen(style: Style, spots: list[Spot], width: int, height: int) -> bool:
    """Whether, of things from back to front, every order of two is seen, and enough of each."""
    # At half the resolution, which tells as well and costs a quarter.
    whole = [
        on_canvas(
            silhouette(style.sprites, style.rows[spot.entry.name], spot.size // 2, spot.flip),
            spot.x // 2,
            spot.y // 2,
            width // 2,
            height // 2,
        )
        for spot in spots
    ]
    seen = []
    for number, mask in enumerate(whole):
        for front in whole[number + 1 :]:
            mask = mask & ~front
        if mask.sum() < SEEN * whole[number].sum():
            return False
        seen.append(mask)
    return all(
        (whole[back] & seen[front]).sum() >= COVERED * min(whole[back].sum(), whole[front].sum())
        for back, front in combinations(range(len(spots)), 2)
    )
