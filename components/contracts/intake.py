"""What batches are made for: `Intake`, which a collator asks how to cut pictures and where tokens stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vlmloom.components.contracts.packed import Layout
from vlmloom.components.contracts.visuals import Grid, PatchSpec


class Intake:
    """How pictures are cut, how many tokens they become, and where tokens stand.

    All of it is pure and tensor-free. An assembly is one; a component that trains alone has one of its
    objective's making (`Objective.intake`).
    """

    def patch_specs(self) -> dict[str, PatchSpec]:
        """How pictures are cut for each tower, by the tower's name; empty where none sees pictures."""
        return {}

    def merged_grids(self, grids: Sequence[Grid]) -> list[Grid]:
        """The grids of visual tokens in the sequence, for items of these patch grids of `vision`."""
        return []

    def positions(self, layout: Layout) -> np.ndarray:
        """Rotary positions `[3, length]` of one sample."""
        return np.tile(np.arange(sum(span.length for span in layout), dtype=np.int64), (3, 1))


@dataclass(eq=False)
class Towers(Intake):
    """Pictures for towers that stand in no assembly, and text for a language part where there is one.

    Attributes:
        specs: how each tower's pictures are cut, by its name.
        grids: patch grids of `vision` to those of its tokens in the sequence; None puts no tokens there.
        language: the part that reads the text; its vocabulary has to hold the tokenizer's.
        listener: what is to be told the vocabulary of the scenes (`bind_vocabulary`).
    """

    specs: Mapping[str, PatchSpec]
    grids: Callable[[Sequence[Grid]], list[Grid]] | None = None
    language: Any = None
    listener: Any = None

    def patch_specs(self) -> dict[str, PatchSpec]:
        """See `Intake`."""
        return dict(self.specs)

    def merged_grids(self, grids: Sequence[Grid]) -> list[Grid]:
        """See `Intake`."""
        return [] if self.grids is None else self.grids(grids)

    def positions(self, layout: Layout) -> np.ndarray:
        """See `Intake`: the language part's."""
        return super().positions(layout) if self.language is None else self.language.positions(layout)

    def bind_vocabulary(self, names: Sequence[str], colours: Sequence[str], alphabet: str) -> None:
        """Hand the vocabulary on."""
        if self.listener is not None:
            self.listener.bind_vocabulary(names, colours, alphabet)
