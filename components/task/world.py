"""What all tasks of a suite share: the sources, the things that may be shown, the splits, the backdrops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from vlmloom.components.contracts.sample import Thing
from vlmloom.components.contracts.sources import FontSource, PhotoSource, Sprites, SpriteSource, TableSource
from vlmloom.components.task.draw import Draw, stable_hash
from vlmloom.components.task.drawing import Backdrop
from vlmloom.components.task.vocabulary import (
    CATEGORIES,
    COLOURS,
    EVERYDAY,
    VOCABULARY,
    WORDS,
    Entry,
    written,
)

SPOILT = ("shift", "corrupt")
"""Splits of the test quarter's arrangements that look otherwise."""


@dataclass(frozen=True)
class Style:
    """The vocabulary in one drawing style.

    Attributes:
        name: of the style.
        sprites: the cut-outs.
        entries: the things that this style can show.
        rows: name -> row in `sprites`.
    """

    name: str
    sprites: Sprites
    entries: tuple[Entry, ...]
    rows: dict[str, int]


LARGEST = 4096
"""Pixels of the shorter side of a picture."""


class World:
    """The shared ground of tasks. Nothing is read before the first plan.

    Args:
        sprites: the cut-outs that train, validation, test and compositional are drawn with.
        shift: cut-outs in other styles, for the shift split; those that are not installed are left out.
        tables: real tables for charts and tables.
        photos: photographs for backdrops, and handwritten digits.
        fonts: fonts for writing.
        things: how many things of the vocabulary are in use.
        colours: how many colours are in use.
        seed: another seed is another world of the same kind.
        held_out: one pair in so many (thing and thing, colour and thing, word and thing) is shown in the
            compositional split only.
        photo_share: the share of scenes whose backdrop is a piece of a photograph.
        square_share: the share of pictures that are square; the others are half as wide or as high again.
        side: the shorter side of a picture in pixels.
        corrupt: whether visual perception has a corrupt split: items of the test quarter, spoilt.
        forms: whether every question says what form its answer has.
    """

    def __init__(
        self,
        *,
        sprites: SpriteSource,
        shift: Sequence[SpriteSource] = (),
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
        corrupt: bool = False,
        forms: bool = False,
    ) -> None:
        if not 4 <= things <= len(VOCABULARY):
            raise ValueError(f"things is {things}, but the vocabulary takes 4 to {len(VOCABULARY)}")
        if not 2 <= colours <= len(COLOURS):
            raise ValueError(f"colours is {colours}, but there are 2 to {len(COLOURS)}")
        if held_out < 2:
            raise ValueError(
                f"held_out is {held_out}, but at least every second pair has to be left for training"
            )
        if side % 16 or not 48 <= side <= LARGEST:
            raise ValueError(
                f"side is {side}, but pictures are 48 to {LARGEST} pixels wide, a multiple of 16"
            )
        for name, share in (("photo_share", photo_share), ("square_share", square_share)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} is {share}, but a share is 0 to 1")
        self.sprites = sprites
        self.shift = tuple(shift)
        self.tables = tables
        self.photos = photos
        self.fonts = fonts
        self.vocabulary = VOCABULARY[:things]
        self.colours = dict(list(COLOURS.items())[:colours])
        self.seed = seed
        self.held_out = held_out
        self.photo_share = photo_share
        self.square_share = square_share
        self.side = side
        self.corrupt = corrupt
        self.forms = forms

    @cached_property
    def style(self) -> Style:
        """The style that is trained on."""
        style = _style(self.sprites, self.vocabulary)
        missing = [entry.name for entry in self.vocabulary if entry.name not in style.rows]
        if missing:
            raise ValueError(f"source of {self.sprites.style}: has no picture of {', '.join(missing)}")
        return style

    @cached_property
    def shifted(self) -> tuple[Style, ...]:
        """The other styles that are installed and show at least 8 of the things."""
        return self.looks(self.vocabulary)[1:]

    def looks(self, vocabulary: Sequence[Entry]) -> tuple[Style, ...]:
        """A vocabulary in the style that is trained on and, behind it, in every other that shows 8 of it."""
        others = (_style(source, vocabulary) for source in self.shift if source.available() is None)
        return _style(self.sprites, vocabulary), *(style for style in others if len(style.entries) >= 8)

    def words(self, language: str) -> dict[str, str]:
        """See `Suite.words`: things are called as in the source, or by a plainer name (`EVERYDAY`)."""
        if language == "en":
            return {}
        known = [one for one in self.sprites.languages if one == "en" or one in WORDS]
        if language not in known:
            raise ValueError(
                f"captions in {language!r} are not known here; {' or '.join(known)} would be right"
            )
        names = self.sprites.names(language)
        found = {
            entry.name: written(names[entry.code], language)
            for entry in self.vocabulary
            if entry.code in names
        }
        return WORDS[language] | found | EVERYDAY[language]

    def style_of(self, split: str, draw: Draw) -> Style:
        """The style of one item of a split."""
        return draw.choice(self.shifted) if split == "shift" else self.style

    @cached_property
    def categories(self) -> tuple[str, ...]:
        """The categories that occur, in the order of the vocabulary."""
        return tuple(dict.fromkeys(entry.category for entry in self.vocabulary))

    def held(self, one: str, other: str) -> bool:
        """Whether two words are never shown together but in the compositional split."""
        pair = (one, other) if one < other else (other, one)
        known = self._held.get(pair)
        if known is None:
            known = self._held[pair] = stable_hash("held", *pair) % self.held_out == 0
        return known

    @cached_property
    def _held(self) -> dict[tuple[str, str], bool]:
        return {}

    def admits(self, split: str, things: Iterable[Thing]) -> bool:
        """Whether a scene belongs to a split: by its pairs, and by a digest of its arrangement.

        Train, validation and test hold disjoint halves and quarters of all arrangements without a held-out
        pair, shift and corrupt those of test in another style and spoilt; compositional holds arrangements
        with a held-out pair.
        """
        pairs = word_pairs(things)
        held = any(self.held(one, other) for one, other in pairs)
        if split == "compositional":
            return held
        if held:
            return False
        return belongs(arrangement(things), split)

    def backdrop(self, draw: Draw, width: int, height: int) -> Backdrop:
        """A light shade, or now and then a piece of a photograph."""
        shade = (draw.between(205, 255), draw.between(205, 255), draw.between(205, 255))
        if self.photos is None or not draw.chance(self.photo_share):
            return Backdrop(shade)
        name, photo = draw.choice(self._photos)
        x = draw.below(max(photo.shape[1] - width, 0) + 1)
        y = draw.below(max(photo.shape[0] - height, 0) + 1)
        return Backdrop(shade, photo, name, x, y)

    @cached_property
    def _photos(self) -> list[tuple[str, np.ndarray]]:
        assert self.photos is not None
        return list(self.photos.load().items())

    def canvas(self, draw: Draw, wide: bool = False) -> tuple[int, int]:
        """Width and height of a picture: square mostly, else half as long again in one direction."""
        if draw.chance(self.square_share):
            return self.side, self.side
        longer = self.side * 3 // 2
        return (longer, self.side) if wide or draw.chance(0.5) else (self.side, longer)


def _style(source: SpriteSource, vocabulary: Sequence[Entry]) -> Style:
    sprites = source.load()
    codes = {code: row for row, code in reversed(list(enumerate(sprites.codes)))}
    names = {name: row for row, name in reversed(list(enumerate(sprites.names)))}
    # The last word of a caption is what it is about: a red apple is an apple.
    heads = {name.rsplit(" ", 1)[-1]: row for name, row in names.items()}
    rows = {}
    for entry in vocabulary:
        row = codes.get(entry.code, names.get(entry.name, heads.get(entry.name)))
        if row is not None:
            rows[entry.name] = row
    entries = tuple(entry for entry in vocabulary if entry.name in rows)
    return Style(source.style, sprites, entries, rows)


def word_pairs(things: Iterable[Thing]) -> set[tuple[str, str]]:
    """The pairs of a scene that may be held out: two things, a thing and its colour, a thing and a word."""
    things = list(things)
    shown = [thing for thing in things if thing.category in CATEGORIES]
    names = sorted({thing.name for thing in shown})
    pairs = set(combinations(names, 2))
    pairs.update((thing.colour, thing.name) for thing in shown if thing.colour)
    pairs.update((thing.text, name) for thing in things if thing.name == "word" for name in names)
    return pairs


def arrangement(things: Iterable[Thing]) -> int:
    """A digest of what is where in a scene; drawing style and backdrop do not enter."""
    return stable_hash(*((thing.name, thing.box, thing.colour, thing.text, thing.frame) for thing in things))


def belongs(digest: int, split: str) -> bool:
    """Whether what has this digest is one of the split's."""
    return split_of(digest) == quarter(split)


def quarter(split: str) -> str:
    """The split whose contents a split has: what is spoilt is of the test quarter."""
    return "test" if split in SPOILT else split


def split_of(digest: int) -> str:
    """Which of train, validation and test a digest falls into: a half, a quarter, a quarter."""
    return ("train", "train", "validation", "test")[digest & 3]
