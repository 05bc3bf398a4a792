"""`packed_attention`: our attention backends inside a transformers model.

A model of transformers looks its attention up by name and hands keywords down to it. `PackedPass` travels
that way: the samples on one flat axis, the mask, and the cache. So nothing is padded, no mask of the size of
the pack is made, and the cache is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.mask import Causal, Mask, SlidingWindow
from vlmloom.components.language.cache import KVCache, Step

NAME = "vlmloom_packed"
"""How transformers knows it."""


@dataclass(eq=False)
class PackedPass:
    """What one forward pass hands down to every attention layer.

    Attributes:
        lengths: of the samples, or of the new tokens of each sequence.
        mask: who sees whom.
        attention: the backend.
        cache: what has been read, and where new tokens go.
        layer: the number in the cache of a layer that runs alone; None is what the layer says.
    """

    lengths: Sequence[int]
    mask: Mask
    attention: Attention
    cache: tuple[KVCache, Step] | None = None
    layer: int | None = None


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packed: PackedPass | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Attend within the samples of a pack: `[1, H, T, S]`, `[1, K, T, S]` -> `[1, T, H, V]`.

    Args:
        module: the attention layer that asks.
        query: `[1, H, T, S]`.
        key: `[1, K, T, S]`.
        value: `[1, K, T, V]`.
        attention_mask: None; the mask is in `packed`.
        packed: of this forward pass.
        scaling: of the products.
        dropout: has to be 0.
        sliding_window: of this layer.
        rest: what else the model hands down.

    Raises:
        ValueError: the model asks for what packed attention does not do.
    """
    if packed is None:
        raise ValueError(
            f"language/hf: {type(module).__name__} hands nothing down to its attention; set packing: batches"
        )
    unknown = [
        name for name in ("softcap", "s_aux", "position_bias", "head_mask") if rest.get(name) is not None
    ]
    unknown += ["a mask of its own"] * (attention_mask is not None) + ["dropout"] * (dropout > 0)
    if unknown:
        raise ValueError(
            f"language/hf: {type(module).__name__} attends with {', '.join(unknown)}, which packed attention "
            "does not do; set packing: batches"
        )
    query, key, value = (part[0].transpose(0, 1) for part in (query, key, value))
    size, out = query.shape[-1], value.shape[-1]
    scale = size**-0.5 if scaling is None else scaling
    if size != out:
        # Backends and caches take one size; what is added is zero and adds nothing.
        query, key, value = (
            F.pad(part, (0, max(size, out) - part.shape[-1])) for part in (query, key, value)
        )
    mask = packed.mask
    if sliding_window is not None:
        if not isinstance(mask, Causal):
            raise ValueError(
                f"language/hf: a sliding window goes with a causal mask, not {type(mask).__name__}"
            )
        mask = SlidingWindow(sliding_window)
    if packed.cache is not None:
        store, step = packed.cache
        layer = cast(int, module.layer_idx) if packed.layer is None else packed.layer
        store.write(layer, step, torch.cat([key, value], dim=1))
        if not step.packed:
            step = step if sliding_window is None else within(step, store, sliding_window)
            # The cache scales by the size of a head; the rest of the model's scale goes into the query.
            query = (query * (scale * query.shape[-1] ** 0.5)).contiguous()
            return store.attend(layer, step, query)[None, ..., :out], None
    found = packed.attention(
        query.contiguous(), key.contiguous(), value.contiguous(), packed.lengths, mask, scale
    )
    return found[None, ..., :out], None


def within(step: Step, store: KVCache, window: int) -> Step:
    """A step of the cache whose new tokens see no further back than a window, themselves included."""
    if step.read <= window:
        return step
    device = store.device
    old = torch.tensor(store.lengths, dtype=torch.long, device=device)
    last = old[:, None] + torch.arange(step.query, device=device)
    near = torch.arange(step.read, device=device) > last[:, :, None] - window
    row, slot, column = step.row, step.slot, step.column
    if step.even is not None:
        row = torch.arange(store.batch, device=device)
        slot, column = torch.zeros_like(row), torch.full_like(row, step.even)
    seen = near[:, None] if step.seen is None else step.seen & near[:, None]
    return Step(row, column, slot, step.query, step.read, None, seen, step.packed)
