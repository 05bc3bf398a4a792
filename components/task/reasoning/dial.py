"""What does the instrument show?"""

from __future__ import annotations

from math import cos, radians, sin
from typing import Any

from vlmloom.components.contracts.sources import FontSource
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import RGB
from vlmloom.components.task.sheet import Face, Sheet
from vlmloom.components.task.world import World
from vlmloom.registry import register

UNITS: dict[str, dict[str, tuple[int, ...]]] = {
    "gauge": {"bar": (1, 2, 5), "V": (1, 2, 5, 10), "km/h": (10, 20), "rpm": (100, 500), "psi": (5, 10, 20)},
    "ruler": {"cm": (1, 2), "mm": (10, 20), "inches": (1,)},
    "thermometer": {"\N{DEGREE SIGN}C": (5, 10), "\N{DEGREE SIGN}F": (10, 20), "K": (10, 50)},
}
"""Instrument -> unit -> what may lie between two figures."""
INK: RGB = (25, 25, 25)
RED: RGB = (200, 30, 30)
PAPERS: tuple[RGB, ...] = ((255, 255, 255), (246, 242, 228), (228, 236, 244))


@register("task/dial")
class Dial(ContentTask):
    """Read a gauge, a thermometer or a ruler; the value is on a mark, so there is one right answer.

    Args:
        world: what is shared by the tasks of a suite.
        fonts: of the figures; None is `source/page_fonts`.
        parts: marks from one figure to the next, at most; 2, 5 or 10.
    """

    name = "dial"
    family = "reasoning"
    knob = "parts"

    def __init__(self, *, world: World, fonts: FontSource | None = None, parts: int = 5) -> None:
        super().__init__(world=world, fonts=fonts)
        if parts not in (2, 5, 10):
            raise ValueError(f"task/dial: parts is {parts}; 2, 5 or 10 would be right")
        self.parts = parts

    def judge(self) -> dict[str, Any]:
        """The value, with its unit or without."""
        return {"use": "reward/number"}

    def compose(self, draw: Draw, split: str) -> Item:
        """A scale, and something that ends on one of its marks."""
        kind = draw.choice(list(UNITS))
        unit = draw.choice(list(UNITS[kind]))
        step = draw.choice(UNITS[kind][unit])
        parts = draw.choice([one for one in (2, 5, 10) if one <= self.parts])
        figures = draw.between(5, 8)
        low = step * (draw.between(-3, 0) if kind == "thermometer" and unit != "K" else 0)
        mark = draw.between(1, figures * parts - 1)
        answer = f"{low + step * mark / parts:.6g}"
        scale = [low + step * number for number in range(figures + 1)]
        sheet = {"gauge": _gauge, "ruler": _ruler, "thermometer": _thermometer}[kind](
            draw, self.face(draw, split), scale, parts, mark, unit
        )
        ask = {
            "gauge": "What value does the needle show",
            "ruler": "How long is the red bar",
            "thermometer": "What temperature does the thermometer show",
        }[kind]
        return Item(
            f"{ask}, in {unit}? Answer with the number.",
            answer,
            sheet.things(),
            (sheet.picture(),),
            source="instruments",
            truth={"unit": unit},
            content=f"{kind} {unit} {step} {parts} {figures} {low} {mark}",
        )


def _gauge(draw: Draw, face: Face, scale: list[int], parts: int, mark: int, unit: str) -> Sheet:
    side = draw.between(220, 280)
    sheet, radius, centre = (
        Sheet(side, side, draw.choice(PAPERS), smooth=2),
        side * 0.45,
        (side / 2, side / 2),
    )
    sheet.circle(centre, radius, (255, 255, 255), INK, 3)
    marks = (len(scale) - 1) * parts

    def at(length: float, number: int) -> tuple[float, float]:
        angle = radians(135 + 270 * number / marks)
        return centre[0] + radius * length * cos(angle), centre[1] + radius * length * sin(angle)

    # Under the figures, so that it hides none.
    sheet.line([at(-0.12, mark), at(0.92, mark)], RED, 2)
    sheet.circle(centre, 6, INK)
    for number in range(marks + 1):
        long = number % parts == 0
        sheet.line([at(0.85 if long else 0.9, number), at(0.97, number)], INK, 2 if long else 1)
        if long:
            sheet.text(at(0.7, number), str(scale[number // parts]), face, side // 18, INK, "mm", "figure")
    sheet.text((side / 2, side * 0.72), unit, face, side // 14, INK, "mm", "unit")
    return sheet


def _ruler(draw: Draw, face: Face, scale: list[int], parts: int, mark: int, unit: str) -> Sheet:
    unit_width = draw.between(46, 60)
    sheet = Sheet(unit_width * (len(scale) - 1) + 50, 130, draw.choice(PAPERS))
    step, left = unit_width / parts, 20
    sheet.box(left, 20, left + mark * step, 44, RED)
    sheet.box(8, 52, sheet.width - 8, 112, (240, 215, 140), INK)
    for number in range((len(scale) - 1) * parts + 1):
        long = number % parts == 0
        x = left + number * step
        sheet.line([(x, 52), (x, 74 if long else 64)], INK)
        if long:
            sheet.text((x, 78), str(scale[number // parts]), face, 14, INK, "ma", "figure")
    sheet.text((sheet.width - 14, 98), unit, face, 12, INK, "rm", "unit")
    return sheet


def _thermometer(draw: Draw, face: Face, scale: list[int], parts: int, mark: int, unit: str) -> Sheet:
    step_height = draw.between(30, 40)
    marks = (len(scale) - 1) * parts
    height = step_height * (len(scale) - 1)
    sheet = Sheet(draw.between(130, 180), height + 90, draw.choice(PAPERS), smooth=2)
    x, bottom = sheet.width // 2, height + 34
    sheet.box(x - 7, 20, x + 7, bottom + 16, (255, 255, 255), INK)
    sheet.circle((x, bottom + 26), 15, RED, INK)
    sheet.box(x - 4, bottom - height * mark / marks, x + 4, bottom + 20, RED)
    for number in range(marks + 1):
        long = number % parts == 0
        y = bottom - height * number / marks
        sheet.line([(x + 9, y), (x + (24 if long else 16), y)], INK)
        if long:
            sheet.text((x + 28, y), str(scale[number // parts]), face, 13, INK, "lm", "figure")
    sheet.text((x - 30, 26), unit, face, 15, INK, "mm", "unit")
    return sheet
