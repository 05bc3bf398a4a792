"""How many are there that ...?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from vlmloom.components.task.base import Item
from vlmloom.components.task.corrupt import SIZES_STAY
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.perception.scattered import ScatteredTask
from vlmloom.components.task.scatter import Lattice, Spot, clearly_larger, drawn, hues, lattice, team
from vlmloom.components.task.world import Style
from vlmloom.registry import register

LEFT, RIGHT, ABOVE, BELOW, SMALLER, LARGER, COLOUR, NAMED = range(8)
SMALL, MIDDLE, LARGE = 0.5, 0.72, 1.0
RATIO = 1.25
TEAMS = 8
"""Things that are tried for a question about sizes, before another question is asked."""


@register("task/count_where")
class CountWhere(ScatteredTask):
    """Count the things that are on one side of a thing, smaller or larger than it, or of a colour.

    Every count from 0 to `things` is asked for equally. Nothing stands in the column (or row) of the thing
    that is measured from, and sizes differ by a quarter and more in length, in box and in visible pixels.

    Args:
        world: what is shared by the tasks of a suite.
        things: how many may be counted; more are harder.
        language: see `PerceptionTask`.
    """

    name = "count_where"
    corruptions = SIZES_STAY
    most = 8
    asks: ClassVar = {
        "en": (
            "how many things are left of the {0}?",
            "how many things are right of the {0}?",
            "how many things are above the {0}?",
            "how many things are below the {0}?",
            "how many things are smaller than the {0}?",
            "how many things are larger than the {0}?",
            "how many things are {0}?",
            "how many: {1} {0}?",
        ),
        "es": (
            "¿cuántas cosas hay a la izquierda de ({0})?",
            "¿cuántas cosas hay a la derecha de ({0})?",
            "¿cuántas cosas hay por encima de ({0})?",
            "¿cuántas cosas hay por debajo de ({0})?",
            "¿cuántas cosas son más pequeñas que ({0})?",
            "¿cuántas cosas son más grandes que ({0})?",
            "¿cuántas cosas son de color {0}?",
            "¿cuántos hay: {0} de color {1}?",
        ),
        "de": (
            "wie viele Dinge stehen links von „{0}“?",
            "wie viele Dinge stehen rechts von „{0}“?",
            "wie viele Dinge stehen über „{0}“?",
            "wie viele Dinge stehen unter „{0}“?",
            "wie viele Dinge sind kleiner als „{0}“?",
            "wie viele Dinge sind größer als „{0}“?",
            "wie viele Dinge sind {0}?",
            "wie viele: {0} in {1}?",
        ),
        "zh": (
            "{0}左边有几个东西？",
            "{0}右边有几个东西？",
            "{0}上方有几个东西？",
            "{0}下方有几个东西？",
            "有几个东西比{0}小？",
            "有几个东西比{0}大？",
            "有几个东西是{0}的？",
            "有几个{1}的{0}？",
        ),
    }

    def judge(self) -> dict[str, Any]:
        """The number, however it is written."""
        return {"use": "reward/number"}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """The count first, then a scene that has it."""
        style = self.world.style_of(split, draw)
        count, form = draw.below(self.things + 1), draw.below(8)
        if form <= BELOW:
            found = self._beside(draw, style, count, form)
        elif form <= LARGER:
            found = self._sized(draw, style, count, form)
        else:
            found = self._coloured(draw, style, count, form)
        if found is None:
            return None
        spots, grid, words = found
        backdrop = self.world.backdrop(draw, grid.width, grid.height)
        picture, things = drawn(self.world, style, spots, grid.width, grid.height, backdrop)
        choices = tuple(str(number) for number in range(self.things + 1))
        truth = {"form": form, "words": words}
        question = self.ask(*words, form=form)
        return Item(question, str(count), things, (picture,), choices, style.name, truth)

    def _beside(
        self, draw: Draw, style: Style, count: int, form: int
    ) -> tuple[list[Spot], Lattice, tuple[str, ...]] | None:
        """The anchor in a column (or row) of its own, so many things before it, the others behind it."""
        entries = team(self.world, draw, style, self.things + 1)
        if entries is None:
            return None
        grid = lattice(self.world, draw, 2 * self.things, 4)
        axis = 0 if form in (LEFT, RIGHT) else 1
        before = count if form in (LEFT, ABOVE) else self.things - count
        lines = (grid.columns, grid.rows)[axis]
        ends = []
        for line in range(lines):
            first = [at for at in grid.cells if at[axis] < line]
            last = [at for at in grid.cells if at[axis] > line]
            if len(first) >= before and len(last) >= self.things - before:
                ends.append((line, first, last))
        if not ends:
            return None
        line, first, last = draw.choice(ends)
        own = draw.choice([at for at in grid.cells if at[axis] == line])
        places = [own, *draw.sample(first, before), *draw.sample(last, self.things - before)]
        spots = [
            grid.spot(draw, at, entry, 0.75 + 0.25 * draw.below(2))
            for at, entry in zip(places, entries, strict=True)
        ]
        return spots, grid, (entries[0].name,)

    def _sized(
        self, draw: Draw, style: Style, count: int, form: int
    ) -> tuple[list[Spot], Lattice, tuple[str, ...]] | None:
        """The anchor of middle size, so many things smaller (or larger), the others the other way."""
        grid = lattice(self.world, draw, self.things + 1, 3)
        meets, other = (SMALL, LARGE) if form == SMALLER else (LARGE, SMALL)
        shares = [MIDDLE] + [meets] * count + [other] * (self.things - count)
        places = draw.sample(grid.cells, self.things + 1)
        # Many teams have a thing too thin or too full for its size: one is not enough.
        for _ in range(TEAMS):
            entries = team(self.world, draw, style, self.things + 1)
            if entries is None:
                continue
            spots = [
                grid.spot(draw, at, entry, share)
                for at, entry, share in zip(places, entries, shares, strict=True)
            ]
            if _sizes_are_clear(style, spots, count, form):
                return spots, grid, (entries[0].name,)
        return None

    def _coloured(
        self, draw: Draw, style: Style, count: int, form: int
    ) -> tuple[list[Spot], Lattice, tuple[str, ...]] | None:
        """So many things that meet it; the others miss the colour, or (where one is asked) the name."""
        colour = draw.choice(list(self.world.colours))
        entries = team(self.world, draw, style, 3, colour)
        if entries is None:
            return None
        asked, *others = entries
        grid = lattice(self.world, draw, self.things + 1)
        pairs = []
        for number in range(self.things):
            entry = draw.choice(entries) if form == COLOUR else asked
            if number < count:
                pairs.append((entry, colour))
                continue
            near = form == NAMED and draw.chance(0.5)
            if near:
                pairs.append((draw.choice(others), colour))
                continue
            free = hues(self.world, draw, entry, (colour,))
            if not free:
                return None
            pairs.append((entry, free[0]))
        spots = [
            grid.spot(draw, at, entry, 0.75 + 0.25 * draw.below(2), hue)
            for at, (entry, hue) in zip(draw.sample(grid.cells, self.things), pairs, strict=True)
        ]
        return spots, grid, (colour,) if form == COLOUR else (asked.name, colour)


def _sizes_are_clear(style: Style, spots: Sequence[Spot], count: int, form: int) -> bool:
    anchor, *others = spots
    meets, rest = others[:count], others[count:]
    smaller, larger = (meets, rest) if form == SMALLER else (rest, meets)
    return all(clearly_larger(style, anchor, one, RATIO) for one in smaller) and all(
        clearly_larger(style, one, anchor, RATIO) for one in larger
    )
