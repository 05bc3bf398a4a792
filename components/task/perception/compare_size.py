"""Which of two is larger, or smaller?"""

from __future__ import annotations

from typing import ClassVar

from vlmloom.components.task.base import Item
from vlmloom.components.task.corrupt import SIZES_STAY
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.perception.asked import PerceptionTask
from vlmloom.components.task.scatter import clearly_larger, drawn, lattice, team
from vlmloom.components.task.world import World
from vlmloom.registry import register


@register("task/compare_size")
class CompareSize(PerceptionTask):
    """Say which of two things is larger, or which is smaller, with others around them.

    Args:
        world: what is shared by the tasks of a suite.
        ratio: of their longer sides, and of their boxes and visible pixels at the least; nearer
            to 1 is harder.
        others: how many other things there are.
        language: see `PerceptionTask`.
    """

    name = "compare_size"
    corruptions = SIZES_STAY
    held = False
    knob = "ratio"
    asks: ClassVar = {
        "en": ("which is larger in the picture, {0} or {1}?", "which is smaller in the picture, {0} or {1}?"),
        "es": (
            "¿cuál es más grande en la imagen, {0} o {1}?",
            "¿cuál es más pequeño en la imagen, {0} o {1}?",
        ),
        "de": ("was ist im Bild größer, {0} oder {1}?", "was ist im Bild kleiner, {0} oder {1}?"),
        "zh": ("图中哪个更大，{0}还是{1}？", "图中哪个更小，{0}还是{1}？"),
    }

    def __init__(self, *, world: World, ratio: float = 1.5, others: int = 2, language: str = "en") -> None:
        super().__init__(world=world, language=language)
        if not 1.15 <= ratio <= 2:
            raise ValueError(f"task/compare_size: ratio is {ratio}; 1.15 to 2 would be right")
        if not 0 <= others <= 7:
            raise ValueError(f"task/compare_size: others is {others}; 0 to 7 would be right")
        self.ratio, self.others = ratio, others

    def compose(self, draw: Draw, split: str) -> Item | None:
        """One thing, another that is smaller by the ratio, and others of any size."""
        style = self.world.style_of(split, draw)
        count = 2 + self.others
        entries = team(self.world, draw, style, count)
        if entries is None:
            return None
        grid = lattice(self.world, draw, count, 3)
        large = 0.8 + 0.05 * draw.below(5)
        shares = [
            large,
            large / (self.ratio * 1.05),
            *(0.5 + 0.1 * draw.below(6) for _ in range(self.others)),
        ]
        spots = [
            grid.spot(draw, at, entry, share)
            for at, entry, share in zip(draw.sample(grid.cells, count), entries, shares, strict=True)
        ]
        backdrop = self.world.backdrop(draw, grid.width, grid.height)
        picture, things = drawn(self.world, style, spots, grid.width, grid.height, backdrop)
        if not clearly_larger(style, spots[0], spots[1], self.ratio):
            return None
        form = draw.below(2)
        names = tuple(draw.sample([entry.name for entry in entries[:2]], 2))
        return Item(self.ask(*names, form=form), entries[form].name, things, (picture,), names, style.name)
