"""What the tasks on clips share: things on exact tracks, and when each frame was taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from vlmloom.components.contracts.sample import Thing
from vlmloom.components.task.base import SceneTask, placed
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import Drawing
from vlmloom.components.task.vocabulary import Entry
from vlmloom.components.task.world import Style, World

Point = tuple[int, int]


class Track(NamedTuple):
    """One thing over time.

    Attributes:
        entry: what.
        size: in pixels.
        places: where its upper left corner is in each frame; None while it is not there.
        flip: whether it is mirrored.
    """

    entry: Entry
    size: int
    places: Sequence[Point | None]
    flip: bool = False


class ClipTask(SceneTask):
    """A question about a clip of some frames at a steady rate.

    Args:
        world: what is shared by the tasks of a suite.
        frames: of the clip.
        rate: frames a second.
    """

    family = "video"
    held = False
    fewest: ClassVar[int] = 4
    most: ClassVar[int] = 64

    def __init__(self, *, world: World, frames: int = 12, rate: int = 2) -> None:
        super().__init__(world=world)
        if not self.fewest <= frames <= self.most:
            raise ValueError(
                f"task/{self.name}: frames is {frames}; {self.fewest} to {self.most} would be right"
            )
        if not 1 <= rate <= 30:
            raise ValueError(f"task/{self.name}: rate is {rate}; 1 to 30 frames a second would be right")
        self.frames, self.rate = frames, rate

    @property
    def times(self) -> tuple[float, ...]:
        """When each frame is taken, in seconds."""
        return tuple(frame / self.rate for frame in range(self.frames))

    def size(self, draw: Draw) -> int:
        """Of a thing, in pixels: a quarter to a third of the picture's side."""
        return self.world.side // 4 + draw.below(self.world.side // 12 + 1)

    def somewhere(self, draw: Draw, size: int) -> Point:
        """A place for a thing of a size."""
        return draw.below(self.world.side - size + 1), draw.below(self.world.side - size + 1)

    def apart(self, draw: Draw, sizes: Sequence[int], tries: int = 200) -> list[Point] | None:
        """Places at which things of these sizes do not overlap; None where chance led nowhere."""
        places: list[Point] = []
        for _ in range(tries):
            size = sizes[len(places)]
            x, y = self.somewhere(draw, size)
            if all(
                x + size <= left or left + other <= x or y + size <= top or top + other <= y
                for (left, top), other in zip(places, sizes, strict=False)
            ):
                places.append((x, y))
                if len(places) == len(sizes):
                    return places
        return None

    def filmed(self, draw: Draw, style: Style, tracks: Sequence[Track]) -> tuple[Drawing, tuple[Thing, ...]]:
        """The clip of some tracks, later ones in front, and the truth about every frame."""
        side = self.world.side
        layers, things = [], []
        for frame in range(self.frames):
            here = [
                placed(style, track.entry, *place, track.size, side, side, flip=track.flip, frame=frame)
                for track in tracks
                if (place := track.places[frame]) is not None
            ]
            layers.append(tuple(layer for layer, _ in here))
            things += [thing for _, thing in here]
        backdrop = self.world.backdrop(draw, side, side)
        return Drawing(side, side, backdrop, tuple(layers), self.times), tuple(things)


def straight(start: Point, end: Point, frames: int) -> list[Point]:
    """Places at a steady speed from one to another, both included.

    >>> straight((0, 0), (10, 4), 3)
    [(0, 0), (5, 2), (10, 4)]
    """
    steps = max(frames - 1, 1)
    return [
        (
            start[0] + (end[0] - start[0]) * frame // steps,
            start[1] + (end[1] - start[1]) * frame // steps,
        )
        for frame in range(frames)
    ]


def collide(one: Track, other: Track, share: float = 0.0) -> bool:
    """Whether two things come closer in some frame than a share of their overlap allows.

    Args:
        one: a track.
        other: another.
        share: how far, in sides of the smaller, they may reach into each other.
    """
    slack = share * min(one.size, other.size)
    for first, second in zip(one.places, other.places, strict=True):
        if first is None or second is None:
            continue
        across = min(first[0] + one.size, second[0] + other.size) - max(first[0], second[0])
        down = min(first[1] + one.size, second[1] + other.size) - max(first[1], second[1])
        if min(across, down) > slack:
            return True
    return False


def visible(place: Point, frames: int, start: int, end: int) -> list[Point | None]:
    """A thing that stands at a place from frame `start` up to, not including, `end`."""
    return [place if start <= frame < end else None for frame in range(frames)]
