"""A chart, to be written as plotting code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from vlmloom.components.contracts.sources import Source, SourceMissing, Table
from vlmloom.components.sandbox.drawing import HEIGHT, WIDTH
from vlmloom.components.sandbox.figure import plotted
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.series import RowsOf
from vlmloom.components.task.sheet import Rendered
from vlmloom.components.task.world import World
from vlmloom.registry import register

COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "black", "teal", "crimson")
STYLES = ("ggplot", "dark_background", "bmh")
"""What charts of the shift split look like."""


@register("task/plot_to_code")
class PlotToCode(ContentTask):
    """Write the matplotlib code of a chart: bars, lines, points or a pie from columns of real tables.

    Judged by running it in the sandbox: its data, words, colours and picture. The shift split is drawn in
    other styles of matplotlib.

    Args:
        world: what is shared by the tasks of a suite; its tables are plotted.
        points: the most values of a series.
    """

    name = "plot_to_code"
    family: ClassVar[str] = "agentic"
    knob: ClassVar[str] = "points"

    def __init__(self, *, world: World, points: int = 6) -> None:
        super().__init__(world=world)
        if world.tables is None:
            raise SourceMissing("task/plot_to_code: the world has no tables; source/tables would be right")
        if not 3 <= points <= 20:
            raise ValueError(f"task/plot_to_code: points is {points}; 3 to 20 would be right")
        self.points = points
        self.rows = RowsOf(world.tables)

    def sources(self) -> Sequence[Source]:
        """None beside those of the world."""
        return ()

    def judge(self) -> dict[str, Any]:
        """Data, words, colours and picture."""
        return {"use": "reward/plot_code"}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """A chart at random; None where the values are all the same or cannot be read off."""
        tables = [parts for whole, parts in self.rows.tables(split) if parts and len(column(whole)) >= 3]
        table = draw.choice(draw.choice(tables))
        code = charted(draw, table, draw.between(3, self.points))
        if code is None:
            return None
        if split == "shift":
            styles = [style for style in STYLES if style != "dark_background" or "'black'" not in code]
            code = f"import matplotlib.pyplot as plt\nplt.style.use('{draw.choice(styles)}')\n" + code
        else:
            code = "import matplotlib.pyplot as plt\n" + code
        return Item(
            question=(
                "Write Python code with matplotlib that draws this chart, with its values, words and "
                "colours. Answer with the code alone."
            ),
            answer=code,
            pictures=(Rendered(picture, WIDTH, HEIGHT, code, slow="matplotlib"),),
            source=f"tables/{table.name}",
            content=code,
        )


def picture(width: int, height: int, code: str) -> np.ndarray:
    """The chart, uint8 `[height, width, 3]`."""
    return plotted(code).picture


def column(table: Table) -> np.ndarray:
    """The first column of a table."""
    return next(iter(table.columns.values()))


def charted(draw: Draw, table: Table, count: int) -> str | None:
    """The code of one chart, without its imports."""
    names = list(table.columns)
    name = draw.choice(names)
    values = spell(draw, table.columns[name], count)
    if values is None:
        return None
    kind = draw.choice(("bar", "barh", "plot", "scatter", "pie", "two"))
    colour = draw.choice(COLOURS)
    title, label = words(table.name), words(name)
    lines = [f"fig, ax = plt.subplots(figsize=({WIDTH / 80:g}, {HEIGHT / 80:g}))"]
    letters = [chr(ord("A") + place) for place in range(len(values))]
    if kind in ("bar", "barh"):
        lines.append(f"ax.{kind}({letters}, {values}, color='{colour}')")
        lines.append(f"ax.set_{'y' if kind == 'bar' else 'x'}label('{label}')")
    elif kind == "pie":
        if min(values) <= 0 or min(values) < sum(values) / 25:
            return None
        lines.append(f"ax.pie({values}, labels={letters})")
    elif kind == "scatter":
        across = spell(draw, table.columns[draw.choice(names)], count)
        if across is None or len(across) != len(values):
            return None
        lines += [f"ax.scatter({across}, {values}, color='{colour}')", f"ax.set_ylabel('{label}')"]
    else:
        label_words = f", label='{label}'" if kind == "two" else ""
        lines.append(f"ax.plot({values}, color='{colour}', marker='o'{label_words})")
        if kind == "two":
            second = draw.choice(names)
            other = spell(draw, table.columns[second], count)
            if second == name or other is None or not 0.1 < (np.ptp(other) / np.ptp(values)) < 10:
                return None
            rest = draw.choice([one for one in COLOURS if one != colour])
            lines += [f"ax.plot({other}, color='{rest}', marker='s', label='{words(second)}')", "ax.legend()"]
        lines.append("ax.set_xlabel('step')")
    lines.append(f"ax.set_title('{title}')")
    return "\n".join(lines) + "\n"


def spell(draw: Draw, values: np.ndarray, count: int) -> list[float] | None:
    """So many values that follow each other, to three digits; None where they are all the same."""
    if len(values) < count:
        return None
    start = draw.below(len(values) - count + 1)
    found = [float(f"{value:.3g}") for value in values[start : start + count]]
    span = max(found) - min(found)
    if span <= 0 or span < 0.02 * max(map(abs, found)):
        return None
    return [int(value) if value == int(value) else value for value in found]


def words(name: str) -> str:
    """A name of a table or column as words."""
    return "".join(letter if letter.isalnum() else " " for letter in name).strip()
