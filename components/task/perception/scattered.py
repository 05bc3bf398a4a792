"""A perception task whose pictures hold several things, each in a cell of its own."""

from __future__ import annotations

from typing import ClassVar

from vlmloom.components.task.perception.asked import PerceptionTask
from vlmloom.components.task.world import World


class ScatteredTask(PerceptionTask):
    """Several things that do not touch.

    No pair of these pictures is held out, and so there is no compositional split.

    Args:
        world: what is shared by the tasks of a suite.
        things: how many there are in a picture; more are harder.
        language: see `PerceptionTask`.
    """

    held = False
    knob: ClassVar[str] = "things"
    fewest: ClassVar[int] = 2
    most: ClassVar[int] = 9

    def __init__(self, *, world: World, things: int = 5, language: str = "en") -> None:
        super().__init__(world=world, language=language)
        if not self.fewest <= things <= self.most:
            raise ValueError(
                f"task/{self.name}: things is {things}, but a picture takes {self.fewest} to {self.most}"
            )
        self.things = things
