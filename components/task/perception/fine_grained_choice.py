"""Which of these near neighbours is it?"""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from vlmloom.components.task.base import Item, single
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.neighbours import NEIGHBOURS
from vlmloom.components.task.perception.asked import PerceptionTask
from vlmloom.components.task.vocabulary import Entry, written
from vlmloom.components.task.world import Style, World
from vlmloom.registry import register


@register("task/fine_grained_choice")
class FineGrainedChoice(PerceptionTask):
    """Multiple choice among near neighbours: a zebra among horses, deer and donkeys.

    The things are those of `NEIGHBOURS`, called as the source calls them; the world's `things` do not bind
    them. No name that is offered holds all words of another.

    Args:
        world: what is shared by the tasks of a suite.
        options: how many names are offered; more are harder.
        language: see `PerceptionTask`.
    """

    name = "fine_grained_choice"
    held = False
    knob = "options"
    asks: ClassVar = {
        "en": "which is it: {0} or {1}?",
        "es": "¿cuál es: {0} o {1}?",
        "de": "was ist es: {0} oder {1}?",
        "zh": "这是哪一个：{0}还是{1}？",
    }

    def __init__(self, *, world: World, options: int = 4, language: str = "en") -> None:
        super().__init__(world=world, language=language)
        fewest = min(map(len, NEIGHBOURS.values()))
        if not 2 <= options <= fewest:
            raise ValueError(
                f"task/fine_grained_choice: options is {options}; 2 to {fewest}, of which every group has as "
                "many, would be right"
            )
        self.options = options

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """All things, each with its group as its category."""
        sprites = self.world.sprites.load()
        names = dict(zip(sprites.codes, sprites.names, strict=True))
        return tuple(
            Entry(names[code], group, code)
            for group, codes in NEIGHBOURS.items()
            for code in codes
            if code in names
        )

    @cached_property
    def words(self) -> dict[str, str]:
        """The names of the source in the language."""
        if self.language == "en":
            return {}
        names = self.world.sprites.names(self.language)
        return {
            entry.name: written(names[entry.code], self.language)
            for entry in self.entries
            if entry.code in names
        }

    @cached_property
    def _looks(self) -> list[tuple[Style, dict[str, list[Entry]]]]:
        """Every style, with its things by group; a group too small to choose from is left out."""
        found = []
        for style in self.world.looks(self.entries):
            groups: dict[str, list[Entry]] = {}
            for entry in style.entries:
                groups.setdefault(entry.category, []).append(entry)
            groups = {group: entries for group, entries in groups.items() if len(entries) >= self.options}
            if groups:
                found.append((style, groups))
        if not found:
            raise ValueError(
                f"task/fine_grained_choice: source of {self.world.sprites.style} shows no group of "
                f"{self.options} near neighbours; source/openmoji would be right"
            )
        return found

    def compose(self, draw: Draw, split: str) -> Item | None:
        """One thing, large, and its name among those of its group."""
        styles = self._looks[1:] if split == "shift" else self._looks[:1]
        style, groups = draw.choice(styles)
        entries = draw.sample(draw.choice(list(groups.values())), self.options)
        words = [set(entry.name.split()) for entry in entries]
        if any(one <= other for one in words for other in words if one is not other):
            return None
        picture, thing = single(self.world, draw, style, entries[0], sizes=(40, 60))
        names = tuple(draw.sample([entry.name for entry in entries], self.options))
        return Item(self.either(names), entries[0].name, (thing,), (picture,), names, style.name)
