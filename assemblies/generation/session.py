"""`Session`: one conversation, of which nothing is read twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import torch

from vlmloom.assemblies.generation.plain import decode
from vlmloom.assemblies.generation.processors import Sampling
from vlmloom.assemblies.generation.reading import Reading, within_reach
from vlmloom.assemblies.generation.rows import Rows
from vlmloom.assemblies.generation.speculative import Acceptance, speculate
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.contracts.visuals import Grid, Visuals

if TYPE_CHECKING:
    from vlmloom.assemblies.spliced import Spliced

ROOM = 256
"""The cache grows by multiples of so many tokens."""


class Seen(NamedTuple):
    """A picture or clip in the sequence.

    Attributes:
        first: the place of its first token.
        last: the place of its last.
        shape: of its patches, `(frames, rows, columns)`.
        digest: of its patches: equal shapes and digests are equal pictures.
    """

    first: int
    last: int
    shape: Grid
    digest: bytes


class Session:
    """A conversation that is handed over whole at every turn, and of which only what is new is read.

    Whatever the new prompt has in common with what was read before is kept: pictures are encoded once, and
    their keys and values stay. So turns that are appended, questions that branch off after a common picture,
    and templates that rewrite an earlier turn (thoughts that are left out) all go the same way.

    Args:
        model: in evaluation mode.
        stop: the id, or the ids, that end an answer.
        sampling: how tokens are chosen; None takes the best.
        key: of the draws.
        speculative: how many tokens a head drafts ahead; 0 decodes one by one.

    Attributes:
        ids: what has been read, and the newest tokens, which may not have been.
        acceptance: what drafts gained so far.
    """

    def __init__(
        self,
        model: Spliced,
        *,
        stop: int | Sequence[int],
        sampling: Sampling | None = None,
        key: int = 0,
        speculative: int = 0,
    ) -> None:
        self.model, self.sampling, self.key = model, sampling or Sampling(), key
        self.stops = [stop] if isinstance(stop, int) else list(stop)
        self.speculative = speculative
        self.reading = Reading(model, batch=1, capacity=ROOM, depth=speculative)
        self.ids: list[int] = []
        self.acceptance = Acceptance()
        self._seen: list[Seen] = []

    def ask(self, prompt: Packed, *, limit: int = 32) -> Iterator[list[int]]:
        """Answer; gives new ids as they come, without the id that ends the answer.

        Args:
            prompt: the whole conversation so far as one sample, up to where the answer begins.
            limit: the longest answer in tokens.

        Raises:
            ValueError: the prompt is not one sample, or is empty.
        """
        if len(prompt.lengths) == 1:
            (limit,) = within_reach(self.reading.model.language, prompt, [limit])
        self.read(prompt, limit)
        rows = Rows(
            prompt.ids,
            prompt.lengths,
            sampling=self.sampling,
            stops=self.stops,
            limits=[limit],
            keys=[self.key],
            drafts=self.speculative,
        )
        if limit < 1:
            return
        if self.speculative:
            steps = speculate(self.reading, rows, self.acceptance)
        else:
            steps = decode(self.reading, rows)
        for (emission,) in steps:
            self.ids.extend(emission.ids)
            yield emission.ids

    @torch.inference_mode()
    def read(self, prompt: Packed, limit: int = 0) -> int:
        """Read what is new in a prompt; gives how many of its tokens had been read before.

        Args:
            prompt: as of `ask`.
            limit: tokens for which room is made beside it.
        """
        if len(prompt.lengths) != 1 or not prompt.lengths[0]:
            raise ValueError(
                f"a session reads one sample at a time, but the prompt holds lengths {prompt.lengths}"
            )
        ids, seen = prompt.ids.tolist(), self._pictures(prompt)
        common = self._common(ids, seen)
        following = int(prompt.positions[:, :common].max()) + 1 if common else 0
        self.reading.roll_back([common], [following])
        needed = len(ids) + limit
        self.reading.reserve(-(-needed // ROOM) * ROOM)
        self.reading.read(self._rest(prompt, common, seen))
        self.ids, self._seen = ids, seen
        return common

    def _common(self, ids: list[int], seen: list[Seen]) -> int:
        """How many tokens need not be read again: whole pictures, and never all of the prompt."""
        most = min(len(ids) - 1, len(self.ids), self.reading.cache.lengths[0])
        common = next((place for place in range(most) if ids[place] != self.ids[place]), most)
        for place, picture in enumerate(seen):
            known = place < len(self._seen) and picture == self._seen[place]
            if picture.first < common and (picture.last >= common or not known):
                return picture.first
        return common

    def _pictures(self, prompt: Packed) -> list[Seen]:
        visuals = prompt.visuals.get("vision")
        if visuals is None or visuals.weight == 0 or not len(prompt.visual_slots):
            return []
        slots = prompt.visual_slots.tolist()
        found, start = [], 0
        merged = self.model.merged_grids(visuals.shapes)
        each = zip(visuals.shapes, merged, visuals.patches.split(_sizes(visuals)), strict=True)
        for shape, (frames, rows, columns), patches in each:
            count = frames * rows * columns
            digest = hashlib.blake2b(patches.contiguous().cpu().numpy().tobytes(), digest_size=16).digest()
            found.append(Seen(slots[start], slots[start + count - 1], shape, digest))
            start += count
        return found

    @staticmethod
    def _rest(prompt: Packed, common: int, seen: list[Seen]) -> Packed:
        """What comes after the first `common` tokens, with the positions that it has."""
        if not common:
            return prompt
        known = sum(picture.first < common for picture in seen)
        visuals = {}
        if known < len(seen):
            whole = prompt.visuals["vision"]
            start = [0, *accumulate(_sizes(whole))][known]
            visuals["vision"] = replace(
                whole, patches=whole.patches[start:], grids=whole.grids[known:], shapes=whole.shapes[known:]
            )
        length = prompt.lengths[0] - common
        slots = prompt.visual_slots[prompt.visual_slots >= common] - common
        return replace(
            prompt,
            ids=prompt.ids[common:],
            labels=prompt.labels[common:],
            weights=prompt.weights[common:],
            positions=prompt.positions[:, common:],
            boundaries=torch.tensor([0, length], dtype=torch.int32, device=prompt.boundaries.device),
            lengths=[length],
            visual_slots=slots,
            modality=prompt.modality[common:],
            visuals=visuals,
            extras={},
        )


def _sizes(visuals: Visuals) -> list[int]:
    """The patches of each item."""
    return [frames * rows * columns for frames, rows, columns in visuals.shapes]
