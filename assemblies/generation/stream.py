"""From packed prompts to a stream of new tokens: `stream`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from vlmloom.assemblies.generation.plain import decode
from vlmloom.assemblies.generation.processors import Sampling
from vlmloom.assemblies.generation.reading import Reading, within_reach
from vlmloom.assemblies.generation.rows import Emission, Rows
from vlmloom.assemblies.generation.speculative import Acceptance, speculate
from vlmloom.components.contracts.packed import Packed

if TYPE_CHECKING:
    from vlmloom.assemblies.spliced import Spliced


def stream(
    model: Spliced,
    batch: Packed,
    *,
    stop: int | Sequence[int],
    limit: int | Sequence[int],
    sampling: Sampling | None = None,
    keys: Sequence[int] | None = None,
    copies: int = 1,
    speculative: int = 0,
    acceptance: Acceptance | None = None,
    compiled: bool = False,
) -> Iterator[list[Emission]]:
    """Answer packed prompts of unequal length; gives what each open row gained, pass by pass.

    Args:
        model: in evaluation mode.
        batch: prompts only; every sample's last token is where its answer begins.
        stop: the id, or the ids, that end an answer.
        limit: the longest answer in tokens, of all rows or of each; less where the positions end before.
        sampling: how tokens are chosen; None takes the best.
        keys: of the rows' draws: a row draws the same in every batch that gives it the same key. None numbers
            the rows.
        copies: answers to each prompt, which is read once; row `prompt * copies + copy` is one of them, and
            limits and keys are theirs.
        speculative: how many tokens a head drafts ahead; 0 decodes one by one.
        acceptance: what the drafts gained is counted into it.
        compiled: read new tokens by a program that `torch.compile` makes; worth its tens of seconds for many
            tokens.

    Raises:
        ValueError: there are not as many limits or keys as answers, or no head drafts.
    """
    count = len(batch.lengths) * copies
    limits = [limit] * count if isinstance(limit, int) else list(limit)
    keys = range(count) if keys is None else keys
    for name, values in (("limit", limits), ("keys", keys)):
        if len(values) != count:
            raise ValueError(f"{name}: {len(values)} given for {count} answers; one each would be right")
    if not count:
        return
    limits = within_reach(model.language, batch, limits)
    rows = Rows(
        batch.ids,
        batch.lengths,
        copies=copies,
        sampling=sampling or Sampling(),
        stops=[stop] if isinstance(stop, int) else stop,
        limits=limits,
        keys=keys,
        drafts=speculative,
    )
    reading = _read(model, batch, rows, copies, speculative, compiled)
    if silent := [row for row, most in enumerate(limits) if most < 1]:
        yield [Emission(row, [], "limit") for row in silent]
        speaking = [row for row in range(count) if limits[row] > 0]
        rows.keep(speaking)
        reading.keep(speaking)
    yield from speculate(reading, rows, acceptance) if speculative else decode(reading, rows)


@torch.inference_mode()
def _read(
    model: Spliced, batch: Packed, rows: Rows, copies: int, speculative: int, compiled: bool
) -> Reading:
    """Read every prompt once."""
    prompts = range(len(batch.lengths))
    capacity = int((rows.lengths + rows.left).max())
    reading = Reading(model, batch=len(prompts), capacity=capacity, depth=speculative, compiled=compiled)
    reading.read(batch)
    if copies > 1:
        reading.keep([prompt for prompt in prompts for _ in range(copies)])
    return reading
