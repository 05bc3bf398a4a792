"""What is different between two pictures?"""

from __future__ import annotations

from typing import Any, ClassVar

from vlmloom.components.task.base import Item
from vlmloom.components.task.corrupt import TONAL
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.perception.scattered import ScatteredTask
from vlmloom.components.task.scatter import drawn, hues, lattice, team
from vlmloom.registry import register

CHANGES = ("removed", "replaced", "recoloured")


@register("task/spot_difference")
class SpotDifference(ScatteredTask):
    """Give the box of the thing of a first picture that is gone, or has changed, in the second.

    Args:
        world: what is shared by the tasks of a suite.
        things: how many there are; more are harder.
        language: see `PerceptionTask`.
    """

    name = "spot_difference"
    corruptions = TONAL
    asks: ClassVar = {
        "en": "one thing of the first picture is different in the second: its box in the first?",
        "es": "una cosa de la primera imagen es diferente en la segunda: ¿su caja en la primera?",
        "de": "ein Ding des ersten Bildes ist im zweiten anders: sein Rahmen im ersten?",
        "zh": "第一张图中有一个东西在第二张图中不同：它在第一张图中的边界框？",
    }

    def compose(self, draw: Draw, split: str) -> Item | None:
        """The same scene twice, but for one thing."""
        style = self.world.style_of(split, draw)
        entries = team(self.world, draw, style, self.things + 1)
        if entries is None:
            return None
        *shown, other = entries
        grid = lattice(self.world, draw, self.things)
        spots = []
        for at, entry in zip(draw.sample(grid.cells, self.things), shown, strict=True):
            free = hues(self.world, draw, entry)
            if len(free) < 2:
                return None
            spots.append(grid.spot(draw, at, entry, 0.7 + 0.1 * draw.below(4), free[0]))
        change = draw.choice(CHANGES)
        after = list(spots)
        if change == "removed":
            del after[0]
        elif change == "replaced":
            if self.world.held(spots[0].colour, other.name):
                return None
            after[0] = spots[0]._replace(entry=other)
        else:
            after[0] = spots[0]._replace(colour=hues(self.world, draw, shown[0], (spots[0].colour,))[0])
        backdrop = self.world.backdrop(draw, grid.width, grid.height)
        first, before = drawn(self.world, style, spots, grid.width, grid.height, backdrop)
        second, later = drawn(self.world, style, after, grid.width, grid.height, backdrop, frame=1)
        answer = f"[{','.join(map(str, before[0].box))}]"
        truth = {"change": change}
        return Item(self.ask(), answer, before + later, (first, second), source=style.name, truth=truth)

    def judge(self) -> dict[str, Any]:
        """By the overlap of the boxes."""
        return {"use": "reward/box", "overlap": 0.5}
