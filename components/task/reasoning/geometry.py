"""A figure with lengths and angles, one of which has to be worked out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import atan2, cos, degrees, hypot, pi, radians, sin, tan
from typing import Any

from vlmloom.components.contracts.sources import FontSource
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import RGB
from vlmloom.components.task.sheet import Face, Point, Sheet
from vlmloom.components.task.world import World
from vlmloom.registry import register

INK: RGB = (25, 25, 25)
SHADES: tuple[RGB, ...] = ((225, 235, 250), (250, 235, 215), (225, 245, 225), (255, 255, 255))
TRIPLES = ((3, 4, 5), (5, 12, 13), (8, 15, 17), (7, 24, 25), (20, 21, 29), (9, 40, 41), (12, 35, 37))
DEGREE = "\N{DEGREE SIGN}"

Figure = tuple[str, str, list[Point], list[str], list[str]]
"""Question, answer, corners, labels of the sides from each corner to the next, labels of the corners."""


@register("task/geometry")
class Geometry(ContentTask):
    """Work out a length, an angle, an area or a perimeter; the figure is drawn to its numbers.

    Args:
        world: what is shared by the tasks of a suite.
        fonts: of the labels; None is `source/page_fonts`.
        kinds: of figures, from 1 to 8: so many of the list, the easiest first.
    """

    name = "geometry"
    family = "reasoning"
    knob = "kinds"

    def __init__(self, *, world: World, fonts: FontSource | None = None, kinds: int = 8) -> None:
        super().__init__(world=world, fonts=fonts)
        if not 1 <= kinds <= len(KINDS):
            raise ValueError(f"task/geometry: kinds is {kinds}, but may be 1 to {len(KINDS)}")
        self.kinds = kinds

    def judge(self) -> dict[str, Any]:
        """The number, with its unit or without."""
        return {"use": "reward/number"}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """A figure, turned anyhow, as large as its picture lets it be."""
        question, answer, corners, sides, angles = draw.choice(KINDS[: self.kinds])(draw)
        turn = draw.between(0, 359) if split != "shift" else draw.choice((0, 90, 180, 270))
        sheet = drawn(draw, corners, sides, angles, turn, self.face(draw, split))
        if sheet is None:
            return None
        return Item(
            f"{question} Answer with the number.",
            answer,
            sheet.things(),
            (sheet.picture(),),
            source="figures",
            truth={"unit": DEGREE} if "degrees" in question else {},
            content=f"{question} {sides} {angles}",
        )


def drawn(
    draw: Draw, corners: list[Point], sides: Sequence[str], angles: Sequence[str], turn: int, face: Face
) -> Sheet | None:
    """A closed figure with its labels; None where two of them would touch."""
    turned = [_turned(corner, turn) for corner in corners]
    low = [min(point[axis] for point in turned) for axis in (0, 1)]
    high = [max(point[axis] for point in turned) for axis in (0, 1)]
    size, span, room = draw.between(13, 16), draw.between(150, 210), 48
    scale = span / max(high[0] - low[0], high[1] - low[1])
    points = [(room + (x - low[0]) * scale, room + (y - low[1]) * scale) for x, y in turned]
    width, height = (round((high[axis] - low[axis]) * scale) + 2 * room for axis in (0, 1))
    sheet = Sheet(width, height, smooth=2)
    sheet.polygon(points, draw.choice(SHADES))
    sheet.line([*points, points[0]], INK, 2)
    middle = (sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points))
    for one, other, label in zip(points, [*points[1:], points[0]], sides, strict=True):
        centre = ((one[0] + other[0]) / 2, (one[1] + other[1]) / 2)
        if label:
            # Outside, at a right angle to the side.
            across = (one[1] - other[1], other[0] - one[0])
            length = hypot(*across)
            sign = 1 if (centre[0] - middle[0]) * across[0] + (centre[1] - middle[1]) * across[1] > 0 else -1
            push = size * 0.6 + 0.5 * face.length(label, size) * abs(across[0]) / length
            at = (centre[0] + sign * push * across[0] / length, centre[1] + sign * push * across[1] / length)
            sheet.text(at, label, face, size, INK, "mm", "length")
    for number, (corner, label) in enumerate(zip(points, angles, strict=True)):
        if label:
            before, after = points[number - 1], points[(number + 1) % len(points)]
            _corner(sheet, corner, before, after, label, face, size)
    boxes = [box for _, box in sheet.written]
    for number, (x1, y1, x2, y2) in enumerate(boxes):
        if x1 < 2 or y1 < 2 or x2 > width - 2 or y2 > height - 2:
            return None
        if any(
            x1 < right + 3 and left < x2 + 3 and y1 < bottom + 3 and top < y2 + 3
            for left, top, right, bottom in boxes[:number]
        ):
            return None
    return sheet


def _corner(
    sheet: Sheet, corner: Point, before: Point, after: Point, label: str, face: Face, size: int
) -> None:
    """An arc (a square for a right angle) in a corner, and its label outside."""
    ways = []
    for end in (before, after):
        length = hypot(end[0] - corner[0], end[1] - corner[1])
        ways.append(((end[0] - corner[0]) / length, (end[1] - corner[1]) / length))
    (x1, y1), (x2, y2) = ways
    if label == "right":
        square = ((x1, y1), (x1 + x2, y1 + y2), (x2, y2))
        sheet.line([(corner[0] + 11 * x, corner[1] + 11 * y) for x, y in square], INK)
        return
    begin, stop = degrees(atan2(y1, x1)), degrees(atan2(y2, x2))
    if (stop - begin) % 360 > 180:
        begin, stop = stop, begin
    sheet.arc(corner, 16, begin, begin + (stop - begin) % 360, INK)
    away = hypot(x1 + x2, y1 + y2) or 1.0
    push = size * 0.8 + face.length(label, size) * 0.35
    at = (corner[0] - push * (x1 + x2) / away, corner[1] - push * (y1 + y2) / away)
    sheet.text(at, label, face, size, INK, "mm", "angle")


def _turned(point: Point, turn: float) -> Point:
    angle = turn * pi / 180
    return point[0] * cos(angle) - point[1] * sin(angle), point[0] * sin(angle) + point[1] * cos(angle)


def _rectangle(draw: Draw) -> Figure:
    wide, high = draw.between(4, 40), draw.between(4, 40)
    if max(wide, high) > 3 * min(wide, high):
        wide = high + draw.between(1, 4)
    corners: list[Point] = [(0, 0), (wide, 0), (wide, high), (0, high)]
    area = draw.chance(0.5)
    question = f"What is the {'area' if area else 'perimeter'} of the rectangle?"
    answer = wide * high if area else 2 * (wide + high)
    return question, str(answer), corners, [str(wide), str(high), "", ""], ["right"] * 4


def _third_angle(draw: Draw) -> Figure:
    one, other = draw.between(30, 90), draw.between(30, 60)
    return "What is the angle marked with ?, in degrees?", str(180 - one - other), *_triangle(one, other)


def _triangle(one: int, other: int) -> tuple[list[Point], list[str], list[str]]:
    """A triangle over a base of 1 by the angles at the base."""
    height = tan(radians(one)) * tan(radians(other)) / (tan(radians(one)) + tan(radians(other)))
    foot = height / tan(radians(one))
    return [(0, 0), (1, 0), (foot, -height)], ["", "", ""], [f"{one}{DEGREE}", f"{other}{DEGREE}", "?"]


def _isosceles(draw: Draw) -> Figure:
    base = draw.between(30, 75)
    corners, _, _ = _triangle(base, base)
    side = draw.between(3, 60)
    if draw.chance(0.5):
        asked, answer = ["", f"{base}{DEGREE}", "?"], 180 - 2 * base
    else:
        asked, answer = ["?", "", f"{180 - 2 * base}{DEGREE}"], base
    sides = ["", str(side), str(side)]
    return "What is the angle marked with ?, in degrees?", str(answer), corners, sides, asked


def _right_triangle(draw: Draw) -> Figure:
    triple, times = draw.choice(TRIPLES[:5]), draw.between(1, 6)
    one, other, longest = (times * side for side in triple)
    labels = [str(one), str(longest), str(other)]
    asked = draw.below(3)
    answer, labels[asked] = labels[asked], "?"
    corners: list[Point] = [(0, 0), (one, 0), (0, -other)]
    return "What is the length marked with ?", answer, corners, labels, ["right", "", ""]


def _triangle_area(draw: Draw) -> Figure:
    base, height = 2 * draw.between(3, 20), draw.between(5, 40)
    if max(base, height) > 3 * min(base, height):
        height = base // 2 + draw.between(0, 4)
    corners: list[Point] = [(0, 0), (base, 0), (0, -height)]
    answer = str(base * height // 2)
    return (
        "What is the area of the triangle?",
        answer,
        corners,
        [str(base), "", str(height)],
        ["right", "", ""],
    )


def _quadrilateral(draw: Draw) -> Figure:
    """Four angles, of which three are told: a trapezium between two parallel lines, cut slanted."""
    one, other = draw.between(55, 85), draw.between(55, 85)
    high = 0.6
    corners: list[Point] = [
        (0, 0),
        (1.4, 0),
        (1.4 - high / tan(radians(other)), -high),
        (high / tan(radians(one)), -high),
    ]
    angles = [one, other, 180 - other, 180 - one]
    labels = [f"{angle}{DEGREE}" for angle in angles]
    asked = draw.below(4)
    labels[asked] = "?"
    return "What is the angle marked with ?, in degrees?", str(angles[asked]), corners, [""] * 4, labels


def _parallelogram(draw: Draw) -> Figure:
    one, wide, side = draw.between(45, 80), draw.between(12, 40), draw.between(8, 24)
    if wide > 3 * side:
        wide = 2 * side
    lean, high = side * cos(radians(one)), side * sin(radians(one))
    corners: list[Point] = [(0, 0), (wide, 0), (wide + lean, -high), (lean, -high)]
    if draw.chance(0.5):
        question, answer = "What is the perimeter of the parallelogram?", 2 * (wide + side)
    else:
        question, answer = "How large is the larger angle of the parallelogram, in degrees?", 180 - one
    return question, str(answer), corners, [str(wide), str(side), "", ""], [f"{one}{DEGREE}", "", "", ""]


def _corner_shape(draw: Draw) -> Figure:
    """An L: a rectangle without the rectangle in its corner."""
    wide, high = draw.between(10, 24), draw.between(10, 24)
    less, lower = draw.between(4, wide - 4), draw.between(4, high - 4)
    corners: list[Point] = [(0, 0), (wide, 0), (wide, lower), (less, lower), (less, high), (0, high)]
    labels = [str(wide), str(lower), "", "", str(less), str(high)]
    area = draw.chance(0.5)
    answer = wide * lower + less * (high - lower) if area else 2 * (wide + high)
    question = f"All angles are right angles. What is the {'area' if area else 'perimeter'} of the figure?"
    return question, str(answer), corners, labels, [""] * 6


KINDS: tuple[Callable[[Draw], Figure], ...] = (
    _rectangle,
    _third_angle,
    _triangle_area,
    _right_triangle,
    _isosceles,
    _quadrilateral,
    _parallelogram,
    _corner_shape,
)
