"""A sample as token ids: `Encoded`, and the contract of the kind `processor`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from vlmloom.components.contracts.packed import Layout
from vlmloom.components.contracts.sample import Sample
from vlmloom.components.contracts.visuals import Grid


@dataclass
class Encoded:
    """One sample as tokens.

    Attributes:
        ids: token ids; every visual token holds the image placeholder's id.
        labels: the id where it is trained on (the answer and the end token), else `IGNORE`.
        layout: the spans in order; visual spans hold their grid.
        visual: positions in `ids` of the visual tokens, in the order of the projected features.
    """

    ids: list[int]
    labels: list[int]
    layout: Layout
    visual: list[int]

    def __len__(self) -> int:
        return len(self.ids)


class Processor(ABC):
    """Samples to tokens; `grids` are the merged grids (frames, rows, columns), one a picture.

    Attributes:
        stops: the ids that end an answer.
        never: ids that stand for pictures in a prompt and are never an answer.
    """

    stops: tuple[int, ...]
    never: tuple[int, ...]

    @abstractmethod
    def encode(self, sample: Sample, grids: Sequence[Grid], *, prompt_only: bool = False) -> Encoded:
        """The sample as tokens; `prompt_only` stops where the answer begins.

        Raises:
            ValueError: there are not as many grids as pictures.
        """

    @abstractmethod
    def length(self, sample: Sample, grids: Sequence[Grid]) -> int:
        """`len(encode(sample, grids))`, without building it."""

    @abstractmethod
    def answer(self, ids: Sequence[int]) -> str:
        """The text of generated ids, up to the end token."""


def lead(text: str) -> str:
    """A text as it stands inside a sequence: all but digits keep a space before them, at its start too.

    So a word is one and the same token wherever it stands.

    >>> lead("dog"), lead("7"), lead("[1,2,3,4]")
    (' dog', '7', ' [1,2,3,4]')
    """
    return " " + text if text and not text[0].isdigit() else text
