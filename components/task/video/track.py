"""Where is it, second by second?"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from vlmloom.components.task.base import Item
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.scatter import team
from vlmloom.components.task.video.clip import ClipTask, Track, collide, straight
from vlmloom.components.task.world import World
from vlmloom.registry import register


@register("task/track")
class TrackTask(ClipTask):
    """Follow a named thing: a box for every second, as JSON `{"0": [{"label", "bbox_2d"}], "1": ...}`.

    Things move at a steady speed on straight tracks that do not meet.

    Args:
        world: what is shared by the tasks of a suite.
        frames: of the clip.
        rate: frames a second.
        others: how many other things move; more are harder.
    """

    name = "track"
    knob: ClassVar[str] = "others"

    def __init__(self, *, world: World, frames: int = 8, rate: int = 2, others: int = 1) -> None:
        super().__init__(world=world, frames=frames, rate=rate)
        if not 0 <= others <= 2:
            raise ValueError(f"task/track: others is {others}; 0 to 2 would be right")
        self.others = others

    def compose(self, draw: Draw, split: str) -> Item | None:
        """Things that move from one place to another."""
        style = self.world.style_of(split, draw)
        entries = team(self.world, draw, style, 1 + self.others)
        if entries is None:
            return None
        tracks: list[Track] = []
        for entry in entries:
            for _ in range(20):
                size = self.size(draw)
                start, end = self.somewhere(draw, size), self.somewhere(draw, size)
                track = Track(entry, size, straight(start, end, self.frames), draw.chance(0.5))
                far = max(abs(end[0] - start[0]), abs(end[1] - start[1])) >= self.world.side // 3
                if far and not any(collide(track, other) for other in tracks):
                    tracks.append(track)
                    break
            else:
                return None
        picture, things = self.filmed(draw, style, tracks)
        name = entries[0].name
        boxes = {
            str(thing.frame // self.rate): [{"label": name, "bbox_2d": list(thing.box)}]
            for thing in things
            if thing.name == name and thing.frame % self.rate == 0
        }
        question = (
            f'box of the {name} at each full second: JSON {{"0": [{{"label": ..., '
            '"bbox_2d": [x1,y1,x2,y2]}], "1": ...} in thousandths?'
        )
        answer = json.dumps(boxes, separators=(",", ":"))
        return Item(question, answer, things, (picture,), source=style.name)

    def judge(self) -> dict[str, Any]:
        """By the overlap of boxes, second by second."""
        return {"use": "reward/tracks"}
