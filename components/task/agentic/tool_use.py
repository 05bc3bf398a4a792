"""Questions that need a tool: reading small print, reckoning, asking a table, drawing boxes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from vlmloom.components.contracts.sample import Episode, Observation, Picture, Reward, Sample
from vlmloom.components.contracts.sources import Source, SourceMissing, TextSource
from vlmloom.components.sandbox.tools import TOOLS, BadCall, Bench, QueryOverran, read_call, spelled
from vlmloom.components.task.agentic.miniwob import Screen
from vlmloom.components.task.base import Item, cells, placed
from vlmloom.components.task.content import ContentTask, by_name
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import Drawing
from vlmloom.components.task.series import RowsOf
from vlmloom.components.task.sheet import Sheet
from vlmloom.components.task.world import World
from vlmloom.registry import register

KINDS = ("receipt", "table", "boxes")
QUESTION = (
    "{asked}\n<tools>\n{tools}\n</tools>\nCall one tool at a time, as <tool_call>NAME\n"
    "<arg_key>KEY</arg_key>\n<arg_value>VALUE</arg_value>\n</tool_call>, and end with the bare answer."
)


@register("task/tool_use")
class ToolUse(ContentTask):
    """Several steps with tools: read a receipt and add up, query a table, draw boxes round things.

    An answer without a call ends the episode. It is judged by its value and, where boxes were asked for, by
    the effect: the boxes that were drawn. Calls that do not fit their schema are told so and counted.

    Args:
        world: what is shared by the tasks of a suite.
        text: what stands on receipts; None is `source/faker`.
        lines: lines of a receipt, and things to find; more are harder.
        steps: the most calls and answers.
    """

    name = "tool_use"
    family: ClassVar[str] = "agentic"
    knob: ClassVar[str] = "lines"

    def __init__(
        self, *, world: World, text: TextSource | None = None, lines: int = 5, steps: int = 6
    ) -> None:
        super().__init__(world=world)
        if world.tables is None:
            raise SourceMissing("task/tool_use: the world has no tables; source/tables would be right")
        if not 3 <= lines <= 8:
            raise ValueError(f"task/tool_use: lines is {lines}; 3 to 8 would be right")
        self.text: TextSource = by_name(text, "source/faker")
        self.rows = RowsOf(world.tables)
        self.lines = lines
        self.steps = steps

    def sources(self) -> Sequence[Source]:
        """Fonts and texts."""
        return (*super().sources(), self.text)

    def compose(self, draw: Draw, split: str) -> Item | None:
        """One of the three kinds."""
        found = getattr(self, f"_{draw.choice(KINDS)}")(draw, split)
        if found is not None:
            tools = "\n".join(json.dumps({"name": name, **schema}) for name, schema in TOOLS.items())
            found.truth["asked"] = found.question
            found.question = QUESTION.format(asked=found.question, tools=tools)
            shown = sorted((thing.name, thing.text, thing.box) for thing in found.things)
            found.content = repr((found.truth["asked"], shown))
        return found

    def _receipt(self, draw: Draw, split: str) -> Item | None:
        face = self.face(draw, split)
        sheet = Sheet(160, 20 + 14 * self.lines)
        names = [self.text.write("word", draw.below(1 << 31)) for _ in range(self.lines)]
        if len(set(names)) < len(names):
            return None
        prices = [draw.between(100, 9999) for _ in names]
        for row, (name, price) in enumerate(zip(names, prices, strict=True)):
            sheet.text((8, 10 + 14 * row), name, face, 8)
            sheet.text((150, 10 + 14 * row), f"{price / 100:.2f}", face, 8, anchor="ra")
        one, other = draw.sample(range(self.lines), 2)
        things = sheet.things()
        written = [(thing.text, thing.box) for thing in things]
        total = f"{(prices[one] + prices[other]) / 100:.2f}"
        whole = [0, 0, 1000, 1000]
        calls = [
            ("read_text", {"box": whole}),
            ("calculate", {"expression": f"{prices[one] / 100:.2f} + {prices[other] / 100:.2f}"}),
        ]
        return Item(
            f"What do {names[one]} and {names[other]} cost together? Two decimals.",
            total,
            things,
            (sheet.picture(),),
            source="faker",
            truth={"writing": written, "calls": calls, "number": True},
        )

    def _table(self, draw: Draw, split: str) -> Item | None:
        tables = [parts for whole, parts in self.rows.tables(split) if len(whole.columns) >= 2]
        stretches = [one for one in draw.choice(tables) if len(one.columns) >= 2]
        if not stretches:
            return None
        table = draw.choice(stretches)
        key, other = draw.sample(list(table.columns), 2)
        rows = draw.sample(range(len(table.columns[key])), min(20, len(table.columns[key])))
        columns = {
            name: [float(f"{table.columns[column][row]:.4g}") for row in rows]
            for name, column in (("a", key), ("b", other))
        }
        limit = sorted(columns["b"])[len(rows) // 2]
        chosen = [a for a, b in zip(columns["a"], columns["b"], strict=True) if b > limit]
        if len(chosen) < 2:
            return None
        most = draw.chance(0.5)
        asked, sql = ("largest", "MAX") if most else ("smallest", "MIN")
        answer = max(chosen) if most else min(chosen)
        query = f"SELECT {sql}(a) FROM t WHERE b > {limit!r}"
        return Item(
            f"Table t has the columns a ({key}) and b ({other}). "
            f"What is the {asked} a where b is above {limit!r}?",
            repr(answer),
            source=f"tables/{table.name}",
            truth={"tables": {"t": columns}, "calls": [("query_table", {"sql": query})], "number": True},
        )

    def _boxes(self, draw: Draw, split: str) -> Item | None:
        style = self.world.style_of(split, draw) if self.world.shifted else self.world.style
        count = min(self.lines, 6)
        entries = draw.sample(style.entries, 3)
        wanted = draw.between(1, 3)
        shown = [entries[0]] * wanted + [draw.choice(entries[1:]) for _ in range(count - wanted)]
        width = height = self.world.side * 3 // 2
        places = cells(draw, width, height, self.world.side, count)
        drawn = [
            placed(style, entry, *place, width, height) for entry, place in zip(shown, places, strict=True)
        ]
        picture = Drawing(
            width, height, self.world.backdrop(draw, width, height), (tuple(layer for layer, _ in drawn),)
        )
        things = tuple(thing for _, thing in drawn)
        boxes = [list(thing.box) for thing in things[:wanted]]
        return Item(
            f"Draw a box round every {entries[0].name}, all in one call, and answer with how many there are.",
            str(wanted),
            things,
            (picture,),
            source=style.name,
            truth={"boxes": boxes, "calls": [("draw_boxes", {"boxes": boxes})], "number": True},
        )

    def judge(self) -> dict[str, Any]:
        """The number."""
        return {"use": "reward/number", "relative": 1e-6}

    def open(self, split: str, index: int) -> Episode:
        """The item as an episode of calls and one answer."""
        return ToolEpisode(self, self.plan(split, index))


class ToolEpisode(Episode):
    """Calls of tools until an answer without one.

    Attributes:
        info: `calls` that were made, those that were `refused` or `overran`, and the names
            of the tools `used`.
    """

    def __init__(self, task: ToolUse, sample: Sample) -> None:
        self.task = task
        self.sample = sample
        self.limit = task.steps
        self.info: dict[str, Any] = {"calls": 0, "refused": 0, "overran": 0, "used": []}
        self.answer: str | None = None
        self._said: list[str | Picture] = []
        self._taken = 0
        self._bench: Bench | None = None

    @property
    def bench(self) -> Bench:
        """What the tools work on; pictures are drawn on first use."""
        if self._bench is None:
            pictures, truth = self.sample.pictures, self.sample.truth
            pixels = pictures[0].render()[0] if pictures else None
            self._bench = Bench(pixels, truth.get("writing", ()), truth.get("tables", {}))
        return self._bench

    def observe(self) -> Observation:
        """The question and all that the tools have given back."""
        return Observation([*self.sample.prompt, *self._said])

    def act(self, response: str) -> None:
        """Call a tool, or answer."""
        if self.done:
            raise RuntimeError(f"task {self.sample.task}: this episode is done already")
        self._taken += 1
        if "<tool_call>" not in response:
            self.answer = response
            return
        self.info["calls"] += 1
        try:
            name, arguments = read_call(response[:10_000])
            found = self.bench.use(name, arguments)
            self.info["used"].append(name)
        except BadCall as error:
            self.info["refused"] += 1
            found = str(error)
        except QueryOverran as error:
            self.info["overran"] += 1
            found = str(error)
        self._said.append(response[:10_000])
        if isinstance(found, np.ndarray):
            self._said.append(Screen(found, f"{self.sample.scene.key}:{self._taken}"))
        else:
            self._said.append(f"<tool_response>{found[:4000]}</tool_response>")

    @property
    def done(self) -> bool:
        """Whether an answer was given, or no steps are left."""
        return self.answer is not None or self._taken >= self.limit

    def score(self) -> Reward:
        """Right answer times, where boxes were asked for, the share of boxes that were drawn and wanted."""
        if not self.done:
            return Reward(None, error="not done yet")
        judged = Reward(0.0) if self.answer is None else self.task.check(self.sample, self.answer)
        if judged.value is None:
            return judged
        right = judged.value
        parts = {"answer": right, "calls": float(self.info["calls"]), "refused": float(self.info["refused"])}
        value = right
        if "boxes" in self.sample.truth:
            parts["effect"] = drawn_right(self.bench.drawn, self.sample.truth["boxes"])
            value *= parts["effect"]
        return Reward(value, parts, f"answered {str(self.answer)[:60]!r}, right is {self.sample.answer!r}")

    def scripted(self) -> str | None:
        """The next call that leads there, then the answer."""
        calls = self.sample.truth["calls"]
        if self.done:
            return None
        return spelled(*calls[self._taken]) if self._taken < len(calls) else self.sample.answer

    def guess(self, bits: int) -> str:
        """A number from 0 to 9, or a look at a part of the picture."""
        x, y = bits % 900, bits // 900 % 900
        look = spelled("crop_image", {"box": [x, y, x + 100, y + 100]})
        return look if bits // 810_000 % 2 else str(bits % 10)


def drawn_right(drawn: Sequence[Sequence[int]], gold: Sequence[Sequence[int]]) -> float:
    """Boxes with an overlap above a half with one of their own, over the larger number of boxes.

    >>> drawn_right([[0, 0, 10, 10], [0, 0, 10, 10]], [[0, 0, 10, 9]])
    0.5
    """
    from vlmloom.components.contracts.boxes import intersection_over_union

    left = [tuple(box) for box in gold]
    hits = 0
    for box in drawn:
        best = max(left, key=lambda one: intersection_over_union(tuple(box), one), default=None)  # type: ignore[arg-type]
        if best is not None and intersection_over_union(tuple(box), best) > 0.5:  # type: ignore[arg-type]
            left.remove(best)
            hits += 1
    return hits / max(len(drawn), len(gold), 1)
