"""What the tasks share: planning by rejection into splits, and placing cut-outs."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from vlmloom.components.contracts.boxes import permille
from vlmloom.components.contracts.sample import (
    Episode,
    Observation,
    Picture,
    Reward,
    Sample,
    Scene,
    Thing,
    describe,
)
from vlmloom.components.contracts.suite import SPLITS
from vlmloom.components.contracts.task import Task
from vlmloom.components.task.corrupt import spoilt
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import RGB, Cutout, Drawing
from vlmloom.components.task.forms import of_choices
from vlmloom.components.task.vocabulary import Entry
from vlmloom.components.task.world import SPOILT, Style, World, arrangement

ATTEMPTS = 2000


@dataclass
class Item:
    """What a task composes: everything of a sample but its place in the splits.

    Attributes:
        content: what tells this item from another where that is not the arrangement of its things.
    """

    question: str
    answer: str
    things: tuple[Thing, ...] = ()
    pictures: tuple[Picture, ...] = ()
    choices: tuple[str, ...] = ()
    source: str = ""
    truth: dict[str, Any] = field(default_factory=dict)
    content: str = ""


class SceneTask(Task):
    """A task whose items are composed at random and kept where they belong to the split that is asked for.

    A subclass has `name` and `compose`; `family` groups it in reports, `held` says whether it has
    pairs that can be held out, `styled` whether its pictures come in other drawing styles, `corruptions`
    what may spoil its pictures and leaves its questions answerable.
    """

    name: str
    visual: bool = True
    family: ClassVar[str] = "perception"
    held: bool = True
    styled: ClassVar[bool] = True
    corruptions: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *, world: World) -> None:
        self.world = world

    @abstractmethod
    def compose(self, draw: Draw, split: str) -> Item | None:
        """One item at random; None where the draw led nowhere, and another is wanted."""

    def splits(self) -> list[str]:
        """The splits that this task has here."""
        absent = set()
        if not self.held:
            absent.add("compositional")
        if not self.styled or not self.world.shifted:
            absent.add("shift")
        if not self.corruptions or not self.world.corrupt:
            absent.add("corrupt")
        return [split for split in SPLITS if split not in absent]

    def plan(self, split: str, index: int) -> Sample:
        """The item, its pictures not yet drawn; a pure function of the world's seed, split and index.

        Raises:
            ValueError: there is no such split here.
        """
        if split not in SPLITS:
            raise ValueError(f"split {split!r} is unknown; splits are {', '.join(SPLITS)}")
        if split not in self.splits():
            raise ValueError(f"task {self.name} has no {split} split here; it has {', '.join(self.splits())}")
        draw = Draw(self.world.seed, self.stream, split, index)
        for _ in range(ATTEMPTS):
            item = self.compose(draw, split)
            if item is not None and self.admits(split, item):
                if split == "corrupt":
                    item = self._spoilt(item, draw, index)
                return self._sample(item, split, index)
        raise RuntimeError(
            f"task {self.name}: no scene of split {split} found in {ATTEMPTS} draws (index {index})"
        )

    @property
    def stream(self) -> str:
        """What the random draws of its items are named after."""
        return self.name

    def _spoilt(self, item: Item, draw: Draw, index: int) -> Item:
        kind = self.corruptions[index % len(self.corruptions)]
        pictures, strength = spoilt(
            item.pictures, item.things, kind, draw, self.world, item.choices, item.answer
        )
        truth = item.truth | {"corruption": kind, "strength": strength}
        return replace(item, pictures=pictures, truth=truth)

    def admits(self, split: str, item: Item) -> bool:
        """Whether an item belongs to a split."""
        return self.world.admits(split, item.things)

    def scene_key(self, item: Item) -> str:
        """The key of an item's scene."""
        return f"{item.source}:{arrangement(item.things):016x}"

    def form_of(self, item: Item) -> str:
        """What a model has to be told of the answer beside the question; the suite says whether it is."""
        return of_choices(item.choices, item.question)

    def _sample(self, item: Item, split: str, index: int) -> Sample:
        # The same arrangement in another style, or spoilt, is another scene.
        key = f"{split}:{self.scene_key(item)}" if split in SPOILT else self.scene_key(item)
        scene = Scene(key, item.things)
        form = self.form_of(item) if self.world.forms else ""
        return Sample(
            task=self.name,
            split=split,
            index=index,
            prompt=[*item.pictures, f"{item.question} {form}" if form else item.question],
            answer=item.answer,
            scene=scene,
            caption=describe(scene) if item.pictures else "",
            choices=item.choices,
            source=item.source,
            truth=item.truth,
        )

    def open(self, split: str, index: int) -> Episode:
        """The item as an episode of one step."""
        return OneStep(self, self.plan(split, index))


class OneStep(Episode):
    """A question and one answer."""

    def __init__(self, task: Task, sample: Sample) -> None:
        self.task = task
        self.sample = sample
        self.response: str | None = None

    def observe(self) -> Observation:
        """The question with its pictures."""
        return Observation(self.sample.prompt)

    def act(self, response: str) -> None:
        """Answer; once."""
        if self.response is not None:
            raise RuntimeError(f"task {self.sample.task}: this episode has been answered already")
        self.response = response

    @property
    def done(self) -> bool:
        """Whether it has been answered."""
        return self.response is not None

    def score(self) -> Reward:
        """How the answer was."""
        if self.response is None:
            return Reward(None, error="not answered yet")
        return self.task.check(self.sample, self.response)

    def scripted(self) -> str | None:
        """The gold answer."""
        return self.sample.answer


def placed(
    style: Style,
    entry: Entry,
    x: int,
    y: int,
    size: int,
    width: int,
    height: int,
    *,
    colour: str = "",
    hue: RGB | None = None,
    flip: bool = False,
    frame: int = 0,
) -> tuple[Cutout, Thing]:
    """A cut-out at a place, and the truth about it: the box of its visible pixels."""
    row = style.rows[entry.name]
    left, top, right, bottom = style.sprites.extents[row]
    if flip:
        left, right = style.sprites.size - right, style.sprites.size - left
    scale = size / style.sprites.size
    box = permille((x + left * scale, y + top * scale, x + right * scale, y + bottom * scale), width, height)
    layer = Cutout(style.sprites, style.name, row, x, y, size, hue, flip)
    return layer, Thing(entry.name, entry.category, box, colour, "", frame)


def single(
    world: World,
    draw: Draw,
    style: Style,
    entry: Entry,
    *,
    sizes: tuple[int, int] = (32, 56),
    colour: str = "",
    frame: int = 0,
) -> tuple[Drawing, Thing]:
    """A picture of one thing, large, anywhere."""
    width, height = world.canvas(draw)
    size = spread(draw, *sizes, world.side)
    x, y = draw.below(width - size + 1), draw.below(height - size + 1)
    hue = world.colours[colour] if colour else None
    layer, thing = placed(
        style, entry, x, y, size, width, height, colour=colour, hue=hue, flip=draw.chance(0.5), frame=frame
    )
    return Drawing(width, height, world.backdrop(draw, width, height), ((layer,),)), thing


def spread(draw: Draw, low: int, high: int, side: int) -> int:
    """A size in steps of 4 px between two sizes that are given for pictures of 64 px."""
    low, high = low * side // 64, high * side // 64
    return low + 4 * draw.below((high - low) // 4 + 1)


def cells(draw: Draw, width: int, height: int, side: int, count: int) -> list[tuple[int, int, int]]:
    """Places for `count` things that do not overlap: (x, y, size) within a grid of cells of half a side."""
    cell = side // 2
    grid = [(column * cell, row * cell) for row in range(height // cell) for column in range(width // cell)]
    places = []
    for x, y in draw.sample(grid, count):
        size = cell - 2 * draw.below(cell // 8 + 1)
        places.append((x + draw.below(cell - size + 1), y + draw.below(cell - size + 1), size))
    return places


def pair(world: World, draw: Draw, style: Style, split: str) -> tuple[Entry, Entry] | None:
    """Two different things that may be shown together in this split."""
    for _ in range(100):
        one, other = draw.sample(style.entries, 2)
        if world.held(one.name, other.name) == (split == "compositional"):
            return one, other
    return None


def halves(
    draw: Draw, width: int, height: int, side: int, upright: bool, smallest: int = 24
) -> list[tuple[int, int, int]]:
    """Two places (x, y, size) well apart: beside each other, or `upright` one above the other."""
    along, across = (height, width) if upright else (width, height)
    size = spread(draw, smallest, 28, side)
    near, far = draw.below(along // 2 - size + 1), along // 2 + draw.below(along - along // 2 - size + 1)
    middle = draw.below(across - size - side // 8 + 1)
    places = []
    for start in (near, far):
        offset = middle + draw.below(side // 8 + 1)
        places.append((offset, start, size) if upright else (start, offset, size))
    return places
