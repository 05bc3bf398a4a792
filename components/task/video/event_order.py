"""In which order do things happen?"""

from __future__ import annotations

from typing import Any, ClassVar

from vlmloom.components.task.base import Item
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.scatter import team
from vlmloom.components.task.video.clip import ClipTask, Track, visible
from vlmloom.components.task.world import World
from vlmloom.registry import register


@register("task/event_order")
class EventOrder(ClipTask):
    """Give the order in which things appear in a clip, as their names with commas between them.

    Each appears in a frame of its own, never in the first, and stays. One other thing is there throughout.

    Args:
        world: what is shared by the tasks of a suite.
        frames: of the clip.
        rate: frames a second.
        events: how many things appear; more are harder.
    """

    name = "event_order"
    knob: ClassVar[str] = "events"

    def __init__(self, *, world: World, frames: int = 10, rate: int = 2, events: int = 3) -> None:
        super().__init__(world=world, frames=frames, rate=rate)
        if not 2 <= events <= min(5, frames - 1):
            raise ValueError(
                f"task/event_order: events is {events}; 2 to {min(5, frames - 1)} would be right"
            )
        self.events = events

    def compose(self, draw: Draw, split: str) -> Item | None:
        """Things that appear one after another."""
        style = self.world.style_of(split, draw)
        entries = team(self.world, draw, style, self.events + 1)
        sizes = [self.world.side // 4 + draw.below(self.world.side // 16 + 1) for _ in range(self.events + 1)]
        places = self.apart(draw, sizes)
        if entries is None or places is None:
            return None
        starts = sorted(draw.sample(range(1, self.frames), self.events))
        tracks = [
            Track(entry, size, visible(place, self.frames, start, self.frames), draw.chance(0.5))
            for entry, size, place, start in zip(entries, sizes, places, [*starts, 0], strict=True)
        ]
        picture, things = self.filmed(draw, style, tracks)
        names = [entry.name for entry in entries[:-1]]
        listed = ", ".join(draw.sample(names, len(names)))
        question = f"in which order do they appear, with commas between: {listed}?"
        return Item(question, ", ".join(names), things, (picture,), source=style.name)

    def judge(self) -> dict[str, Any]:
        """The names in order, all of them."""
        return {"use": "reward/sequence", "whole": True}
