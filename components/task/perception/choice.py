"""Which of these is it?"""

from __future__ import annotations

from vlmloom.components.task.base import Item, SceneTask, single
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.world import World
from vlmloom.registry import register


@register("task/choice")
class Choice(SceneTask):
    """Multiple choice: pick the name of the one thing in a picture.

    Args:
        world: what is shared by the tasks of a suite.
        options: how many names are offered.
    """

    name = "choice"
    held = False

    def __init__(self, *, world: World, options: int = 4) -> None:
        super().__init__(world=world)
        if not 2 <= options <= len(world.vocabulary):
            raise ValueError(f"task/choice: options is {options}, but may be 2 to {len(world.vocabulary)}")
        self.options = options

    def compose(self, draw: Draw, split: str) -> Item:
        """One thing, and its name among others."""
        style = self.world.style_of(split, draw)
        entries = draw.sample(style.entries, min(self.options, len(style.entries)))
        entry = draw.choice(entries)
        picture, thing = single(self.world, draw, style, entry)
        names = tuple(other.name for other in entries)
        question = f"{', '.join(names[:-1])} or {names[-1]}?"
        return Item(question, entry.name, (thing,), (picture,), names, style.name)
