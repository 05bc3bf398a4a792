"""Questions about one picture over several turns, each referring to what was said before."""

from __future__ import annotations

from typing import ClassVar

from vlmloom.components.contracts.sample import Episode, Observation, Reward, Sample
from vlmloom.components.task.base import Item, SceneTask, placed
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import Drawing
from vlmloom.components.task.forms import of_choices
from vlmloom.components.task.world import World
from vlmloom.registry import register

CORNERS = ("at the top left", "at the top right", "at the bottom left", "at the bottom right")
MOVES = {0: ((1, "right of"), (2, "below")), 1: ((0, "left of"), (3, "below")),
         2: ((3, "right of"), (0, "above")), 3: ((2, "left of"), (1, "above"))}  # fmt: skip
"""Corner -> the corners beside it, and how they are called from there."""


@register("task/multi_turn")
class MultiTurn(SceneTask):
    """Several turns about four coloured things: what is at the top left, its colour, what is below that.

    Every question but the first can be answered only by what the ones before were about; it is shown with
    all that was said before. The value is the share of turns that are right.

    Args:
        world: what is shared by the tasks of a suite.
        turns: how many questions.
    """

    name = "multi_turn"
    family: ClassVar[str] = "agentic"
    knob: ClassVar[str] = "turns"
    held = False

    def __init__(self, *, world: World, turns: int = 4) -> None:
        super().__init__(world=world)
        if not 2 <= turns <= 8:
            raise ValueError(f"task/multi_turn: turns is {turns}; 2 to 8 would be right")
        self.steps = turns

    def compose(self, draw: Draw, split: str) -> Item | None:
        """Four things in the corners and a walk among them."""
        style = self.world.style_of(split, draw)
        entries = draw.sample(style.entries, 4)
        hues = draw.sample(list(self.world.colours), 4)
        side, half = self.world.side, self.world.side // 2
        layers, things = [], []
        for corner, (entry, hue) in enumerate(zip(entries, hues, strict=True)):
            size = half - 4 - 4 * draw.below(2)
            x, y = corner % 2 * half + 2, corner // 2 * half + 2
            layer, thing = placed(
                style, entry, x, y, size, side, side, colour=hue, hue=self.world.colours[hue]
            )
            layers.append(layer)
            things.append(thing)
        picture = Drawing(side, side, self.world.backdrop(draw, side, side), (tuple(layers),))
        at = draw.below(4)
        turns = [(f"What is {CORNERS[at]}?", things[at].name)]
        asked = False
        for _ in range(self.steps - 1):
            if not asked and draw.chance(0.5):
                turns.append(("What colour is it?", things[at].colour))
                asked = True
            else:
                at, how = draw.choice(MOVES[at])
                turns.append((f"What is {how} that?", things[at].name))
                asked = False
        return Item(
            turns[0][0],
            turns[0][1],
            tuple(things),
            (picture,),
            source=style.name,
            truth={"turns": turns},
            content=repr(turns),
        )

    def scene_key(self, item: Item) -> str:
        """The same things may be asked about in another order."""
        return f"{super().scene_key(item)}:{item.content}"

    def open(self, split: str, index: int) -> Episode:
        """All turns."""
        return Dialogue(self, self.plan(split, index))


class Dialogue(Episode):
    """The turns of a sample, `truth["turns"]`, one answer each.

    Attributes:
        info: how many `turns` were answered, and the `answers`.
    """

    def __init__(self, task: MultiTurn, sample: Sample) -> None:
        self.task = task
        self.sample = sample
        self.turns: list[tuple[str, str]] = sample.truth["turns"]
        self.answers: list[str] = []

    @property
    def info(self) -> dict[str, object]:
        """See the class."""
        return {"turns": len(self.answers), "answers": list(self.answers)}

    def observe(self) -> Observation:
        """The picture, what was said, and the question."""
        said = [
            f"{question}\n{answer}\n" for (question, _), answer in zip(self.turns, self.answers, strict=False)
        ]
        return Observation([*self.sample.pictures, "".join(said) + ("" if self.done else self._question())])

    def _question(self) -> str:
        world, question = self.task.world, self.turns[len(self.answers)][0]
        names = world.colours if "colour" in question else [entry.name for entry in world.vocabulary]
        return f"{question} {of_choices(list(names), question)}"

    def act(self, response: str) -> None:
        """Answer the question of this turn."""
        if self.done:
            raise RuntimeError(f"task {self.sample.task}: this episode is done already")
        self.answers.append(response)

    @property
    def done(self) -> bool:
        """Whether every turn is answered."""
        return len(self.answers) == len(self.turns)

    def score(self) -> Reward:
        """The share of turns that are right."""
        if not self.done:
            return Reward(None, error="not done yet")
        parts: dict[str, float] = {}
        for number, ((question, gold), answer) in enumerate(zip(self.turns, self.answers, strict=True)):
            asked = Sample(self.sample.task, self.sample.split, number, [question], gold, self.sample.scene)
            found = self.task.check(asked, answer)
            if found.value is None:
                return found
            parts[f"turn {number + 1}"] = found.value
        value = sum(parts.values()) / len(parts)
        return Reward(value, parts, f"{sum(parts.values()):g} of {len(parts)} turns are right")

    def scripted(self) -> str | None:
        """The gold answer of this turn."""
        return None if self.done else self.turns[len(self.answers)][1]

    def guess(self, bits: int) -> str:
        """The gold answer of the same turn of another item."""
        turns = self.task.plan(self.sample.split, 1000 + bits % 1_000_000).truth["turns"]
        return "" if self.done else str(turns[len(self.answers)][1])
