"""What all backends ask of a pack: lengths that fit, and where its segments begin and end."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.mask import BlockCausal, Mask, SlidingWindow
from vlmloom.components.kernels import lowered
from vlmloom.registry.errors import UserError


def check(who: str, query: Tensor, key: Tensor, lengths: Sequence[int], mask: Mask) -> None:
    """See that lengths, heads and mask fit.

    Raises:
        ValueError: lengths do not sum to the tokens, kv heads do not divide the heads, or a size of the mask
            is below one.
    """
    if sum(lengths) != len(query):
        raise ValueError(f"{who}: lengths sum to {sum(lengths)}, but there are {len(query)} tokens")
    if query.shape[1] % key.shape[1]:
        raise ValueError(f"{who}: {key.shape[1]} kv heads do not divide {query.shape[1]} heads")
    if isinstance(mask, SlidingWindow) and mask.window < 1:
        raise ValueError(f"SlidingWindow(window={mask.window}): a window holds at least the token itself")
    if isinstance(mask, BlockCausal) and mask.block < 1:
        raise ValueError(f"BlockCausal(block={mask.block}): a block holds at least one token")


def ready(
    backend: Attention, query: Tensor, key: Tensor, value: Tensor, lengths: Sequence[int], mask: Mask
) -> tuple[Tensor, ...]:
    """Query, key and value as a backend's kernel takes them, once all that it asks for is there.

    Raises:
        UserError, TypeError, ValueError: see `need` and `check`.
    """
    who = str(backend.registered_name)
    need(who, type(backend), mask)
    check(who, query, key, lengths, mask)
    return lowered(query, key, value)


def need(who: str, backend: type[Attention], mask: Mask) -> None:
    """See that a backend is there and knows a mask.

    Raises:
        UserError: it is not, or does not.
        TypeError: there is no such mask.
    """
    if not isinstance(mask, Attention.masks):
        raise TypeError(f"{who}: {type(mask).__name__} is not a mask of contracts.mask")
    if not isinstance(mask, backend.masks):
        known = ", ".join(known.__name__ for known in backend.masks)
        raise UserError(
            f"{who}: found mask {type(mask).__name__}, but it does {known}; attention/flex or attention/sdpa "
            "would be right"
        )
    lacking = backend.available()
    if lacking is not None:
        raise UserError(lacking)


def filled(lengths: Sequence[int]) -> tuple[int, ...]:
    """The lengths that are not zero."""
    return tuple(length for length in lengths if length)


@lru_cache(maxsize=64)
def boundaries(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    """Where the segments begin and end, `[B + 1]` int32; every layer of a step gets the same tensor."""
    with torch.inference_mode(False):
        edges = torch.tensor([0, *lengths], dtype=torch.int32, device=device)
        return edges.cumsum(0, dtype=torch.int32)
