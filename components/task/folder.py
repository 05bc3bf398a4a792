"""A user's own questions and captions as a task."""

from __future__ import annotations

from functools import cached_property

from vlmloom.components.contracts.sample import Episode, Sample, Scene
from vlmloom.components.contracts.sources import Example, ExampleSource
from vlmloom.components.contracts.task import Task
from vlmloom.components.task.base import OneStep
from vlmloom.components.task.draw import Draw, stable_hash
from vlmloom.components.task.world import World
from vlmloom.registry import register

SHARES = (("test", 15), ("validation", 30), ("train", 100))
"""Split and the percentile up to which an example falls into it."""


@register("task/folder")
class FolderTask(Task):
    """Questions about your own pictures, split by a digest of each: 70 % train, 15 % validation, 15 % test.

    Args:
        world: what is shared by the tasks of a suite; its seed orders the examples.
        examples: your folder, `{use: source/folder, folder: PATH}`.
    """

    name = "folder"
    written = True

    def __init__(self, *, world: World, examples: ExampleSource) -> None:
        self.world = world
        self.examples = examples

    @cached_property
    def _by_split(self) -> dict[str, list[Example]]:
        found: dict[str, list[Example]] = {split: [] for split in ("train", "validation", "test")}
        for example in self.examples.load():
            names = [getattr(picture, "path", "") for picture in example.pictures]
            # All questions about one picture fall into one split.
            point = stable_hash("folder", *(names or [example.question])) % 100
            found[next(split for split, edge in SHARES if point < edge)].append(example)
        return found

    def splits(self) -> list[str]:
        """The splits that got an example."""
        return [split for split, examples in self._by_split.items() if examples]

    def plan(self, split: str, index: int) -> Sample:
        """An example; each is met once in every round through the split, in another order each round."""
        examples = self._by_split.get(split, [])
        if not examples:
            raise ValueError(f"task {self.name} has no {split} split here; it has {', '.join(self.splits())}")
        if split == "train":
            turn, place = divmod(index, len(examples))
            order = Draw(self.world.seed, self.name, split, turn).sample(range(len(examples)), len(examples))
            example = examples[order[place]]
        else:
            example = examples[index % len(examples)]
        return Sample(
            task=self.name,
            split=split,
            index=index,
            prompt=[*example.pictures, example.question],
            answer=example.answer,
            scene=Scene(example.origin),
            caption=example.caption,
            captions=example.captions,
            source="folder",
        )

    def open(self, split: str, index: int) -> Episode:
        """The item as an episode of one step."""
        return OneStep(self, self.plan(split, index))
