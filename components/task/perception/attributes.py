"""What is one thing among others like?"""

from __future__ import annotations

from typing import ClassVar

from vlmloom.components.task.base import Item
from vlmloom.components.task.corrupt import SIZES_STAY
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.perception.scattered import ScatteredTask
from vlmloom.components.task.scatter import clearly_larger, drawn, hues, lattice, team
from vlmloom.registry import register

COLOUR, SIZE, PLACE = range(3)
CORNERS = ("top left", "top right", "bottom left", "bottom right")
RATIO = 1.4


@register("task/attributes")
class Attributes(ScatteredTask):
    """Say the colour, the size (large or small) or the corner of a named thing among others.

    All things are of one of two sizes, both of which occur; a thing whose corner is asked stands in it alone.

    Args:
        world: what is shared by the tasks of a suite.
        things: how many there are; more are harder.
        language: see `PerceptionTask`.
    """

    name = "attributes"
    corruptions = SIZES_STAY
    asks: ClassVar = {
        "en": (
            "what colour is the {2}: {0} or {1}?",
            "is the {2} large or small beside the others?",
            "in which corner is the {2}: {0} or {1}?",
        ),
        "es": (
            "¿de qué color es ({2}): {0} o {1}?",
            "¿({2}) es grande o pequeño al lado de los demás?",
            "¿en qué esquina está ({2}): {0} o {1}?",
        ),
        "de": (
            "welche Farbe hat „{2}“: {0} oder {1}?",
            "ist „{2}“ groß oder klein neben den anderen?",
            "in welcher Ecke steht „{2}“: {0} oder {1}?",
        ),
        "zh": ("{2}是什么颜色：{0}还是{1}？", "与其他东西相比，{2}是大还是小？", "{2}在哪个角：{0}还是{1}？"),
    }

    def compose(self, draw: Draw, split: str) -> Item | None:
        """The answer first, then the things."""
        style = self.world.style_of(split, draw)
        form = draw.below(3)
        choices = (tuple(self.world.colours), ("large", "small"), CORNERS)[form]
        answer = draw.choice(choices)
        entries = team(self.world, draw, style, self.things, answer if form == COLOUR else "")
        if entries is None:
            return None
        grid = lattice(self.world, draw, self.things, 3 if self.things <= 5 else 4)
        columns, rows = grid.columns - 1, grid.rows - 1
        corners = dict(zip(CORNERS, [(0, 0), (columns, 0), (0, rows), (columns, rows)], strict=True))
        own = corners[answer] if form == PLACE else draw.choice(grid.cells)
        places = [own, *draw.sample([at for at in grid.cells if at != own], self.things - 1)]
        # Of both sizes there is one at least; the thing that is asked for has the one that is asked for.
        large = answer == "large" if form == SIZE else draw.chance(0.5)
        sizes = [large, not large, *(draw.chance(0.5) for _ in entries[2:])]
        spots = []
        for number, (at, entry, big) in enumerate(zip(places, entries, sizes, strict=True)):
            free = hues(self.world, draw, entry, (answer,) if number else ())
            if not free:
                return None
            colour = answer if form == COLOUR and not number else free[0]
            spots.append(grid.spot(draw, at, entry, 1.0 if big else 0.52, colour))
        backdrop = self.world.backdrop(draw, grid.width, grid.height)
        picture, things = drawn(self.world, style, spots, grid.width, grid.height, backdrop)
        if form == SIZE:
            great = [spot for spot, big in zip(spots, sizes, strict=True) if big]
            little = [spot for spot, big in zip(spots, sizes, strict=True) if not big]
            if not all(clearly_larger(style, one, other, RATIO) for one in great for other in little):
                return None
        question = self.either(choices, entries[0].name, form=form)
        truth = {"form": form}
        return Item(question, answer, things, (picture,), choices, style.name, truth)
