"""What was there for a single frame of a long clip?"""

from __future__ import annotations

from typing import ClassVar

from vlmloom.components.task.base import Item
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.scatter import team
from vlmloom.components.task.video.clip import ClipTask, Track, collide, straight, visible
from vlmloom.components.task.world import World
from vlmloom.registry import register

OPTIONS = 4


@register("task/needle")
class Needle(ClipTask):
    """Name the thing that is there in one frame of a long clip, in which another moves slowly.

    Of the four names that are offered one is the moving thing's and two are of things that never appear.

    Args:
        world: what is shared by the tasks of a suite.
        frames: of the clip; more are harder.
        rate: frames a second.
    """

    name = "needle"
    knob: ClassVar[str] = "frames"
    most = 256

    def __init__(self, *, world: World, frames: int = 32, rate: int = 2) -> None:
        super().__init__(world=world, frames=frames, rate=rate)

    def compose(self, draw: Draw, split: str) -> Item | None:
        """A thing that moves, and the needle where it is not."""
        style = self.world.style_of(split, draw)
        entries = team(self.world, draw, style, OPTIONS)
        if entries is None:
            return None
        size, other = self.size(draw), self.size(draw)
        at = draw.below(self.frames)
        needle = Track(entries[0], size, visible(self.somewhere(draw, size), self.frames, at, at + 1))
        way = straight(self.somewhere(draw, other), self.somewhere(draw, other), self.frames)
        moving = Track(entries[1], other, way, draw.chance(0.5))
        if collide(needle, moving):
            return None
        picture, things = self.filmed(draw, style, [moving, needle])
        names = tuple(draw.sample([entry.name for entry in entries], OPTIONS))
        question = f"what is there in one frame only: {', '.join(names[:-1])} or {names[-1]}?"
        return Item(question, entries[0].name, things, (picture,), names, style.name, {"frame": at})
