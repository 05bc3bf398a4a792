"""`attention/flex`: FlexAttention with a block mask made from lengths, for every mask."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from functools import lru_cache
from typing import Any, cast
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from vlmloom.components.attention.ranges import BLOCK, rows_and_columns
from vlmloom.components.attention.segments import boundaries, ready
from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.mask import (
    Bidirectional,
    BlockCausal,
    CausalWithImages,
    Mask,
    MessageTree,
    SlidingWindow,
)
from vlmloom.registry import register
from vlmloom.registry.errors import UserError

Sees = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""FlexAttention's mask: batch, head, query and key -> whether the one sees the other."""

# As for the masks of attention/sdpa: what holds tensors lives as long as its description.
_DRAWN: MutableMapping[Mask, dict[tuple[Any, ...], BlockMask]] = WeakKeyDictionary()


@register("attention/flex")
class Flex(Attention):
    """FlexAttention, one compiled kernel for every mask; blocks between segments are never visited.

    Which blocks are visited is known from the lengths on the host: no mask of size T x T is made, and no
    tensor is waited for. On a CPU it has a forward pass only.

    Args:
        compiled: False runs PyTorch's plain version, which holds all scores, for tests and for looking
            inside.

    Reference: arXiv 2412.05496; torch.nn.attention.flex_attention.
    """

    def __init__(self, *, compiled: bool = True) -> None:
        super().__init__()
        self.compiled = compiled

    def forward(
        self,
        query: Float[Tensor, "tokens heads size"],
        key: Float[Tensor, "tokens kv_heads size"],
        value: Float[Tensor, "tokens kv_heads size"],
        lengths: Sequence[int],
        mask: Mask,
        scale: float | None = None,
    ) -> Float[Tensor, "tokens heads size"]:
        """Attend within each segment (see `Attention.forward`).

        Raises:
            UserError: gradients are asked for on a CPU.
            ValueError: the lengths do not sum to the tokens, or the kv heads do not divide the heads.
            TypeError: there is no such mask.
        """
        query, key, value = ready(self, query, key, value, lengths, mask)
        if not len(query):
            return query
        if query.device.type == "cpu":
            if torch.is_grad_enabled() and any(part.requires_grad for part in (query, key, value)):
                raise UserError(
                    "attention/flex: has no backward pass on a CPU; attention/sdpa would be right"
                )
            query, key, value = (part.detach() for part in (query, key, value))
        run = _compiled(query.device.type) if self.compiled else cast(Callable[..., Any], flex_attention)
        out = run(
            *(part.transpose(0, 1)[None] for part in (query, key, value)),
            block_mask=draw(mask, tuple(lengths), query.device),
            scale=scale,
            enable_gqa=query.shape[1] != key.shape[1],
        )
        return out[0].transpose(0, 1)


@lru_cache(maxsize=4)
def _compiled(device: str) -> Callable[..., Any]:
    # The C++ that is generated for lengths which change does not compile; a CPU gets one kernel a length.
    return torch.compile(flex_attention, dynamic=False if device == "cpu" else None)


def draw(mask: Mask, lengths: tuple[int, ...], device: torch.device) -> BlockMask:
    """The block mask, made at the first call: all layers of a step share it."""
    with torch.inference_mode(False):
        if not isinstance(mask, CausalWithImages | MessageTree):
            return _of_lengths(mask, lengths, device)
        drawn = _DRAWN.setdefault(mask, {})
        if (lengths, device) not in drawn:
            drawn[lengths, device] = _draw(mask, lengths, device)
        return drawn[lengths, device]


def _draw(mask: Mask, lengths: tuple[int, ...], device: torch.device) -> BlockMask:
    (some, where), (full, full_where) = (
        [torch.from_numpy(part).to(device)[None, None] for part in parts]
        for parts in rows_and_columns(mask, lengths)
    )
    return BlockMask.from_kv_blocks(
        some,
        where,
        full,
        full_where,
        BLOCK_SIZE=BLOCK,
        mask_mod=sees(mask, lengths, device),
        seq_lengths=(sum(lengths),) * 2,
    )


_of_lengths = lru_cache(maxsize=64)(_draw)


def sees(mask: Mask, lengths: tuple[int, ...], device: torch.device) -> Sees:
    """Whether a query sees a key, as FlexAttention asks it."""
    edges = boundaries(lengths, device).long()
    sizes = edges.diff()
    segment = torch.repeat_interleave(
        torch.arange(len(sizes), device=device), sizes, output_size=sum(lengths)
    )
    if isinstance(mask, Bidirectional):
        return lambda b, h, q, k: segment[q] == segment[k]
    if isinstance(mask, SlidingWindow):
        window = mask.window
        return lambda b, h, q, k: (segment[q] == segment[k]) & (k <= q) & (k > q - window)
    if isinstance(mask, BlockCausal):
        block = (torch.arange(sum(lengths), device=device) - edges[segment]) // mask.block
        return lambda b, h, q, k: (segment[q] == segment[k]) & (block[k] <= block[q])
    if isinstance(mask, CausalWithImages):
        # Text is picture -1; with `everywhere` all pictures are one.
        picture = mask.picture.clamp(max=0) if mask.everywhere else mask.picture
        return lambda b, h, q, k: (
            (segment[q] == segment[k]) & ((k <= q) | ((picture[q] == picture[k]) & (picture[k] >= 0)))
        )
    if isinstance(mask, MessageTree):
        branch = mask.branch
        return lambda b, h, q, k: (
            (segment[q] == segment[k]) & (k <= q) & ((branch[k] == 0) | (branch[k] == branch[q]))
        )
    return lambda b, h, q, k: (segment[q] == segment[k]) & (k <= q)
