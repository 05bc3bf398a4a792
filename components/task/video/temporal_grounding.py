"""When is it there?"""

from __future__ import annotations

from typing import Any, ClassVar

from vlmloom.components.task.base import Item
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.scatter import team
from vlmloom.components.task.video.clip import ClipTask, Track, visible
from vlmloom.components.task.world import World
from vlmloom.registry import register


@register("task/temporal_grounding")
class TemporalGrounding(ClipTask):
    """Give the seconds of the first and the last frame that show a named thing, as `[start,end]`.

    It is there for an eighth to a third of the clip; the others come and go in their own time.

    Args:
        world: what is shared by the tasks of a suite.
        frames: of the clip; more are harder.
        rate: frames a second.
        others: how many other things come and go.
    """

    name = "temporal_grounding"
    knob: ClassVar[str] = "frames"
    fewest = 8

    def __init__(self, *, world: World, frames: int = 16, rate: int = 2, others: int = 2) -> None:
        super().__init__(world=world, frames=frames, rate=rate)
        if not 0 <= others <= 4:
            raise ValueError(f"task/temporal_grounding: others is {others}; 0 to 4 would be right")
        self.others = others

    def compose(self, draw: Draw, split: str) -> Item | None:
        """Things that are there for a part of the clip each."""
        style = self.world.style_of(split, draw)
        entries = team(self.world, draw, style, 1 + self.others)
        sizes = [self.world.side // 4 + draw.below(self.world.side // 16 + 1) for _ in range(1 + self.others)]
        places = self.apart(draw, sizes)
        if entries is None or places is None:
            return None
        spans = []
        for _ in entries:
            length = draw.between(max(self.frames // 8, 2), self.frames // 3)
            start = draw.below(self.frames - length + 1)
            spans.append((start, start + length))
        tracks = [
            Track(entry, size, visible(place, self.frames, *span), draw.chance(0.5))
            for entry, size, place, span in zip(entries, sizes, places, spans, strict=True)
        ]
        picture, things = self.filmed(draw, style, tracks)
        start, end = spans[0]
        answer = f"[{self.times[start]:g},{self.times[end - 1]:g}]"
        question = (
            f"when is the {entries[0].name} there: [start,end], the seconds of the first and the last frame "
            "that show it?"
        )
        return Item(question, answer, things, (picture,), source=style.name)

    def judge(self) -> dict[str, Any]:
        """By the overlap of the intervals."""
        return {"use": "reward/interval", "overlap": 0.5}
