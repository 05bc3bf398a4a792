"""What sources hand out, by material: cut-outs with names, tables, photographs, digits, fonts, examples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from vlmloom.components.contracts.sample import Picture
from vlmloom.registry.errors import UserError


class SourceMissing(UserError):
    """A source cannot be used here; the message says what to install."""


class Source(ABC):
    """Real material with its provenance: pictures, tables, text.

    Attributes:
        package: where it comes from.
        licence: under which licence.
    """

    package: str
    licence: str

    @abstractmethod
    def prepare(self) -> None:
        """Make the cached form once: checked by checksum, safe when two start at once or one is killed."""

    @abstractmethod
    def available(self) -> str | None:
        """None where it can be used; else one line that says what to install."""


class Sprites:
    """Named cut-outs in one drawing style; pixels are mapped from disk on first use and never pickled.

    Attributes:
        style: which drawing style, e.g. `openmoji`.
        path: the raw uint8 file `[N, size, size, 4]` (red, green, blue, alpha).
        size: side of a sprite in pixels.
        names: English names.
        codes: what identifies a thing across styles (Unicode code points in hexadecimal), or its file's name.
        extents: x1, y1, x2, y2 of the visible pixels of each sprite, within `size`.
    """

    def __init__(
        self,
        *,
        style: str,
        path: Path,
        size: int,
        names: list[str],
        codes: list[str],
        extents: list[tuple[int, int, int, int]],
    ) -> None:
        self.style = style
        self.path = path
        self.size = size
        self.names = names
        self.codes = codes
        self.extents = extents
        self._pixels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def pixels(self) -> np.ndarray:
        """uint8 `[N, size, size, 4]`, read-only, memory-mapped."""
        if self._pixels is None:
            shape = (len(self.names), self.size, self.size, 4)
            self._pixels = np.memmap(self.path, np.uint8, "r", shape=shape)
        return self._pixels

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_pixels": None}


def unseen(code: str) -> bool:
    """Whether a thing is one of the tenth that training on all cut-outs of a source leaves out.

    Args:
        code: see `Sprites`; equal in every drawing style.
    """
    return int.from_bytes(blake2b(f"unseen {code}".encode(), digest_size=8).digest()) % 10 == 0


@dataclass(frozen=True)
class Table:
    """Columns of a real table.

    Attributes:
        name: of the table.
        columns: numeric column name -> finite float64 values `[rows]`, all of one length.
        labels: name of another column -> texts `[rows]`, none of them empty.
    """

    name: str
    columns: dict[str, np.ndarray]
    labels: dict[str, list[str]] = field(default_factory=dict)


class SpriteSource(Source):
    """Cut-out pictures with names.

    Attributes:
        style: the drawing style.
        languages: in which it knows names.
    """

    style: str

    languages: tuple[str, ...] = ("en",)

    @abstractmethod
    def load(self) -> Sprites:
        """The sprites; prepared first where they are not.

        Raises:
            SourceMissing: what it needs is not installed.
        """

    def names(self, language: str) -> dict[str, str]:
        """Code -> name, in one of `languages` other than English."""
        return {}


class TableSource(Source):
    """Real tables."""

    @abstractmethod
    def load(self) -> list[Table]:
        """The tables, in a fixed order."""


class PhotoSource(Source):
    """Photographs, and handwritten digits."""

    @abstractmethod
    def load(self) -> dict[str, np.ndarray]:
        """Name -> uint8 `[H, W, 3]`, in a fixed order."""

    @abstractmethod
    def digits(self) -> tuple[np.ndarray, np.ndarray]:
        """Handwritten digits: uint8 `[N, 8, 8]` (0 is paper, 255 is ink) and their values `[N]`."""


class FontSource(Source):
    """Fonts as files."""

    @abstractmethod
    def load(self) -> dict[str, Path]:
        """Name -> file, in a fixed order."""

    @abstractmethod
    def shifted(self) -> dict[str, Path]:
        """Fonts of another style, for the shift split; may be empty."""


@dataclass(frozen=True)
class Example:
    """A user's own question about a user's own pictures.

    Attributes:
        pictures: in the order in which they are shown.
        question: what is asked.
        answer: what is right.
        caption: the pictures in words; may be empty.
        captions: of the first picture, by language.
        origin: where it was written down, for messages.
    """

    pictures: tuple[Picture, ...]
    question: str
    answer: str
    caption: str = ""
    origin: str = ""
    captions: Mapping[str, str] = field(default_factory=dict)


class ExampleSource(Source):
    """Questions that somebody wrote down."""

    @abstractmethod
    def load(self) -> list[Example]:
        """All of them, in the order of the file."""


class TextSource(Source):
    """Short pieces of text as people write them: names, addresses, sentences, dates, amounts."""

    @abstractmethod
    def write(self, what: str, seed: int) -> str:
        """One piece; the same seed gives the same text, in every process.

        Args:
            what: `name`, `sentence`, `street_address`, `company`, `email` and what else the source knows.
            seed: 0 or more, below 2 to the 63.
        """


class CodeSource(Source):
    """Codes that machines read: QR codes and barcodes.

    Attributes:
        formats: their names.
        shifted: names of other formats, for the shift split.
    """

    formats: Sequence[str]
    shifted: Sequence[str]

    @abstractmethod
    def encode(self, form: str, text: str) -> np.ndarray:
        """The modules of a code with the quiet zone around it, uint8 `[H, W]`: 0 is ink, 255 is paper."""


class MoleculeSource(Source):
    """Molecules that somebody has made."""

    @abstractmethod
    def load(self) -> list[str]:
        """Canonical SMILES, all different, in a fixed order."""


@dataclass(frozen=True)
class Puzzle:
    """A puzzle in words.

    Attributes:
        question: the whole of it.
        answer: one that is right.
        entry: what its own checker needs beside the answer to judge.
    """

    question: str
    answer: str
    entry: dict[str, Any]


class PuzzleSource(Source):
    """Generators of puzzles, by name."""

    @abstractmethod
    def make(self, name: str, seed: int, *, level: int | None = None, **settings: Any) -> Puzzle | None:
        """One puzzle, the same for the same arguments in every process; None where a seed leads nowhere.

        Args:
            name: of the generator.
            seed: 0 or more, below 2 to the 31.
            level: how hard, from 0, where the generator knows levels.
            settings: of the generator, in place of a level.
        """


Grid = tuple[tuple[int, ...], ...]


class GridSource(Source):
    """Tasks of grids: from some pairs of grids to the rule, and by it from one more grid to its partner."""

    @abstractmethod
    def load(self) -> dict[str, list[tuple[str, list[tuple[Grid, Grid]], list[tuple[Grid, Grid]]]]]:
        """`training` and `evaluation` -> (name, pairs that show the rule, pairs that are asked for)."""


class PositionSource(Source):
    """Positions of a board game, reached by legal moves."""

    @abstractmethod
    def position(self, seed: int, moves: int) -> str:
        """Where the pieces stand after so many moves, in Forsyth-Edwards notation."""

    @abstractmethod
    def piece(self, letter: str) -> str:
        """The drawing of a piece (upper case is white) as SVG."""


@dataclass(frozen=True)
class PageView:
    """A window on a real page.

    Attributes:
        page: which page it is, the same in every window on it.
        path: of the screenshot, a PNG.
        width: in pixels.
        height: in pixels.
        elements: what can be clicked and is told apart by its words: (words, kind, x1, y1, x2, y2 in pixels).
    """

    page: str
    path: Path
    width: int
    height: int
    elements: tuple[tuple[str, str, float, float, float, float], ...]


class PageSource(Source):
    """Real pages as they look in a browser."""

    @abstractmethod
    def load(self) -> list[PageView]:
        """Windows on the pages, in a fixed order."""
