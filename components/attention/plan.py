"""Which segments of a pack are attended to together: `Plan`, `plan_for`.

Segments are sorted by length and put into buckets; within a bucket each is padded on the right to the
longest. Example, lengths `[3, 5, 0, 3]`, two buckets: rows `[A0 A1 A2] [C0 C1 C2]` and `[B0 B1 B2 B3 B4]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from vlmloom.components.contracts.mask import Mask

# Costs in units of moving one token in and out of a bucket, fitted on one core at widths 128 to 256: another
# call costs as much as 150 tokens, and attention outweighs the moving from 40 tokens on.
CALL = 150.0
QUADRATIC = 1 / 40
# Where a padded key could be seen, unequal lengths need a mask, and the kernel is slower with one.
MASKED = 1.15

Drawn = tuple[Tensor | None, bool]
"""A mask for `scaled_dot_product_attention`, and whether its `is_causal` is set instead."""


@dataclass(frozen=True)
class Bucket:
    """Segments that share one call.

    Attributes:
        lengths: of its segments, ascending.
        length: the longest, to which the others are padded.
        start: where it begins on the padded axis.
    """

    lengths: tuple[int, ...]
    length: int
    start: int

    @property
    def size(self) -> int:
        """Its tokens, padding included."""
        return len(self.lengths) * self.length

    @property
    def ragged(self) -> bool:
        """Whether any of its segments is padded."""
        return self.lengths[0] != self.length


@dataclass(eq=False)
class Plan:
    """How a flat axis of T tokens becomes buckets on a padded axis of P tokens, and back.

    Attributes:
        tokens: T.
        padded: P.
        buckets: in ascending length.
        gather: `[P]` the token that stands at each padded place (padding repeats token 0); None where the
            two axes are the same.
        scatter: `[T]` the padded place of each token, or None as above.
        drawn: masks that depend on lengths alone, drawn once.
    """

    tokens: int
    padded: int
    buckets: tuple[Bucket, ...]
    gather: Tensor | None
    scatter: Tensor | None
    drawn: dict[Mask, list[Drawn]] = field(default_factory=dict)

    def spread(self, values: Tensor, fill: int) -> Tensor:
        """Lay `values [T]` out on the padded axis, `fill` where there is padding."""
        if self.scatter is None:
            return values
        return values.new_full((self.padded,), fill).index_copy_(0, self.scatter, values)


def group(lengths: Sequence[int], masked: bool) -> list[int]:
    """Cut ascending lengths into buckets of least cost; gives the end of each bucket.

    Args:
        lengths: ascending, none zero.
        masked: whether padding has to be masked out.
    """
    unique, counts = np.unique(np.asarray(lengths), return_counts=True)
    ends = np.concatenate([[0], np.cumsum(counts)])
    best, cut = [0.0], [0]
    for last, longest in enumerate(unique.tolist()):
        segments = ends[last + 1] - ends[: last + 1]
        price = segments * longest * (1 + QUADRATIC * longest)
        if masked:
            price[:-1] *= MASKED
        totals = np.asarray(best) + price + CALL
        first = int(totals.argmin())
        best.append(float(totals[first]))
        cut.append(first)
    found, place = [], len(unique)
    while place:
        found.append(int(ends[place]))
        place = cut[place]
    return found[::-1]


@lru_cache(maxsize=64)
def plan_for(lengths: tuple[int, ...], device: torch.device, masked: bool) -> Plan:
    """The plan for segments of these lengths; every layer of a step gets the same object."""
    tokens = sum(lengths)
    filled = [place for place, length in enumerate(lengths) if length]
    if not filled:
        return Plan(0, 0, (), None, None)
    if len({lengths[place] for place in filled}) == 1:
        length = lengths[filled[0]]
        return Plan(tokens, tokens, (Bucket((length,) * len(filled), length, 0),), None, None)

    order = sorted(filled, key=lengths.__getitem__)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    gather, scatter, buckets = [], np.empty(tokens, dtype=np.int64), []
    padded = first = 0
    for end in group([lengths[place] for place in order], masked):
        members = order[first:end]
        own = tuple(lengths[place] for place in members)
        buckets.append(Bucket(own, own[-1], padded))
        column = np.arange(own[-1])
        inside = column < np.asarray(own)[:, None]
        source = starts[members][:, None] + column
        gather.append(np.where(inside, source, 0).reshape(-1))
        scatter[source[inside]] = padded + np.flatnonzero(inside.reshape(-1))
        padded += buckets[-1].size
        first = end
    with torch.inference_mode(False):  # A plan that an evaluation made serves the next training step too.
        gathered = torch.from_numpy(np.concatenate(gather)).to(device)
        scattered = torch.from_numpy(scatter).to(device)
    return Plan(tokens, padded, tuple(buckets), gathered, scattered)
