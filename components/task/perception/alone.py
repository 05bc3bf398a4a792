"""A perception task whose pictures hold one large thing."""

from __future__ import annotations

from typing import ClassVar

from vlmloom.components.task.perception.asked import PerceptionTask
from vlmloom.components.task.world import World

LARGEST = 56


class AloneTask(PerceptionTask):
    """One thing anywhere in a picture.

    Args:
        world: what is shared by the tasks of a suite.
        smallest: the least size of the thing, in 64ths of the picture's side, of at most 56; less is harder.
        language: see `PerceptionTask`.
    """

    knob: ClassVar[str] = "smallest"

    def __init__(self, *, world: World, smallest: int = 32, language: str = "en") -> None:
        super().__init__(world=world, language=language)
        if not 12 <= smallest <= LARGEST:
            raise ValueError(f"task/{self.name}: smallest is {smallest}; 12 to {LARGEST} would be right")
        self.sizes = (smallest, LARGEST)
