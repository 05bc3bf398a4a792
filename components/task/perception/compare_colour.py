"""Which has the same colour?"""

from __future__ import annotations

from typing import ClassVar

from vlmloom.components.task.base import Item
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.perception.asked import PerceptionTask
from vlmloom.components.task.scatter import drawn, hues, lattice, team
from vlmloom.components.task.world import World
from vlmloom.registry import register


@register("task/compare_colour")
class CompareColour(PerceptionTask):
    """Say which of some things has the colour of another; no two of the others share one.

    Args:
        world: what is shared by the tasks of a suite.
        options: how many are to choose from; more are harder.
        language: see `PerceptionTask`.
    """

    name = "compare_colour"
    held = False
    knob = "options"
    asks: ClassVar = {
        "en": "which has the same colour as the {2}: {0} or {1}?",
        "es": "¿cuál es del mismo color que ({2}): {0} o {1}?",
        "de": "was hat dieselbe Farbe wie „{2}“: {0} oder {1}?",
        "zh": "哪一个与{2}颜色相同：{0}还是{1}？",
    }

    def __init__(self, *, world: World, options: int = 3, language: str = "en") -> None:
        super().__init__(world=world, language=language)
        if not 2 <= options <= len(world.colours):
            raise ValueError(
                f"task/compare_colour: options is {options}; 2 to {len(world.colours)} (one a colour) "
                "would be right"
            )
        self.options = options

    def compose(self, draw: Draw, split: str) -> Item | None:
        """Two things of one colour, the others of others."""
        style = self.world.style_of(split, draw)
        entries = team(self.world, draw, style, self.options + 1)
        if entries is None:
            return None
        colours: list[str] = []
        for number, entry in enumerate(entries):
            free = hues(self.world, draw, entry, colours)
            # The second thing has the colour of the first.
            if number == 1:
                if self.world.held(colours[0], entry.name):
                    return None
                free = colours
            if not free:
                return None
            colours.append(free[0])
        grid = lattice(self.world, draw, self.options + 1)
        spots = [
            grid.spot(draw, at, entry, 0.7 + 0.1 * draw.below(4), colour)
            for at, entry, colour in zip(
                draw.sample(grid.cells, self.options + 1), entries, colours, strict=True
            )
        ]
        backdrop = self.world.backdrop(draw, grid.width, grid.height)
        picture, things = drawn(self.world, style, spots, grid.width, grid.height, backdrop)
        names = tuple(draw.sample([entry.name for entry in entries[1:]], self.options))
        question = self.either(names, entries[0].name)
        return Item(question, entries[1].name, things, (picture,), names, style.name)
