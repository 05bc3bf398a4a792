"""Decoding one token a row and forward pass."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from vlmloom.assemblies.generation.reading import Reading
from vlmloom.assemblies.generation.rows import Emission, Rows


def decode(reading: Reading, rows: Rows) -> Iterator[list[Emission]]:
    """Go on with every row until it ends; gives what each open row gained, pass by pass.

    Rows that end leave the batch. The last token of a row is not read.
    """
    newest: Tensor | None = None
    while len(rows):
        emissions, newest = _one_pass(reading, rows, newest)
        yield emissions


# Decorated, and not `decode`: a generator would have to leave the mode whenever it hands something out.
@torch.inference_mode()
def _one_pass(reading: Reading, rows: Rows, newest: Tensor | None) -> tuple[list[Emission], Tensor]:
    """Read the newest token of each row, choose the next; gives those of the rows that go on."""
    if newest is not None:
        reading.state = reading.read_on(newest, [1] * len(newest))
    chosen = rows.choose(reading.model.logits(reading.state))
    rows.write(chosen)
    emissions, kept = rows.take([[token] for token in chosen.tolist()])
    return emissions, reading.kept(kept, chosen)
