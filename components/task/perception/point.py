"""Point at it."""

from __future__ import annotations

from typing import Any, ClassVar

from vlmloom.components.task.base import Item
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.perception.scattered import ScatteredTask
from vlmloom.components.task.scatter import drawn, lattice, team
from vlmloom.registry import register


@register("task/point")
class Point(ScatteredTask):
    """Give a point on a named thing among others as `[x,y]` in thousandths.

    Args:
        world: what is shared by the tasks of a suite.
        things: how many there are; more are harder.
        language: see `PerceptionTask`.
    """

    name = "point"
    asks: ClassVar = {
        "en": "point at the {0}: [x,y] in thousandths of the picture?",
        "es": "señala ({0}): ¿[x,y] en milésimas de la imagen?",
        "de": "zeige auf „{0}“: [x,y] in Tausendsteln des Bildes?",
        "zh": "指出{0}：以图像千分之一为单位的 [x,y]？",
    }

    def compose(self, draw: Draw, split: str) -> Item | None:
        """Things that are all different."""
        style = self.world.style_of(split, draw)
        entries = team(self.world, draw, style, self.things)
        if entries is None:
            return None
        grid = lattice(self.world, draw, self.things, 4)
        spots = [
            grid.spot(draw, at, entry, 0.6 + 0.1 * draw.below(5))
            for at, entry in zip(draw.sample(grid.cells, self.things), entries, strict=True)
        ]
        backdrop = self.world.backdrop(draw, grid.width, grid.height)
        picture, things = drawn(self.world, style, spots, grid.width, grid.height, backdrop)
        x1, y1, x2, y2 = things[0].box
        answer = f"[{(x1 + x2) // 2},{(y1 + y2) // 2}]"
        truth = {"box": things[0].box}
        return Item(self.ask(entries[0].name), answer, things, (picture,), source=style.name, truth=truth)

    def judge(self) -> dict[str, Any]:
        """Inside the box of the thing."""
        return {"use": "reward/point"}
