"""Where is the one that is meant?"""

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

COLOURED, LARGEST, SMALLEST, LEFTMOST, RIGHTMOST, TOPMOST, LOWEST, LEFT, RIGHT, ABOVE, BELOW = range(11)
RATIO = 1.3


@register("task/referring")
class Referring(ScatteredTask):
    """Give the box of the one thing that an expression means: by its colour, its size, or its place.

    There are two or three things of the name; one of them fits, by a clear margin.

    Args:
        world: what is shared by the tasks of a suite.
        things: how many there are, of the name and others; more are harder.
        language: see `PerceptionTask`.
    """

    name = "referring"
    corruptions = SIZES_STAY
    fewest = 3
    most = 8
    asks: ClassVar = {
        "en": (
            "box of the {1} {0}?",
            "box of the largest {0}?",
            "box of the smallest {0}?",
            "box of the leftmost {0}?",
            "box of the rightmost {0}?",
            "box of the topmost {0}?",
            "box of the lowest {0}?",
            "box of the {0} left of the {1}?",
            "box of the {0} right of the {1}?",
            "box of the {0} above the {1}?",
            "box of the {0} below the {1}?",
        ),
        "es": (
            "¿caja de ({0}) de color {1}?",
            "¿caja de ({0}), más grande que los demás?",
            "¿caja de ({0}), más pequeño que los demás?",
            "¿caja de ({0}), más a la izquierda?",
            "¿caja de ({0}), más a la derecha?",
            "¿caja de ({0}), más arriba?",
            "¿caja de ({0}), más abajo?",
            "¿caja de ({0}) a la izquierda de ({1})?",
            "¿caja de ({0}) a la derecha de ({1})?",
            "¿caja de ({0}) por encima de ({1})?",
            "¿caja de ({0}) por debajo de ({1})?",
        ),
        "de": (
            "Rahmen um „{0}“ in {1}?",
            "Rahmen um „{0}“, am größten?",
            "Rahmen um „{0}“, am kleinsten?",
            "Rahmen um „{0}“, ganz links?",
            "Rahmen um „{0}“, ganz rechts?",
            "Rahmen um „{0}“, ganz oben?",
            "Rahmen um „{0}“, ganz unten?",
            "Rahmen um „{0}“ links von „{1}“?",
            "Rahmen um „{0}“ rechts von „{1}“?",
            "Rahmen um „{0}“ über „{1}“?",
            "Rahmen um „{0}“ unter „{1}“?",
        ),
        "zh": (
            "{1}的{0}的边界框？",
            "最大的{0}的边界框？",
            "最小的{0}的边界框？",
            "最左边的{0}的边界框？",
            "最右边的{0}的边界框？",
            "最上面的{0}的边界框？",
            "最下面的{0}的边界框？",
            "{1}左边的{0}的边界框？",
            "{1}右边的{0}的边界框？",
            "{1}上方的{0}的边界框？",
            "{1}下方的{0}的边界框？",
        ),
    }

    def compose(self, draw: Draw, split: str) -> Item | None:
        """The one that is meant, others of its name that do not fit, and things of other names."""
        style = self.world.style_of(split, draw)
        form = draw.below(11)
        copies = 2 if self.things == 3 or form >= LEFT else draw.between(2, 3)
        entries = team(self.world, draw, style, 1 + self.things - copies)
        if entries is None:
            return None
        asked, *others = entries
        grid = lattice(self.world, draw, self.things + 3, 4)
        places = _places(draw, grid, form, copies, len(others))
        if places is None:
            return None
        colours, shares = [""] * self.things, [0.7 + 0.1 * draw.below(4) for _ in range(self.things)]
        if form == COLOURED:
            free = hues(self.world, draw, asked)
            if len(free) < 2:
                return None
            # A thing of another name may have the colour that is asked for.
            colours[:copies] = [free[0]] + [free[1]] * (copies - 1)
            for number, entry in enumerate(others, copies):
                colours[number] = hues(self.world, draw, entry)[0]
        if form in (LARGEST, SMALLEST):
            shares[:copies] = [1.0 if form == LARGEST else 0.6] + [0.6 if form == LARGEST else 1.0] * (
                copies - 1
            )
        spots = [
            grid.spot(draw, at, entry, share, colour)
            for at, entry, share, colour in zip(
                places, [asked] * copies + others, shares, colours, strict=True
            )
        ]
        backdrop = self.world.backdrop(draw, grid.width, grid.height)
        picture, things = drawn(self.world, style, spots, grid.width, grid.height, backdrop)
        if form in (LARGEST, SMALLEST) and not _clear(style, spots[:copies], form):
            return None
        second = colours[0] if form == COLOURED else others[0].name
        truth = {"form": form, "words": (asked.name, second)}
        answer = f"[{','.join(map(str, things[0].box))}]"
        question = self.ask(asked.name, second, form=form)
        return Item(question, answer, things, (picture,), source=style.name, truth=truth)

    def judge(self) -> dict[str, Any]:
        """By the overlap of the boxes."""
        return {"use": "reward/box", "overlap": 0.5}


def _places(draw: Draw, grid: Lattice, form: int, copies: int, others: int) -> list[tuple[int, int]] | None:
    """Cells of the one that is meant, of the others of its name, and of the things of other names."""
    cells = grid.cells
    if LEFTMOST <= form <= LOWEST:
        # In a column (or row) before, or behind, those of all others of the name.
        axis = 0 if form <= RIGHTMOST else 1
        sign = 1 if form in (LEFTMOST, TOPMOST) else -1
        own = draw.choice(cells)
        rest = [at for at in cells if sign * at[axis] > sign * own[axis]]
        if len(rest) < copies - 1:
            return None
        named = [own, *draw.sample(rest, copies - 1)]
    elif form >= LEFT:
        axis = 0 if form in (LEFT, RIGHT) else 1
        sign = 1 if form in (LEFT, ABOVE) else -1
        anchor = draw.choice(cells)
        fits = [at for at in cells if sign * at[axis] < sign * anchor[axis]]
        not_ = [at for at in cells if sign * at[axis] > sign * anchor[axis]]
        if not fits or len(not_) < copies - 1:
            return None
        named = [draw.choice(fits), *draw.sample(not_, copies - 1)]
        free = [at for at in cells if at not in (*named, anchor)]
        return [*named, anchor, *draw.sample(free, others - 1)]
    else:
        named = draw.sample(cells, copies)
    return [*named, *draw.sample([at for at in cells if at not in named], others)]


def _clear(style: Style, named: Sequence[Spot], form: int) -> bool:
    one, *rest = named
    if form == LARGEST:
        return all(clearly_larger(style, one, other, RATIO) for other in rest)
    return all(clearly_larger(style, other, one, RATIO) for other in rest)
