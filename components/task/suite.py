"""Mixtures of tasks over one world."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

from vlmloom.components.contracts.kinds import Source, Task
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.contracts.sources import FontSource, PhotoSource, SpriteSource, TableSource
from vlmloom.components.contracts.suite import SPLITS, Suite
from vlmloom.components.task.documents.bar_value import BarValue
from vlmloom.components.task.documents.digit import Digit
from vlmloom.components.task.documents.read import Read
from vlmloom.components.task.documents.table_cell import TableCell
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.perception.box import BoxOf
from vlmloom.components.task.perception.category import Category
from vlmloom.components.task.perception.choice import Choice
from vlmloom.components.task.perception.colour import Colour
from vlmloom.components.task.perception.count import Count
from vlmloom.components.task.perception.name import Name
from vlmloom.components.task.perception.odd_one_out import OddOneOut
from vlmloom.components.task.perception.relation import Relation
from vlmloom.components.task.perception.which_image import WhichImage
from vlmloom.components.task.reasoning.arithmetic import Arithmetic
from vlmloom.components.task.video.order import Order
from vlmloom.components.task.world import World
from vlmloom.registry import register

NANO: dict[str, Callable[..., Task]] = {
    "name": Name,
    "category": Category,
    "choice": Choice,
    "count": Count,
    "relation": Relation,
    "box": BoxOf,
    "odd_one_out": OddOneOut,
    "colour": Colour,
    "read": Read,
    "digit": Digit,
    "bar_value": BarValue,
    "table_cell": TableCell,
    "which_image": WhichImage,
    "order": Order,
    "arithmetic": Arithmetic,
}


@register("suite/nano")
class Nano(Suite):
    """Small pictures, few things, short questions: what a nano model learns in minutes.

    Args:
        tasks: name -> task; None takes all of this suite. Each is built with `world=` of this suite.
        weights: name -> share in the mixture; 1 where it is not given.
        sprites: the cut-outs that are trained on; None is `source/openmoji`.
        shift: cut-outs in other styles; None is `source/noto_emoji` and `source/tuxpaint`, where installed.
        tables: None is `source/tables`.
        photos: None is `source/photos`.
        fonts: None is `source/fonts`.
        things: how many things are in use, at most 64.
        colours: how many colours are in use, at most 8.
        seed: another seed is another set of scenes.
        held_out: one pair in so many is shown in the compositional split only.
        photo_share: the share of scenes with a photograph as backdrop.
        square_share: the share of square pictures.
        side: the shorter side of a picture in pixels.
        items: how many different training items there are, met again in every round; None never repeats one.
    """

    def __init__(
        self,
        *,
        tasks: dict[str, Callable[..., Task]] | None = None,
        weights: dict[str, float] | None = None,
        sprites: SpriteSource | None = None,
        shift: Sequence[SpriteSource] | None = None,
        tables: TableSource | None = None,
        photos: PhotoSource | None = None,
        fonts: FontSource | None = None,
        things: int = 32,
        colours: int = 6,
        seed: int = 0,
        held_out: int = 8,
        photo_share: float = 0.1,
        square_share: float = 0.75,
        side: int = 64,
        items: int | None = None,
    ) -> None:
        if items is not None and items < 1:
            raise ValueError(f"suite/nano: items is {items}; 1 or more, or null, would be right")
        self.items = items
        self.world = World(
            sprites=_default(sprites, "source/openmoji"),
            shift=[_default(None, name) for name in ("source/noto_emoji", "source/tuxpaint")]
            if shift is None
            else shift,
            tables=_default(tables, "source/tables"),
            photos=_default(photos, "source/photos"),
            fonts=_default(fonts, "source/fonts"),
            things=things,
            colours=colours,
            seed=seed,
            held_out=held_out,
            photo_share=photo_share,
            square_share=square_share,
            side=side,
        )
        self.seed = seed
        self.tasks = {}
        for name, template in (NANO if tasks is None else tasks).items():
            task = template(world=self.world)
            task.name = name
            self.tasks[name] = task
        if not self.tasks:
            raise ValueError("suite/nano: tasks is empty; it needs at least one")
        self.weights = _weights(weights or {}, self.tasks)

    def splits(self) -> dict[str, list[str]]:
        """Split -> the tasks that have it here."""
        return {split: names for split, (names, _) in self._mixtures.items() if names}

    @cached_property
    def _mixtures(self) -> dict[str, tuple[list[str], list[float]]]:
        mixtures = {}
        for split in SPLITS:
            names = [name for name, task in self.tasks.items() if split in _splits(task)]
            mixtures[split] = (names, list(accumulate(self.weights[name] for name in names)))
        return mixtures

    def plan(self, split: str, index: int) -> Sample:
        """Item `index` of the mixture, its pictures not yet drawn.

        Raises:
            ValueError: there is no such split here.
        """
        if split == "train" and self.items is not None:
            index %= self.items
        names, edges = self._mixtures.get(split, ([], []))
        if not names:
            found = ", ".join(name for name, (tasks, _) in self._mixtures.items() if tasks)
            raise ValueError(f"suite/nano has no {split} split here; it has {found}")
        point = Draw(self.seed, "mixture", split, index).bits() / 2**64 * edges[-1]
        return self.tasks[names[min(bisect(edges, point), len(names) - 1)]].plan(split, index)

    def check(self, sample: Sample, response: str) -> Reward:
        """Judge an answer by the sample's own task."""
        return self.tasks[sample.task].check(sample, response)

    @cached_property
    def sources(self) -> dict[str, Source]:
        """Every source in use, by its registered name."""
        world = self.world
        found = [world.sprites, *world.shift, world.tables, world.photos, world.fonts]
        return {
            getattr(source, "registered_name", source.package): source
            for source in found
            if source is not None
        }

    def availability(self) -> dict[str, str]:
        """Source -> `ready`, or one line that says what to install."""
        return {name: source.available() or "ready" for name, source in self.sources.items()}

    def prepare(self) -> None:
        """Prepare every source that is installed; safe in several processes at once."""
        for source in self.sources.values():
            if source.available() is None:
                source.prepare()

    def words(self, language: str) -> dict[str, str]:
        """See `Suite.words`; what people wrote may be in any language, and no scene is then put in words."""
        if all(getattr(task, "written", False) for task in self.tasks.values()):
            return {}
        return self.world.words(language)

    def text_corpus(self, items: int) -> Iterator[str]:
        """Question, answer and caption of the first training items."""
        for index in range(items):
            sample = self.plan("train", index)
            yield from (part for part in sample.prompt if isinstance(part, str))
            yield sample.answer
            if sample.caption:
                yield sample.caption
            yield from sample.captions.values()


def _default(given: Any, name: str) -> Any:
    if given is not None:
        return given
    # Other kinds are reached by name: this kind imports none of them.
    from vlmloom.registry import build

    return build({"use": name})


def _splits(task: Task) -> Sequence[str]:
    """The splits that a task says it has; one that says nothing has the first three."""
    has = getattr(task, "splits", None)
    return SPLITS[:3] if has is None else has()


def _weights(given: Mapping[str, float], tasks: Mapping[str, Task]) -> dict[str, float]:
    for name, weight in given.items():
        if name not in tasks:
            raise ValueError(f"suite/nano: weights has {name!r}, but tasks are {', '.join(tasks)}")
        if not 0 <= weight < float("inf"):
            raise ValueError(f"suite/nano: weights.{name} is {weight}, but a share is 0 or more, and finite")
    weights = {name: float(given.get(name, 1.0)) for name in tasks}
    if not any(weights.values()):
        raise ValueError("suite/nano: all weights are 0; at least one task has to be drawn")
    return weights
