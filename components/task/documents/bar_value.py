"""How high is that bar?"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from vlmloom.components.contracts.boxes import permille
from vlmloom.components.contracts.sample import Thing
from vlmloom.components.task.base import Item, SceneTask
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import Backdrop, Block, Drawing, Layer
from vlmloom.components.task.numbers import SmallNumbers
from vlmloom.components.task.world import World
from vlmloom.registry import register

TOP = 9


@register("task/bar_value")
class BarValue(SceneTask):
    """Read the value of a bar in a chart of a real table's numbers, from 1 to 9, with lines at 3, 6 and 9.

    The asked value is uniform over 1 to 9; a bar's height is its value, so the truth's boxes tell the answer.

    Args:
        world: what is shared by the tasks of a suite.
        fewest: bars in a chart.
        most: bars in a chart, each in its own colour.
    """

    name = "bar_value"
    family = "documents"
    held = False
    styled = False

    def __init__(self, *, world: World, fewest: int = 3, most: int = 4) -> None:
        super().__init__(world=world)
        if world.tables is None:
            raise ValueError(
                "task/bar_value: the suite has no tables; give it `tables: {use: source/tables}`"
            )
        if not 1 <= fewest <= most <= len(world.colours):
            raise ValueError(
                f"task/bar_value: {fewest} to {most} bars, but may be 1 to {len(world.colours)}, one a colour"
            )
        self.fewest = fewest
        self.most = most

    @cached_property
    def _numbers(self) -> SmallNumbers:
        assert self.world.tables is not None
        return SmallNumbers(self.world.tables, top=TOP)

    def judge(self) -> dict[str, Any]:
        """The number, exactly."""
        return {"use": "reward/number"}

    def form_of(self, item: Item) -> str:
        """The scale is part of it, since no numbers stand beside the lines."""
        return f"The lines stand at 3, 6 and 9. {super().form_of(item)}"

    def compose(self, draw: Draw, split: str) -> Item:
        """Neighbouring rows of one column as bars."""
        count = draw.between(self.fewest, self.most)
        values, asked, _, table = self._numbers.window(draw, count, 1)
        colours = draw.sample(list(self.world.colours), count)
        width, height = self.world.canvas(draw, wide=True)
        unit, base = height * 6 // 64, height - height // 16
        layers: list[Layer] = [
            Block(0, base - unit * value, width, base - unit * value + 1, (200, 200, 200))
            for value in (3, 6, 9)
        ]
        layers.append(Block(0, base, width, base + 1, (40, 40, 40)))
        things = []
        step = width // count
        thick = step - 2 - draw.below(step // 4 + 1)
        start = draw.below(width - step * count + step - thick + 1)
        for number, ((value,), colour) in enumerate(zip(values, colours, strict=True)):
            x = start + number * step
            edges = (x, base - unit * value, min(x + thick, width), base)
            layers.append(Block(*edges, self.world.colours[colour]))
            things.append(Thing("bar", "chart", permille(edges, width, height), colour))
        picture = Drawing(width, height, Backdrop((252, 252, 252)), (tuple(layers),))
        return Item(
            f"value of the {colours[asked]} bar?",
            str(values[asked][0]),
            tuple(things),
            (picture,),
            tuple(map(str, range(1, TOP + 1))),
            "tables",
            {"table": table},
        )


def bar_height(box: tuple[int, int, int, int]) -> int:
    """The value of a bar by its box: one unit is 6 parts of 64 of the picture's height."""
    return round((box[3] - box[1]) * 64 / 6000)
