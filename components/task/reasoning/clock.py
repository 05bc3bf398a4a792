"""What time is it?"""

from __future__ import annotations

from math import cos, pi, sin
from typing import Any

from vlmloom.components.contracts.sources import FontSource
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import RGB
from vlmloom.components.task.sheet import Point, Sheet
from vlmloom.components.task.world import World
from vlmloom.registry import register

ROMAN = ("XII", "I", "II", "III", "IIII", "V", "VI", "VII", "VIII", "IX", "X", "XI")
FACES: tuple[tuple[RGB, RGB], ...] = (
    ((20, 20, 20), (255, 255, 255)),
    ((60, 35, 20), (250, 240, 215)),
    ((235, 235, 235), (35, 40, 60)),
)
"""Hands and dial."""


@register("task/clock")
class Clock(ContentTask):
    """Tell the time from the hands of a clock; Roman figures in the shift split.

    Args:
        world: what is shared by the tasks of a suite.
        fonts: of the figures; None is `source/page_fonts`.
        step: minutes between the times that are shown, of which an hour is a multiple; 1 is the hardest.
    """

    name = "clock"
    family = "reasoning"
    knob = "step"

    def __init__(self, *, world: World, fonts: FontSource | None = None, step: int = 1) -> None:
        super().__init__(world=world, fonts=fonts)
        if step < 1 or 60 % step or step > 15:
            raise ValueError(f"task/clock: step is {step}; 1, 2, 3, 4, 5, 6, 10, 12 or 15 would be right")
        self.step = step

    def judge(self) -> dict[str, Any]:
        """The time, however its hour is written."""
        return {"use": "reward/clock_time"}

    def compose(self, draw: Draw, split: str) -> Item:
        """A clock anywhere on its wall; the hour hand stands where the minutes have moved it."""
        minutes = draw.below(720 // self.step) * self.step
        answer = f"{minutes // 60 or 12}:{minutes % 60:02d}"
        side, radius = draw.between(160, 256), draw.between(62, 74)
        hand, dial = draw.choice(FACES)
        wall = (draw.between(170, 235), draw.between(170, 235), draw.between(170, 235))
        sheet = Sheet(side, side, wall, smooth=2)
        x = draw.between(radius + 4, side - radius - 4)
        y = draw.between(radius + 4, side - radius - 4)
        sheet.circle((x, y), radius, dial, hand, 3)
        self._marks(draw, sheet, (x, y), radius, hand, split)
        for turn, length, width in ((minutes / 720, 0.52, 5), (minutes % 60 / 60, 0.92, 3)):
            tip = _at((x, y), radius * length, turn)
            sheet.line([_at((x, y), -radius * 0.1, turn), tip], hand, width)
        sheet.circle((x, y), 4, (190, 30, 30))
        return Item(
            "What time does the clock show? Answer as H:MM, on a clock of twelve hours.",
            answer,
            (),
            (sheet.picture(),),
            source="clock",
            content=answer,
        )

    def _marks(self, draw: Draw, sheet: Sheet, centre: Point, radius: float, ink: RGB, split: str) -> None:
        face, figures = self.face(draw, split), split == "shift" or draw.chance(0.7)
        for mark in range(60):
            inner = 0.88 if mark % 5 == 0 else 0.94
            ends = [_at(centre, radius * part, mark / 60) for part in (inner, 0.98)]
            sheet.line(ends, ink, 2 if mark % 5 == 0 else 1)
        for hour in range(12) if figures else ():
            figure = ROMAN[hour] if split == "shift" else str(hour or 12)
            sheet.text(
                _at(centre, radius * 0.75, hour / 12), figure, face, round(radius / 6), ink, "mm", "hour"
            )


def _at(centre: Point, length: float, turn: float) -> Point:
    """The place at a distance from the centre, after so many turns clockwise from the top."""
    angle = 2 * pi * turn
    return centre[0] + length * sin(angle), centre[1] - length * cos(angle)
