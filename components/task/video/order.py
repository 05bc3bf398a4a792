"""In which order do things appear in a clip?"""

from __future__ import annotations

from dataclasses import replace

from vlmloom.components.task.base import Item, SceneTask, halves, pair, placed
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import Drawing
from vlmloom.components.task.world import World
from vlmloom.registry import register


@register("task/order")
class Order(SceneTask):
    """Say which of two things came first in a short clip: one is there from the start, the other joins it.

    Args:
        world: what is shared by the tasks of a suite.
        frames: of the clip.
        alone: frames in which the first thing is there by itself, None for half of them; fewer, and a longer
            clip, are harder.
    """

    name = "order"
    family = "video"
    knob = "alone"

    def __init__(self, *, world: World, frames: int = 4, alone: int | None = None) -> None:
        super().__init__(world=world)
        if not 2 <= frames <= 8:
            raise ValueError(f"task/order: frames is {frames}, but a clip has 2 to 8")
        self.frames = frames
        self.alone = frames // 2 if alone is None else alone
        if not 0 < self.alone < frames:
            raise ValueError(
                f"task/order: alone is {alone}; 1 to {frames - 1} of {frames} frames would be right"
            )

    def compose(self, draw: Draw, split: str) -> Item | None:
        """One thing, later joined by another."""
        style = self.world.style_of(split, draw)
        both = pair(self.world, draw, style, split)
        if both is None:
            return None
        width, height = self.world.side, self.world.side
        places = halves(draw, width, height, self.world.side, draw.chance(0.5))
        draw.shuffle(places)
        drawn = [
            placed(style, entry, *place, width, height, flip=draw.chance(0.5))
            for entry, place in zip(both, places, strict=True)
        ]
        layers, things = [], []
        for frame in range(self.frames):
            present = drawn[: 1 if frame < self.alone else 2]
            layers.append(tuple(layer for layer, _ in present))
            things += [replace(thing, frame=frame) for _, thing in present]
        picture = Drawing(width, height, self.world.backdrop(draw, width, height), tuple(layers))
        names = draw.sample([entry.name for entry in both], 2)
        question = f"which came first, {names[0]} or {names[1]}?"
        return Item(question, both[0].name, tuple(things), (picture,), tuple(names), style.name)
