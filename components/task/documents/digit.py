"""Which digit was written?"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from vlmloom.components.contracts.boxes import permille
from vlmloom.components.contracts.sample import Thing
from vlmloom.components.task.base import Item, SceneTask, spread
from vlmloom.components.task.draw import Draw, stable_hash
from vlmloom.components.task.drawing import Backdrop, Drawing, Pixels
from vlmloom.components.task.world import World, split_of
from vlmloom.registry import register


@register("task/digit")
class Digit(SceneTask):
    """Read a digit that a person wrote by hand; no writing is shared between the splits."""

    name = "digit"
    family = "documents"
    held = False
    styled = False

    def __init__(self, *, world: World) -> None:
        super().__init__(world=world)
        if world.photos is None:
            raise ValueError("task/digit: the suite has no photos; give it `photos: {use: source/photos}`")

    @cached_property
    def _writings(self) -> np.ndarray:
        assert self.world.photos is not None
        return self.world.photos.digits()[0]

    @cached_property
    def _rows(self) -> dict[str, list[list[int]]]:
        """Split -> digit -> rows."""
        assert self.world.photos is not None
        rows: dict[str, list[list[int]]] = {split: [[] for _ in range(10)] for split in self.splits()}
        for row, value in enumerate(self.world.photos.digits()[1].tolist()):
            rows[split_of(stable_hash("digit", row))][value].append(row)
        return rows

    def judge(self) -> dict[str, Any]:
        """The number, exactly."""
        return {"use": "reward/number"}

    def compose(self, draw: Draw, split: str) -> Item:
        """One writing, enlarged, anywhere on paper."""
        value = draw.below(10)
        row = draw.choice(self._rows[split][value])
        ink = self._writings[row] > 64
        columns, lines = np.flatnonzero(ink.any(axis=0)), np.flatnonzero(ink.any(axis=1))
        width, height = self.world.canvas(draw)
        size = spread(draw, 40, 64, self.world.side)
        x, y = draw.below(width - size + 1), draw.below(height - size + 1)
        unit = size / 8
        edges = (
            x + columns[0].item() * unit,
            y + lines[0].item() * unit,
            x + (columns[-1].item() + 1) * unit,
            y + (lines[-1].item() + 1) * unit,
        )
        thing = Thing("digit", "writing", permille(edges, width, height), "", str(value))
        layer = Pixels(self._writings[row], f"digit {row}", x, y, size)
        picture = Drawing(width, height, Backdrop((255, 255, 255)), ((layer,),))
        choices = tuple(map(str, range(10)))
        return Item("which digit is this?", str(value), (thing,), (picture,), choices, "photos", {"row": row})

    def admits(self, split: str, item: Item) -> bool:
        """The rows have been drawn from the split already."""
        return True

    def scene_key(self, item: Item) -> str:
        """The writing is the scene: its place on the paper does not make another one."""
        return f"digit:{item.truth['row']}"
