"""Sums that are written in a picture."""

from __future__ import annotations

from typing import Any

from vlmloom.components.contracts.sources import FontSource
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import RGB
from vlmloom.components.task.sheet import Sheet
from vlmloom.components.task.world import World
from vlmloom.registry import register

BOARDS: tuple[tuple[RGB, RGB], ...] = (
    ((20, 20, 20), (255, 255, 255)),
    ((240, 240, 235), (30, 60, 50)),
    ((30, 40, 120), (248, 246, 232)),
)
"""Chalk and board, ink and paper."""
SIGNS = {"+": "+", "-": "\N{MINUS SIGN}", "*": "\N{MULTIPLICATION SIGN}"}


@register("task/picture_arithmetic")
class PictureArithmetic(ContentTask):
    """Work out what is written in the picture, in a row or one number below the other.

    Args:
        world: what is shared by the tasks of a suite.
        fonts: what it is written with; None is `source/page_fonts`.
        largest: the largest number in a sum, from 9.
        terms: the most numbers in a sum, from 2.
    """

    name = "picture_arithmetic"
    family = "reasoning"
    knob = "largest"

    def __init__(
        self, *, world: World, fonts: FontSource | None = None, largest: int = 99, terms: int = 3
    ) -> None:
        super().__init__(world=world, fonts=fonts)
        if largest < 9 or not 2 <= terms <= 6:
            raise ValueError(
                f"task/picture_arithmetic: largest is {largest} and terms {terms}; "
                "9 or more, and 2 to 6 would be right"
            )
        self.largest = largest
        self.terms = terms

    def judge(self) -> dict[str, Any]:
        """The number, however its minus is written."""
        return {"use": "reward/number"}

    def compose(self, draw: Draw, split: str) -> Item:
        """Numbers and signs; a product is of two numbers of which one has one digit."""
        count = draw.between(2, self.terms)
        numbers = [draw.between(1, self.largest) for _ in range(count)]
        signs = [draw.choice("+-") for _ in range(count - 1)]
        if count == 2 and draw.chance(0.3):
            signs, numbers[1] = ["*"], draw.between(2, 9)
        answer = numbers[0]
        for sign, number in zip(signs, numbers[1:], strict=True):
            answer = answer * number if sign == "*" else answer + number if sign == "+" else answer - number
        text = " ".join(
            f"{sign} {number}" for sign, number in zip(("", *signs), numbers, strict=True)
        ).strip()
        face, size, (ink, paper) = self.face(draw, split), draw.between(20, 34), draw.choice(BOARDS)
        if draw.chance(0.5):
            row = "".join(SIGNS.get(letter, letter) for letter in text) + " = ?"
            sheet = Sheet(face.length(row, size) + 40, size * 2 + draw.between(8, 40), paper)
            sheet.text((20, sheet.height // 2), row, face, size, ink, "lm")
        else:
            widest = max(face.length(str(number), size) for number in numbers) + size * 2
            sheet = Sheet(widest + 40, (count + 1) * size * 3 // 2 + 30, paper)
            for line, number in enumerate(numbers):
                y = 15 + line * size * 3 // 2
                sheet.text((widest + 20, y), str(number), face, size, ink, "ra")
                if line:
                    sheet.text((20, y), SIGNS[signs[line - 1]], face, size, ink)
            y = 15 + count * size * 3 // 2
            sheet.line([(16, y), (widest + 24, y)], ink, 2)
        return Item(
            "Work out what is written. Answer with the number.",
            str(answer),
            sheet.things(),
            (sheet.picture(),),
            source="sums",
            content=text,
        )
