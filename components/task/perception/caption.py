"""What does it show?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from vlmloom.components.contracts.sample import Picture, Sample, Thing
from vlmloom.components.contracts.sources import Sprites, unseen
from vlmloom.components.task.base import Item, SceneTask, placed
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import Drawing
from vlmloom.components.task.perception.describe import BESIDE
from vlmloom.components.task.vocabulary import Entry
from vlmloom.components.task.world import Style, World
from vlmloom.registry import register

PHRASES = {
    "en": ("{0} left of {1}", "{0} above {1}"),
    "es": ("{0} a la izquierda de {1}", "{0} encima de {1}"),
    "de": ("{0} links von {1}", "{0} über {1}"),
    "zh": ("{0}在{1}左边", "{0}在{1}上面"),
}
"""Of two things, beside each other and one above the other."""


SIDED = re.compile(
    r"\b(left|right|leftwards|rightwards|clockwise|counterclockwise|back|forward|reverse|next|last|first|"
    r"quarter|waning|waxing|clock|thirty|button|keycap|input|latin|japanese|signs?|symbols?|marks?|arrows?|"
    r"flag|copyright|registered|hundred)\b"
)
"""What is another thing in the mirror: names with a side, and what is written or drawn as a sign."""


@register("task/caption")
class Caption(SceneTask):
    """One thing or two, out of all that the source of cut-outs has, with a caption in each of its languages.

    Where other tasks show the few things of the vocabulary, this one shows well over a thousand. One in ten
    (`unseen`) is kept from training and validation: items of the test split show those alone, so that nothing
    of them has been seen.

    Args:
        world: what the tasks of a suite share; its `things` do not bind this one.
        pairs: the share of pictures with two things.
        longest: the longer side of a picture at the most, in shorter sides.
    """

    name = "caption"
    held = False
    knob = "pairs"
    styled = False

    def __init__(self, *, world: World, pairs: float = 0.5, longest: float = 2.0) -> None:
        super().__init__(world=world)
        if not 0 <= pairs <= 1:
            raise ValueError(f"task/caption: pairs is {pairs}; a share from 0 to 1 would be right")
        if longest < 1:
            raise ValueError(f"task/caption: longest is {longest}; 1 or more would be right")
        self.pairs, self.longest = pairs, longest

    @cached_property
    def sprites(self) -> Sprites:
        """The cut-outs."""
        return self.world.sprites.load()

    @cached_property
    def _styles(self) -> dict[bool, Style]:
        """Things that are seen in training, and those that are not."""
        rows = {name: row for row, name in reversed(list(enumerate(self.sprites.names)))}
        entries = [Entry(name, "", self.sprites.codes[row]) for name, row in sorted(rows.items())]
        return {
            kept: Style(
                self.world.sprites.style,
                self.sprites,
                tuple(entry for entry in entries if unseen(entry.code) == kept),
                rows,
            )
            for kept in (False, True)
        }

    @cached_property
    def _names(self) -> dict[str, Mapping[str, str]]:
        source = self.world.sprites
        return {language: source.names(language) for language in source.languages if language in PHRASES}

    def form_of(self, item: Item) -> str:
        """The name of every thing that is shown, and which names there are."""
        return (
            "Answer with a short caption that gives every thing the full name of its emoji in Unicode, "
            "such as 'oncoming automobile', not 'car'."
        )

    def admits(self, split: str, item: Item) -> bool:
        """All items of a split are drawn from the things that it may show."""
        return True

    def compose(self, draw: Draw, split: str) -> Item:
        """One thing, or two well apart, on a picture of any aspect."""
        style = self._styles[split == "test"]
        width, height = self._canvas(draw)
        if draw.chance(self.pairs):
            beside = width > height or (width == height and draw.chance(0.5))
            entries = draw.sample(style.entries, 2)
            frames = (
                [(0, 0, width // 2, height), (width // 2, 0, width, height)]
                if beside
                else [(0, 0, width, height // 2), (0, height // 2, width, height)]
            )
        else:
            beside, entries, frames = False, [draw.choice(style.entries)], [(0, 0, width, height)]
        layers, things = [], []
        for entry, (left, top, right, bottom) in zip(entries, frames, strict=True):
            room = min(right - left, bottom - top)
            size = draw.between(room * 5 // 8, room)
            x = left + draw.below(right - left - size + 1)
            y = top + draw.below(bottom - top - size + 1)
            flip = draw.chance(0.5) and not SIDED.search(entry.name)
            layer, thing = placed(style, entry, x, y, size, width, height, flip=flip)
            layers.append(layer)
            things.append(thing)
        pictures: tuple[Picture, ...] = (
            Drawing(width, height, self.world.backdrop(draw, width, height), (tuple(layers),)),
        )
        said = self._said([entry.code for entry in entries], 0 if beside else 1, things)
        names = [thing.name for thing in things]
        truth = {"captions": said} | self._wordings(draw, style, names, 0 if beside else 1)
        return Item("what does it show?", said["en"], tuple(things), pictures, (), style.name, truth)

    def _wordings(self, draw: Draw, style: Style, names: list[str], form: int) -> dict[str, Any]:
        """What has to be mentioned, and some of what is not so."""
        attributes = [[name] for name in names]
        others = (entry.name for entry in draw.sample(style.entries, 12))
        absent = [other for other in others if not any(other in name for name in names)]
        if len(names) == 2:
            attributes.append([wording.format(*names) for wording in BESIDE["en"][form]])
            absent += [wording.format(*reversed(names)) for wording in BESIDE["en"][form]]
        return {"attributes": attributes, "absent": absent}

    def judge(self) -> dict[str, Any]:
        """By what is mentioned, in any wording."""
        return {"use": "reward/attributes"}

    def _canvas(self, draw: Draw) -> tuple[int, int]:
        side = self.world.side
        if draw.chance(self.world.square_share):
            return side, side
        longer = side + 8 * draw.below(round(side * (self.longest - 1)) // 8 + 1)
        return (longer, side) if draw.chance(0.5) else (side, longer)

    def _said(self, codes: list[str], form: int, things: list[Thing]) -> dict[str, Any]:
        """The caption in every language that names all of the things."""
        known = {language: [names.get(code) for code in codes] for language, names in self._names.items()}
        known["en"] = [thing.name for thing in things]
        return {
            language: told[0] if len(told) == 1 else PHRASES[language][form].format(*told)
            for language, told in known.items()
            if all(told)
        }

    def _sample(self, item: Item, split: str, index: int) -> Sample:
        sample = super()._sample(item, split, index)
        return replace(sample, caption=item.answer, captions=item.truth["captions"])
