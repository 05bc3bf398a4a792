"""Rotary positions with three axes (time, row, column): `Rotary`, `rotate`, `positions_of`.

Shapes: T tokens, H heads, S the size of a head, R the part of it that is rotated, R / 2 frequencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vlmloom.components.contracts.packed import Layout

Rotation = Literal["half", "interleaved"]
Angles = tuple[Tensor, Tensor]
"""Cosines and sines, each `[T, 1, R / 2]`."""


def default_sections(pairs: int) -> tuple[int, int, int]:
    """How many frequencies time, row and column get: 1/4, 3/8, 3/8, as GLM-4.5V's (8, 12, 12) of 32."""
    time = pairs // 4
    row = (pairs - time) // 2
    return time, row, pairs - time - row


class Rotary(nn.Module):
    """Angles from positions `[3, T]`; the i-th section of the frequencies follows axis i mod 3.

    Args:
        size: R, how much of a head is rotated.
        theta: base of the frequencies.
        sections: frequencies of each section, summing to R / 2.
        ladders: whether each section has a ladder of frequencies of its own, from 1 down to almost 1 / theta;
            else one runs through all of them.

    Reference: arXiv 2104.09864; transformers, models/glm4v_moe/modeling_glm4v_moe.py
    (Glm4vMoeTextRotaryEmbedding).
    """

    frequencies: Tensor
    axis: Tensor

    def __init__(self, size: int, theta: float, sections: Sequence[int], ladders: bool = False) -> None:
        super().__init__()
        self.size = size
        self.theta = theta
        self.ladders = tuple(sections) if ladders else (size // 2,)
        axis = np.repeat(np.arange(len(sections)) % 3, sections)
        self.register_buffer("frequencies", self._frequencies(), persistent=False)
        self.register_buffer("axis", torch.from_numpy(axis), persistent=False)

    def _frequencies(self) -> Tensor:
        steps = [torch.arange(count, dtype=torch.float32) / max(count, 1) for count in self.ladders]
        return self.theta ** -torch.cat(steps)

    @torch.no_grad()
    def forward(self, positions: Int[Tensor, "3 tokens"], dtype: torch.dtype) -> Angles:
        """Cosines and sines for all layers of a forward pass, computed in fp32 and then cast."""
        # A model that was cast to bf16 carries cast frequencies, and those would bend far positions.
        frequencies = self.frequencies
        if frequencies.dtype != torch.float32 and not frequencies.is_meta:
            frequencies = self._frequencies().to(frequencies.device)
        angles = positions.index_select(0, self.axis).t().to(torch.float32) * frequencies
        return angles.cos().to(dtype)[:, None], angles.sin().to(dtype)[:, None]


def _turn(
    x: Tensor, cos: Tensor, sin: Tensor, heads: int, interleaved: bool, skip: int, back: bool
) -> Tensor:
    pairs = cos.shape[-1]
    end = skip + 2 * pairs
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    if interleaved:
        (x1, x2), (out1, out2) = (
            part[:, :heads, skip:end].unflatten(-1, (pairs, 2)).unbind(-1) for part in (x, out)
        )
    else:
        (x1, x2), (out1, out2) = (
            part[:, :heads, skip:end].unflatten(-1, (2, pairs)).unbind(-2) for part in (x, out)
        )
    sign = -1 if back else 1
    torch.mul(x1, cos, out=out1).addcmul_(x2, sin, value=-sign)
    torch.mul(x2, cos, out=out2).addcmul_(x1, sin, value=sign)
    out[:, :heads, :skip] = x[:, :heads, :skip]
    out[:, :heads, end:] = x[:, :heads, end:]
    out[:, heads:] = x[:, heads:]
    return out


def _turn_in_one(x: Tensor, cos: Tensor, sin: Tensor, heads: int, interleaved: bool, skip: int) -> Tensor:
    """`_turn` for a compiler, which fuses the passes and cannot trace writing into a part."""
    end = skip + 2 * cos.shape[-1]
    part = x[:, :heads, skip:end]
    if interleaved:
        x1, x2 = part[..., 0::2], part[..., 1::2]
    else:
        x1, x2 = part.chunk(2, dim=-1)
    pairs = (x1 * cos - x2 * sin, x2 * cos + x1 * sin)
    turned = torch.stack(pairs, dim=-1).flatten(-2) if interleaved else torch.cat(pairs, dim=-1)
    turned = torch.cat([x[:, :heads, :skip], turned, x[:, :heads, end:]], dim=-1)
    return torch.cat([turned, x[:, heads:]], dim=1)


class _Rotate(torch.autograd.Function):
    """A rotation; the way back is the rotation by the opposite angle, so nothing but angles is kept."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, cos: Tensor, sin: Tensor, heads: int, interleaved: bool, skip: int
    ) -> Tensor:
        ctx.save_for_backward(cos, sin)
        ctx.heads, ctx.interleaved, ctx.skip = heads, interleaved, skip
        return _turn(x, cos, sin, heads, interleaved, skip, back=False)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        cos, sin = ctx.saved_tensors
        turned = _turn(gradient, cos, sin, ctx.heads, ctx.interleaved, ctx.skip, back=True)
        return turned, None, None, None, None, None


def rotate(
    x: Float[Tensor, "tokens all_heads size"], angles: Angles, heads: int, rotation: Rotation, skip: int = 0
) -> Float[Tensor, "tokens all_heads size"]:
    """Rotate the R components after the first `skip` of the first `heads` heads; the rest passes.

    Queries, keys and values come as one tensor, of which all but the values turn: one pass forth and one
    back. `half` pairs component i with i + R / 2 (GLM-4.5V), `interleaved` 2i with 2i + 1 (GLM-4.1V).
    """
    cos, sin = (angle.to(x.dtype) for angle in angles)
    if torch.compiler.is_compiling():
        return _turn_in_one(x, cos, sin, heads, rotation == "interleaved", skip)
    if not torch.is_grad_enabled():
        return _turn(x, cos, sin, heads, rotation == "interleaved", skip, back=False)
    return _Rotate.apply(x, cos, sin, heads, rotation == "interleaved", skip)


def positions_of(layout: Layout) -> np.ndarray:
    """Positions `[3, length]` of one sample.

    Text counts on all axes alike. A picture of R x C tokens starting at s has time s, row s + r, column
    s + c, and the text after it goes on at s + max(R, C). Each frame of a clip counts as its own picture.

        two words, a picture of 1 x 3, one word
        time    0 1  2 2 2  5
        row     0 1  2 2 2  5
        column  0 1  2 3 4  5

    Reference: transformers, models/glm4v/modeling_glm4v.py (Glm4vModel.get_rope_index).
    """
    parts, start = [], 0
    for span in layout:
        if span.grid is None:
            parts.append(np.broadcast_to(np.arange(start, start + span.length), (3, span.length)))
            start += span.length
            continue
        frames, rows, columns = span.grid
        if frames * rows * columns != span.length:
            raise ValueError(f"a span of {span.length} tokens has the grid {span.grid}; these do not agree")
        row, column = np.indices((rows, columns)).reshape(2, -1)
        for _ in range(frames):
            parts.append(np.stack([np.full(rows * columns, start), start + row, start + column]))
            start += max(rows, columns)
    if not parts:
        return np.zeros((3, 0), dtype=np.int64)
    return np.concatenate(parts, axis=1).astype(np.int64)
