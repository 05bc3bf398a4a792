"""What suites share: tasks over one world, mixed in fixed proportions."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.contracts.sources import FontSource, PhotoSource, Source, SpriteSource, TableSource
from vlmloom.components.contracts.suite import SPLITS, Suite
from vlmloom.components.contracts.task import Task
from vlmloom.components.task.content import by_name
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.world import World


class Mixture(Suite):
    """Tasks over one world as one stream. A subclass has its registered name, its world and its tasks.

    Args:
        world: what the tasks share.
        tasks: by the name under which results are reported; at least one.
        weights: name -> share in the mixture; 1 where it is not given.
        items: how many different training items there are, met again in every round; None never repeats one.
        left_out: `task/NAME` -> why it is not among the tasks.
    """

    registered_name: str

    def __init__(
        self,
        world: World,
        tasks: dict[str, Task],
        weights: Mapping[str, float] | None = None,
        items: int | None = None,
        left_out: Mapping[str, str] | None = None,
    ) -> None:
        if items is not None and items < 1:
            raise ValueError(f"{self.registered_name}: items is {items}; 1 or more, or null, would be right")
        if not tasks:
            raise ValueError(f"{self.registered_name}: tasks is empty; it needs at least one")
        self.world, self.tasks, self.items = world, tasks, items
        self.left_out = dict(left_out or {})
        self.weights = self._weights(weights or {})

    def _weights(self, given: Mapping[str, float]) -> dict[str, float]:
        suite = self.registered_name
        for name, weight in given.items():
            if f"task/{name}" in self.left_out:
                continue
            if name not in self.tasks:
                raise ValueError(f"{suite}: weights has {name!r}, but tasks are {', '.join(self.tasks)}")
            if not 0 <= weight < float("inf"):
                raise ValueError(f"{suite}: weights.{name} is {weight}, but a share is 0 or more, and finite")
        weights = {name: float(given.get(name, 1.0)) for name in self.tasks}
        if not any(weights.values()):
            raise ValueError(f"{suite}: all weights are 0; at least one task has to be drawn")
        return weights

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
            raise ValueError(f"{self.registered_name} has no {split} split here; it has {found}")
        point = Draw(self.world.seed, "mixture", split, index).bits() / 2**64 * edges[-1]
        return self.tasks[names[min(bisect(edges, point), len(names) - 1)]].plan(split, index)

    def check(self, sample: Sample, response: str) -> Reward:
        """Judge an answer by the sample's own task."""
        return self.tasks[sample.task].check(sample, response)

    @cached_property
    def sources(self) -> dict[str, Source]:
        """Every source in use, by its registered name."""
        world = self.world
        found: list[Source | None] = [world.sprites, *world.shift, world.tables, world.photos, world.fonts]
        found += [source for task in self.tasks.values() for source in task.sources()]
        return {
            getattr(source, "registered_name", source.package): source
            for source in found
            if source is not None
        }

    def availability(self) -> dict[str, str]:
        """Source -> `ready`, or what to install; `task/NAME` -> what a task lacks that is left out."""
        return {name: source.available() or "ready" for name, source in self.sources.items()} | self.left_out

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


def world_of(
    *,
    sprites: SpriteSource | None = None,
    shift: Sequence[SpriteSource] | None = None,
    tables: TableSource | None = None,
    photos: PhotoSource | None = None,
    fonts: FontSource | None = None,
    drawn: int = 64,
    **settings: Any,
) -> World:
    """A world of the sources that are given, and of the usual ones in place of those that are not.

    The usual cut-outs are `drawn` at that many pixels.
    """
    return World(
        sprites=by_name(sprites, "source/openmoji", size=drawn),
        shift=[by_name(None, name) for name in ("source/noto_emoji", "source/tuxpaint")]
        if shift is None
        else shift,
        tables=by_name(tables, "source/tables"),
        photos=by_name(photos, "source/photos"),
        fonts=by_name(fonts, "source/fonts"),
        **settings,
    )


def _splits(task: Task) -> Sequence[str]:
    """The splits that a task says it has; one that says nothing has the first three."""
    has = getattr(task, "splits", None)
    return SPLITS[:3] if has is None else has()
