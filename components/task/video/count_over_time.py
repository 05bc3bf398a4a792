"""How often does it happen?"""

from __future__ import annotations

from typing import Any, ClassVar

from vlmloom.components.task.base import Item
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.scatter import team
from vlmloom.components.task.video.clip import ClipTask, Point, Track
from vlmloom.components.task.world import World
from vlmloom.registry import register


@register("task/count_over_time")
class CountOverTime(ClipTask):
    """Count how often a named thing appears in a clip, among the appearances of another.

    At most one is there at a time, for one to three frames; after it the picture is empty for a frame.

    Args:
        world: what is shared by the tasks of a suite.
        frames: of the clip.
        rate: frames a second.
        largest: the largest count; larger is harder.
    """

    name = "count_over_time"
    knob: ClassVar[str] = "largest"

    def __init__(self, *, world: World, frames: int = 16, rate: int = 2, largest: int = 5) -> None:
        super().__init__(world=world, frames=frames, rate=rate)
        if not 2 <= largest <= frames // 3:
            raise ValueError(
                f"task/count_over_time: largest is {largest}; 2 to {frames // 3} (one in three frames) "
                "would be right"
            )
        self.largest = largest

    def judge(self) -> dict[str, Any]:
        """The number, however it is written."""
        return {"use": "reward/number"}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """Appearances one after another, so many of the one that is asked for."""
        style = self.world.style_of(split, draw)
        entries = team(self.world, draw, style, 2)
        if entries is None:
            return None
        count = draw.between(1, self.largest)
        others = draw.below(self.frames // 3 - count + 1)
        shows = draw.sample([0] * count + [1] * others, count + others)
        lengths = [1] * len(shows)
        # What is left of the clip is shared out at random: to appearances, which last three frames at most,
        # and to the emptiness between them.
        gaps = [0] + [1] * (len(shows) - 1) + [0]
        for _ in range(self.frames - sum(lengths) - sum(gaps)):
            at = draw.below(len(shows))
            if draw.chance(0.5) and lengths[at] < 3:
                lengths[at] += 1
            else:
                gaps[draw.below(len(gaps))] += 1
        paths: list[list[Point | None]] = [[None] * self.frames, [None] * self.frames]
        sizes = [self.size(draw), self.size(draw)]
        frame = 0
        for gap, show, length in zip(gaps, shows, lengths, strict=False):
            frame += gap
            place = self.somewhere(draw, sizes[show])
            paths[show][frame : frame + length] = [place] * length
            frame += length
        tracks = [
            Track(entry, size, path, draw.chance(0.5))
            for entry, size, path in zip(entries, sizes, paths, strict=True)
        ]
        picture, things = self.filmed(draw, style, tracks)
        choices = tuple(str(number) for number in range(1, self.largest + 1))
        question = f"how often does the {entries[0].name} appear?"
        return Item(question, str(count), things, (picture,), choices, style.name)
