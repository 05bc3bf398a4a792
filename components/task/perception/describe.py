"""Say what is there, shortly or in detail."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any, ClassVar

from vlmloom.components.contracts.sample import Thing
from vlmloom.components.task.base import Item
from vlmloom.components.task.corrupt import TONAL
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.perception.scattered import ScatteredTask
from vlmloom.components.task.scatter import drawn, hues, lattice, team
from vlmloom.components.task.world import World
from vlmloom.registry import register

SHORT, ROW, COLUMN = range(3)

COLOURED = {
    "en": ("{1} {0}", "{0} is {1}", "{0} in {1}"),
    "es": ("{0} de color {1}", "{0} {1}", "{0} es {1}"),
    "de": ("{0} in {1}", "{1} {0}", "{1}e {0}", "{1}er {0}", "{1}es {0}", "{1}en {0}", "{0} ist {1}"),
    "zh": ("{1}的{0}", "{1}{0}", "{0}是{1}"),
}
"""Wordings of a thing and its colour; the first is the one that the gold caption has."""

BESIDE = {
    "en": (
        ("{0} left of {1}", "{1} right of {0}"),
        ("{0} above {1}", "{0} over {1}", "{1} below {0}", "{1} under {0}"),
    ),
    "es": (
        ("{0} a la izquierda de {1}", "{1} a la derecha de {0}"),
        ("{0} encima de {1}", "{0} sobre {1}", "{1} debajo de {0}"),
    ),
    "de": (("{0} links von {1}", "{1} rechts von {0}"), ("{0} über {1}", "{1} unter {0}")),
    "zh": (
        ("{0}在{1}左边", "{0}在{1}的左边", "{0}在{3}的{1}左边", "{1}在{0}右边", "{1}在{2}的{0}右边"),
        ("{0}在{1}上方", "{0}在{1}的上方", "{0}在{3}的{1}上方", "{1}在{0}下方", "{1}在{2}的{0}下方"),
    ),
}
"""Wordings of two things beside each other, and one above the other; {2} and {3} are their colours."""


@register("task/describe")
class Describe(ScatteredTask):
    """Describe a picture of some coloured things in a row or a column, judged by what the caption mentions.

    A short caption has to name the things; a detailed one also says their colours and the order in which they
    stand. `truth["attributes"]` holds what has to be mentioned and `truth["absent"]` what is not so: all
    other colours and orders, and some other things.

    Args:
        world: what is shared by the tasks of a suite.
        things: how many there are; more are harder.
        language: see `PerceptionTask`.
    """

    name = "describe"
    most = 4
    corruptions = TONAL
    asks: ClassVar = {
        "en": (
            "what does the picture show: one short sentence that names every thing?",
            "describe the picture in detail: every thing, its colour, and what is left of what?",
            "describe the picture in detail: every thing, its colour, and what is above what?",
        ),
        "es": (
            "¿qué muestra la imagen: una frase corta que nombre cada cosa?",
            "describe la imagen en detalle: cada cosa, su color y qué está a la izquierda de qué",
            "describe la imagen en detalle: cada cosa, su color y qué está encima de qué",
        ),
        "de": (
            "was zeigt das Bild: ein kurzer Satz, der jedes Ding nennt?",
            "beschreibe das Bild genau: jedes Ding, seine Farbe, und was links von was steht",
            "beschreibe das Bild genau: jedes Ding, seine Farbe, und was über was steht",
        ),
        "zh": (
            "图中有什么：用一句短句说出每样东西？",
            "详细描述图像：每样东西、它的颜色，以及什么在什么左边",
            "详细描述图像：每样东西、它的颜色，以及什么在什么上方",
        ),
    }

    def __init__(self, *, world: World, things: int = 3, language: str = "en") -> None:
        super().__init__(world=world, things=things, language=language)

    def compose(self, draw: Draw, split: str) -> Item | None:
        """Things of different colours, one behind the other along one axis."""
        style = self.world.style_of(split, draw)
        form = SHORT if draw.chance(0.5) else draw.between(ROW, COLUMN)
        axis = draw.below(2) if form == SHORT else form - ROW
        entries = team(self.world, draw, style, self.things)
        if entries is None:
            return None
        grid = lattice(self.world, draw, self.things, 4)
        length, others = (grid.columns, grid.rows) if axis == 0 else (grid.rows, grid.columns)
        line = draw.below(others)
        steps = sorted(draw.sample(range(length), self.things))
        colours: list[str] = []
        for entry in entries:
            free = hues(self.world, draw, entry, colours)
            if not free:
                return None
            colours.append(free[0])
        places = [(step, line) if axis == 0 else (line, step) for step in steps]
        spots = [
            grid.spot(draw, at, entry, 0.75 + 0.05 * draw.below(6), colour)
            for at, entry, colour in zip(places, entries, colours, strict=True)
        ]
        backdrop = self.world.backdrop(draw, grid.width, grid.height)
        picture, things = drawn(self.world, style, spots, grid.width, grid.height, backdrop)
        attributes = self._attributes(things, form)
        answer = "; ".join(wordings[0] for wordings in attributes)
        truth = {"attributes": attributes, "absent": self._absent(draw, things, form)}
        return Item(self.ask(form=form), answer, things, (picture,), source=style.name, truth=truth)

    def _attributes(self, things: tuple[Thing, ...], form: int) -> list[list[str]]:
        """What has to be mentioned, each in all its wordings."""
        if form == SHORT:
            return [[self.word(thing.name)] for thing in things]
        told = [self._coloured(thing.name, thing.colour) for thing in things]
        return told + [self._beside(one, other, form) for one, other in pairwise(things)]

    def _absent(self, draw: Draw, things: tuple[Thing, ...], form: int) -> list[list[str]]:
        """What is not so, each in all wordings: some other things, all other colours, all other orders."""
        shown = {thing.name for thing in things}
        missing = [entry.name for entry in self.world.vocabulary if entry.name not in shown]
        absent = [self.word(name) for name in draw.sample(missing, min(6, len(missing)))]
        # A name that is a part of one that is there (an ear of corn's ear) would be found in it.
        there = " ".join(self.word(name) for name in sorted(shown))
        found = [[name] for name in absent if name not in there]
        for thing in things:
            others = (colour for colour in self.world.colours if colour != thing.colour)
            found += [self._coloured(thing.name, colour) for colour in others]
        if form == SHORT:
            return found
        across = ROW + COLUMN - form
        for one, other in combinations(things, 2):
            found.append(self._beside(other, one, form))
            found += [self._beside(one, other, across), self._beside(other, one, across)]
        return found

    def _coloured(self, name: str, colour: str) -> list[str]:
        return [form.format(self.word(name), self.word(colour)) for form in COLOURED[self.language]]

    def _beside(self, one: Thing, other: Thing, form: int) -> list[str]:
        words = [self.word(word) for word in (one.name, other.name, one.colour, other.colour)]
        return [wording.format(*words) for wording in BESIDE[self.language][form - ROW]]

    def judge(self) -> dict[str, Any]:
        """By what is mentioned."""
        return {"use": "reward/attributes"}
