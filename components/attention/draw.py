"""Boolean masks of a plan's buckets, True where a query (row) sees a key (column).

    Causal      SlidingWindow(2)  BlockCausal(2)  CausalWithImages, tokens 1 and 2 one picture
    1 . . .     1 . . .           1 1 . .         1 . . .
    1 1 . .     1 1 . .           1 1 . .         1 1 1 .
    1 1 1 .     . 1 1 .           1 1 1 1         1 1 1 .
    1 1 1 1     . . 1 1           1 1 1 1         1 1 1 1

Padding stands on the right, so whatever is causal hides it without a mask.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from vlmloom.components.attention.plan import Bucket, Drawn, Plan
from vlmloom.components.contracts.mask import (
    Bidirectional,
    BlockCausal,
    Causal,
    CausalWithImages,
    Mask,
    MessageTree,
    SlidingWindow,
)

# Masks that hold tensors live as long as their description, so that all layers of a step share them and
# the next step does not keep them.
_DRAWN: MutableMapping[Mask, dict[Plan, list[Drawn]]] = WeakKeyDictionary()


def needs_key_mask(mask: Mask) -> bool:
    """Whether a padded key would be seen if it were not masked out."""
    return isinstance(mask, Bidirectional | BlockCausal)


def draw(mask: Mask, plan: Plan, device: torch.device) -> list[Drawn]:
    """The mask of every bucket, drawn at the first call.

    Raises:
        TypeError: no such mask.
    """
    with torch.inference_mode(False):  # Kept masks may be met again in training.
        return _draw(mask, plan, device)


def _draw(mask: Mask, plan: Plan, device: torch.device) -> list[Drawn]:
    if isinstance(mask, CausalWithImages | MessageTree):
        per_plan = _DRAWN.setdefault(mask, {})
        if plan not in per_plan:
            per_plan[plan] = _of_tokens(mask, plan)
        return per_plan[plan]
    if mask not in plan.drawn:
        plan.drawn[mask] = [_of_lengths(mask, bucket, device) for bucket in plan.buckets]
    return plan.drawn[mask]


def _of_lengths(mask: Mask, bucket: Bucket, device: torch.device) -> Drawn:
    length = bucket.length
    place = torch.arange(length, device=device)
    row, column = place[:, None], place
    if isinstance(mask, Causal):
        return None, length > 1
    if isinstance(mask, SlidingWindow):
        if mask.window >= length:
            return None, length > 1
        return (column <= row) & (column > row - mask.window), False
    if not isinstance(mask, Bidirectional | BlockCausal):
        raise TypeError(f"attention/sdpa: {type(mask).__name__} is not a mask of contracts.mask")
    seen: Tensor | None = None
    if bucket.ragged:
        inside = column < torch.tensor(bucket.lengths, device=device)[:, None]
        seen = inside[:, None, None, :]
    if isinstance(mask, BlockCausal):
        if mask.block < length:
            blocks = column // mask.block <= row // mask.block
            seen = blocks if seen is None else seen & blocks
    return seen, False


def _of_tokens(mask: CausalWithImages | MessageTree, plan: Plan) -> list[Drawn]:
    images = isinstance(mask, CausalWithImages)
    values = (
        plan.spread(mask.picture, -1) if isinstance(mask, CausalWithImages) else plan.spread(mask.branch, 0)
    )
    drawn: list[Drawn] = []
    for bucket, own in zip(plan.buckets, values.split([bucket.size for bucket in plan.buckets]), strict=True):
        own = own.view(-1, bucket.length)
        # On a CPU the look costs nothing and spares the mask of every bucket without pictures or branches.
        if own.device.type == "cpu" and not bool((own >= 0 if images else own > 0).any()):
            drawn.append((None, bucket.length > 1))
            continue
        query, key = own[:, :, None], own[:, None, :]
        causal = torch.ones(bucket.length, bucket.length, dtype=torch.bool, device=own.device).tril()
        if isinstance(mask, MessageTree):
            seen = causal & ((key == 0) | (key == query))
        elif mask.everywhere:
            seen = causal | ((key >= 0) & (query >= 0))
        else:
            seen = causal | ((key >= 0) & (key == query))
        drawn.append((seen[:, None], False))
    return drawn
