"""Find all of them."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from vlmloom.components.contracts.sample import Thing
from vlmloom.components.task.base import Item
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.perception.scattered import ScatteredTask
from vlmloom.components.task.scatter import drawn, lattice, team
from vlmloom.registry import register


@register("task/detect")
class Detect(ScatteredTask):
    """Find every thing of two names among others, as a JSON list of `{"label", "bbox_2d"}` in thousandths.

    Args:
        world: what is shared by the tasks of a suite.
        things: how many there are; more are harder.
        language: see `PerceptionTask`.
    """

    name = "detect"
    fewest = 3
    asks: ClassVar = {
        "en": 'find every {0} and every {1}: JSON [{{"label": ..., "bbox_2d": [x1,y1,x2,y2]}}, ...] '
        "in thousandths?",
        "es": "encuentra todos ({0}) y ({1}): "
        '¿JSON [{{"label": ..., "bbox_2d": [x1,y1,x2,y2]}}, ...] en milésimas?',
        "de": "finde jedes „{0}“ und jedes „{1}“: "
        'JSON [{{"label": ..., "bbox_2d": [x1,y1,x2,y2]}}, ...] in Tausendsteln?',
        "zh": "找出所有的{0}和{1}：以千分之一为单位的 "
        'JSON [{{"label": ..., "bbox_2d": [x1,y1,x2,y2]}}, ...]？',
    }

    def compose(self, draw: Draw, split: str) -> Item | None:
        """One or more of each of two names, and one or more of a third."""
        style = self.world.style_of(split, draw)
        entries = team(self.world, draw, style, 3)
        if entries is None:
            return None
        grid = lattice(self.world, draw, self.things)
        shown = [*entries, *(draw.choice(entries) for _ in range(self.things - 3))]
        spots = [
            grid.spot(draw, at, entry, 0.6 + 0.1 * draw.below(5))
            for at, entry in zip(draw.sample(grid.cells, self.things), shown, strict=True)
        ]
        backdrop = self.world.backdrop(draw, grid.width, grid.height)
        picture, things = drawn(self.world, style, spots, grid.width, grid.height, backdrop)
        names = [entry.name for entry in entries[:2]]
        answer = self.detections([thing for thing in things if thing.name in names])
        return Item(self.ask(*names), answer, things, (picture,), source=style.name)

    def detections(self, things: list[Thing]) -> str:
        """The list, from top to bottom and from left to right."""
        ordered = sorted(things, key=lambda thing: (thing.box[1], thing.box[0]))
        found = [{"label": self.word(thing.name), "bbox_2d": list(thing.box)} for thing in ordered]
        return json.dumps(found, ensure_ascii=False, separators=(",", ":"))

    def judge(self) -> dict[str, Any]:
        """Label by label, by the overlap of boxes."""
        return {"use": "reward/detections"}
