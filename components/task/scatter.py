"""Many things in one picture: who may stand together, where there is room, and how it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vlmloom.components.contracts.sample import Thing
from vlmloom.components.task.base import placed
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import Backdrop, Drawing
from vlmloom.components.task.silhouette import covered
from vlmloom.components.task.vocabulary import Entry
from vlmloom.components.task.world import Style, World


class Spot(NamedTuple):
    """One thing at a place, in pixels; `colour` is empty where it has its own colours."""

    entry: Entry
    x: int
    y: int
    size: int
    colour: str = ""
    flip: bool = False


class Lattice(NamedTuple):
    """A picture cut into square cells; things in different columns or rows share no column or row of pixels.

    Attributes:
        width: of the picture in pixels.
        height: of the picture in pixels.
        cell: side of a cell in pixels.
    """

    width: int
    height: int
    cell: int

    @property
    def columns(self) -> int:
        """How many cells stand beside each other."""
        return self.width // self.cell

    @property
    def rows(self) -> int:
        """How many cells stand above each other."""
        return self.height // self.cell

    @property
    def cells(self) -> list[tuple[int, int]]:
        """Every (column, row)."""
        return [(column, row) for row in range(self.rows) for column in range(self.columns)]

    def spot(
        self, draw: Draw, at: tuple[int, int], entry: Entry, share: float, colour: str = "", turn: bool = True
    ) -> Spot:
        """A thing somewhere in a cell.

        Args:
            draw: where the chances come from.
            at: column and row.
            entry: what.
            share: its size in sides of a cell, at most 1.
            colour: its hue, or none.
            turn: whether it may be mirrored.
        """
        size = max(round(self.cell * share), 8)
        room = self.cell - size
        x, y = (at[0] * self.cell + draw.below(room + 1), at[1] * self.cell + draw.below(room + 1))
        return Spot(entry, x, y, size, colour, turn and draw.chance(0.5))


def lattice(world: World, draw: Draw, things: int, across: int = 0) -> Lattice:
    """A picture with room for so many things.

    Args:
        world: says how large pictures are.
        draw: where the chances come from.
        things: how many cells it has at least.
        across: cells along the shorter side; by default as few as hold the things twice.
    """
    width, height = world.canvas(draw)
    while not across or (width // (world.side // across)) * (height // (world.side // across)) < things:
        across = max(across + 1, 3 if things <= 5 else 4)
    return Lattice(width, height, world.side // across)


def team(world: World, draw: Draw, style: Style, count: int, colour: str = "") -> list[Entry] | None:
    """Different things, no two held out, nor any with the colour; None where chance led nowhere."""
    found: list[Entry] = []
    for entry in draw.sample(style.entries, min(len(style.entries), 6 * count)):
        words = [other.name for other in found] + ([colour] if colour else [])
        if not any(world.held(entry.name, word) for word in words):
            found.append(entry)
            if len(found) == count:
                return found
    return None


def hues(world: World, draw: Draw, entry: Entry, but: Sequence[str] = ()) -> list[str]:
    """The colours that a thing may have, in random order."""
    free = [colour for colour in world.colours if colour not in but and not world.held(colour, entry.name)]
    return draw.sample(free, len(free))


def drawn(
    world: World,
    style: Style,
    spots: Sequence[Spot],
    width: int,
    height: int,
    backdrop: Backdrop,
    frame: int = 0,
) -> tuple[Drawing, tuple[Thing, ...]]:
    """The picture of some spots, later ones in front, and the truth about it."""
    pairs = [
        placed(
            style,
            spot.entry,
            spot.x,
            spot.y,
            spot.size,
            width,
            height,
            colour=spot.colour,
            hue=world.colours[spot.colour] if spot.colour else None,
            flip=spot.flip,
            frame=frame,
        )
        for spot in spots
    ]
    picture = Drawing(width, height, backdrop, (tuple(layer for layer, _ in pairs),))
    return picture, tuple(thing for _, thing in pairs)


def clearly_larger(style: Style, one: Spot, other: Spot, ratio: float) -> bool:
    """Whether nobody would say otherwise: longer by a ratio, and larger by it in box and in pixels."""
    pairs = zip(_measures(style, one), _measures(style, other), strict=True)
    return all(more >= ratio * less for more, less in pairs)


def _measures(style: Style, spot: Spot) -> tuple[float, float, float]:
    """The longer side of its box, the area of its box, and the area that it covers, in pixels."""
    row = style.rows[spot.entry.name]
    left, top, right, bottom = style.sprites.extents[row]
    scale = spot.size / style.sprites.size
    width, height = (right - left) * scale, (bottom - top) * scale
    return max(width, height), width * height, covered(style.sprites, row) * spot.size**2
