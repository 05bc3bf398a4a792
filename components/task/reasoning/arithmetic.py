"""Sums in plain text."""

from __future__ import annotations

from typing import Any

from vlmloom.components.task.base import Item, SceneTask
from vlmloom.components.task.draw import Draw, stable_hash
from vlmloom.components.task.world import World, split_of
from vlmloom.registry import register

WORDINGS = {
    "+": ("{} + {} =", "{} plus {}?", "add {} and {}", "sum of {} and {}?"),
    "-": ("{} - {} =", "{} minus {}?", "{} take away {}?", "{} less {}?"),
}


@register("task/arithmetic")
class Arithmetic(SceneTask):
    """Add and subtract whole numbers, without a picture.

    Validation and test ask in wordings that these two numbers did not have in training.

    Args:
        world: what is shared by the tasks of a suite.
        largest: the largest number in a question.
        operations: `+`, `-` or both.
    """

    name = "arithmetic"
    family = "reasoning"
    knob = "largest"
    visual = False
    held = False
    styled = False

    def __init__(self, *, world: World, largest: int = 999, operations: str = "+-") -> None:
        super().__init__(world=world)
        if largest < 3:
            raise ValueError(f"task/arithmetic: largest is {largest}, but must be at least 3")
        if not operations or set(operations) - set(WORDINGS):
            raise ValueError(
                f"task/arithmetic: operations is {operations!r}, but may hold {' and '.join(WORDINGS)}"
            )
        self.largest = largest
        self.operations = operations

    def judge(self) -> dict[str, Any]:
        """The number, exactly."""
        return {"use": "reward/number"}

    def compose(self, draw: Draw, split: str) -> Item:
        """Two numbers and a wording; differences are not negative."""
        operation = draw.choice(self.operations)
        one, other = draw.between(0, self.largest), draw.between(0, self.largest)
        if operation == "-" and other > one:
            one, other = other, one
        question = draw.choice(WORDINGS[operation]).format(one, other)
        answer = one + other if operation == "+" else one - other
        return Item(question, str(answer), source="text")

    def admits(self, split: str, item: Item) -> bool:
        """By the whole question."""
        return split_of(stable_hash("arithmetic", item.question)) == split

    def scene_key(self, item: Item) -> str:
        """The question is the scene."""
        return f"text:{item.question}"
