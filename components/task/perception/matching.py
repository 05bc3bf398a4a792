"""Does the text fit the picture?"""

from __future__ import annotations

from typing import ClassVar

from vlmloom.components.task.base import Item
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.perception.asked import PerceptionTask
from vlmloom.components.task.scatter import drawn, hues, lattice, team
from vlmloom.components.task.vocabulary import Entry
from vlmloom.components.task.world import World
from vlmloom.registry import register

WRONG = ("swapped colours", "swapped places", "another colour", "another thing")


@register("task/matching")
class Matching(PerceptionTask):
    """Say whether a caption of two things fits a picture.

    A wrong caption has the colours swapped, the places swapped, another colour, or another thing of the same
    kind where there is one. Swaps keep every word, so that a bag of words does not tell.

    Args:
        world: what is shared by the tasks of a suite.
        others: how many things there are beside the two; more are harder.
        language: see `PerceptionTask`.
    """

    name = "matching"
    held = False
    knob = "others"
    asks: ClassVar = {
        "en": (
            'does it fit the picture: "{1} {0} left of {3} {2}", yes or no?',
            'does it fit the picture: "{1} {0} above {3} {2}", yes or no?',
        ),
        "es": (
            "¿corresponde a la imagen «{0} de color {1} a la izquierda de {2} de color {3}», sí o no?",
            "¿corresponde a la imagen «{0} de color {1} encima de {2} de color {3}», sí o no?",
        ),
        "de": (
            "passt es zum Bild: „{0} in {1} links von {2} in {3}“, ja oder nein?",
            "passt es zum Bild: „{0} in {1} über {2} in {3}“, ja oder nein?",
        ),
        "zh": (
            "“{1}的{0}在{3}的{2}左边”符合图像吗，是还是否？",
            "“{1}的{0}在{3}的{2}上方”符合图像吗，是还是否？",
        ),
    }

    def __init__(self, *, world: World, others: int = 1, language: str = "en") -> None:
        super().__init__(world=world, language=language)
        if not 0 <= others <= 5:
            raise ValueError(f"task/matching: others is {others}; 0 to 5 would be right")
        self.others = others

    def compose(self, draw: Draw, split: str) -> Item | None:
        """Two coloured things in different columns and rows, others of no colour, and a caption."""
        style = self.world.style_of(split, draw)
        entries = team(self.world, draw, style, 2 + self.others)
        if entries is None:
            return None
        one, two = entries[:2]
        first = hues(self.world, draw, one)
        second = hues(self.world, draw, two, first[:1])
        if not first or not second:
            return None
        colours = [first[0], second[0]]
        form = draw.below(2)
        grid = lattice(self.world, draw, 4 + self.others)
        places = draw.sample(grid.cells, 2 + self.others)
        if places[0][form] >= places[1][form]:
            return None
        answer = draw.choice(("yes", "no"))
        wrong = "" if answer == "yes" else draw.choice(WRONG)
        told = self._told(draw, one, two, colours, wrong, {entry.name for entry in entries})
        if told is None:
            return None
        spots = [
            grid.spot(draw, at, entry, 0.7 + 0.1 * draw.below(4), colour)
            for at, entry, colour in zip(places, entries, colours + [""] * self.others, strict=True)
        ]
        backdrop = self.world.backdrop(draw, grid.width, grid.height)
        picture, things = drawn(self.world, style, spots, grid.width, grid.height, backdrop)
        truth = {"form": form, "told": told, "wrong": wrong}
        question = self.ask(*told, form=form)
        return Item(question, answer, things, (picture,), ("yes", "no"), style.name, truth)

    def _told(
        self, draw: Draw, one: Entry, two: Entry, colours: list[str], wrong: str, shown: set[str]
    ) -> tuple[str, str, str, str] | None:
        """Name and colour of both things as the caption has them; None where nothing wrong is to be had."""
        names = [one.name, two.name]
        if wrong == "swapped colours":
            colours = colours[::-1]
        elif wrong == "swapped places":
            names, colours = names[::-1], colours[::-1]
        elif wrong == "another colour":
            at = draw.below(2)
            free = [colour for colour in self.world.colours if colour not in colours]
            if not free:
                return None
            colours = [draw.choice(free) if number == at else colours[number] for number in (0, 1)]
        elif wrong == "another thing":
            at = draw.below(2)
            kind = (one, two)[at].category
            near = [
                entry.name
                for entry in self.world.vocabulary
                if entry.category == kind and entry.name not in shown
            ]
            if not near:
                return None
            names[at] = draw.choice(near)
        return names[0], colours[0], names[1], colours[1]
