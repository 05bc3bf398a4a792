"""Which way does it move?"""

from __future__ import annotations

from typing import ClassVar

from vlmloom.components.task.base import Item
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.scatter import team
from vlmloom.components.task.video.clip import ClipTask, Point, Track, collide, straight
from vlmloom.components.task.vocabulary import Entry
from vlmloom.components.task.world import World
from vlmloom.registry import register

STEPS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
WAYS = tuple(STEPS)


@register("task/motion_direction")
class MotionDirection(ClipTask):
    """Say which way a named thing moves: left, right, up or down; others move other ways, or stand still.

    Args:
        world: what is shared by the tasks of a suite.
        frames: of the clip.
        rate: frames a second.
        others: how many other things there are; more are harder.
    """

    name = "motion_direction"
    knob: ClassVar[str] = "others"

    def __init__(self, *, world: World, frames: int = 8, rate: int = 2, others: int = 2) -> None:
        super().__init__(world=world, frames=frames, rate=rate)
        if not 0 <= others <= 3:
            raise ValueError(f"task/motion_direction: others is {others}; 0 to 3 would be right")
        self.others = others

    def compose(self, draw: Draw, split: str) -> Item | None:
        """Things on straight tracks that do not meet; only the one that is asked for moves its way."""
        style = self.world.style_of(split, draw)
        entries = team(self.world, draw, style, 1 + self.others)
        if entries is None:
            return None
        answer = draw.choice(WAYS)
        rest = [way for way in (*WAYS, "") if way != answer]
        tracks: list[Track] = []
        for number, entry in enumerate(entries):
            for _ in range(20):
                track = self._track(draw, entry, answer if number == 0 else draw.choice(rest))
                if not any(collide(track, other) for other in tracks):
                    tracks.append(track)
                    break
            else:
                return None
        picture, things = self.filmed(draw, style, tracks)
        question = f"which way does the {entries[0].name} move: {', '.join(WAYS[:-1])} or {WAYS[-1]}?"
        return Item(question, answer, things, (picture,), WAYS, style.name)

    def _track(self, draw: Draw, entry: Entry, way: str) -> Track:
        size = self.size(draw)
        room = self.world.side - size
        x, y = draw.below(room + 1), draw.below(room + 1)
        if not way:
            return Track(entry, size, [(x, y)] * self.frames, draw.chance(0.5))
        reach = room // 2 + draw.below(room // 4 + 1)
        dx, dy = STEPS[way]
        start: Point = (x, y)
        if dx:
            start = (reach + draw.below(room - reach + 1) if dx < 0 else draw.below(room - reach + 1), y)
        else:
            start = (x, reach + draw.below(room - reach + 1) if dy < 0 else draw.below(room - reach + 1))
        end = (start[0] + dx * reach, start[1] + dy * reach)
        return Track(entry, size, straight(start, end, self.frames), draw.chance(0.5))
