"""`FrameTower`: what GLM's towers share, from packed patches to normed features."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.ffn import FFN
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.contracts.vision import Vision
from vlmloom.components.contracts.visuals import Grid, PatchSpec, VisualFeatures, Visuals
from vlmloom.components.kernels import RMSNorm
from vlmloom.components.vision.block import Block
from vlmloom.components.vision.embedding import PatchEmbed, folded
from vlmloom.components.vision.rotary import axial_tables
from vlmloom.registry import build
from vlmloom.registry.depth import MOST
from vlmloom.registry.errors import refuse


class FrameTower(Vision):
    """Pre-norm blocks over packed frames with axial rotary positions, then a norm.

    A token attends to the tokens of its own frame. `temporal` frames of a clip become one frame of tokens; a
    still is stored once and counts as `temporal` equal frames. A tower overrides `embed` and `embed_flops`.
    """

    def __init__(
        self,
        *,
        spec: PatchSpec,
        width: int,
        depth: int,
        heads: int,
        hidden: int,
        qk_norm: bool,
        qkv_bias: bool,
        proj_bias: bool,
        rope_theta: float,
        eps: float,
        ffn: Callable[..., FFN],
        attention: Attention | None,
        watch_logits: bool = False,
    ) -> None:
        """Build embedding, blocks and norm.

        Raises:
            ValueError: a width is below one, the heads do not divide the width into multiples of four, or no
                model is so deep.
        """
        super().__init__()
        need_sizes(self.registered_name, width, depth, heads, hidden)
        if attention is None:
            attention = build({"use": "attention/sdpa"})
        self.out_width = self.width = width
        self.depth, self.heads, self.temporal, self.rope_theta = depth, heads, spec.temporal, rope_theta
        self.patch_spec = spec
        self.patch_embed = PatchEmbed(patch=spec.patch, temporal=spec.temporal, width=width)
        self.blocks = nn.ModuleList(
            [
                Block(
                    width=width,
                    heads=heads,
                    qkv_bias=qkv_bias,
                    proj_bias=proj_bias,
                    qk_norm=qk_norm,
                    eps=eps,
                    ffn=filled(ffn, width=width, hidden=hidden),
                    attention=attention,
                    gain=(2 * depth) ** -0.5,
                    watch_logits=watch_logits,
                )
                for _ in range(depth)
            ]
        )
        self.norm = RMSNorm(width, eps=eps)

    def units(self) -> list[nn.Module]:
        """See `Component.units`: the blocks."""
        return list(self.blocks)

    def embed(self, visuals: Visuals, shapes: list[Grid]) -> Float[Tensor, "tokens width"]:
        """What enters the first block, on grids of tokens `shapes`."""
        return self.patch_embed(visuals)

    def embed_flops(self, tokens: int, stored: int) -> int:
        """Forward FLOPs of `embed` for so many tokens, folded from so many stored patches."""
        return self.patch_embed.flops(stored)

    def forward(self, visuals: Visuals, taps: Sequence[int] = ()) -> tuple[VisualFeatures, Metrics]:
        """Encode packed patches.

        Args:
            visuals: `[P, 3 * patch * patch]` patches with their grids.
            taps: blocks (from 0) whose outputs are wanted, before the final norm.

        Returns:
            `[T, width]` features on `token_grids`, and the feed-forward blocks' metrics by block; with
            `watch_logits` the largest attention logit of all blocks, `logit`.

        Raises:
            ValueError: a tap names no block, or a clip's frames are no multiple of `temporal`.
        """
        need_taps(self.registered_name, taps, self.depth)
        shapes = self.token_grids(visuals.shapes)
        x = self.embed(visuals, shapes)
        lengths = [rows * columns for frames, rows, columns in shapes for _ in range(frames)]
        tables = axial_tables(
            tuple(shapes), visuals.block, self.width // self.heads, self.rope_theta, x.device, x.dtype
        )
        tapped: dict[int, Tensor] = {}
        metrics: Metrics = {}
        for index, block in enumerate(self.blocks):
            x, parts = block(x, tables, lengths)
            if "logit" in parts:
                metrics["logit"] = torch.maximum(metrics.get("logit", x.new_zeros(())), parts.pop("logit"))
            metrics.update({f"block{index}/{name}": value for name, value in parts.items()})
            if index in taps:
                tapped[index] = x
        return VisualFeatures(self.norm(x), shapes, visuals.block, tapped), metrics

    def token_grids(self, grids: Sequence[Grid]) -> list[Grid]:
        """Stills keep their grid; `temporal` frames of a clip become one. Pure and tensor-free."""
        return folded(grids, self.temporal, self.registered_name)

    def flops(self, grids: Sequence[Grid]) -> int:
        """Forward FLOPs of the matrix products; every frame attends within itself, in both directions."""
        tokens = pairs = stored = 0
        for (frames, rows, columns), (kept, *_) in zip(self.token_grids(grids), grids, strict=True):
            area = rows * columns
            tokens += frames * area
            stored += kept * area
            pairs += frames * area * area
        return (
            self.embed_flops(tokens, stored)
            + self.depth * (2 * tokens * 4 * self.width**2 + 4 * pairs * self.width)
            + sum(cast(Block, block).ffn.flops(tokens) for block in self.blocks)
        )

    def shapes(self, spec: Spec) -> Spec:
        """`patches` of 3 * patch * patch become `visual` of the tower's width."""
        spec.need(self.registered_name, "patches", 3 * self.patch_spec.patch**2)
        return Spec("visual", self.width, tuple(self.token_grids(spec.grids)))


def need_sizes(
    who: str, width: int, depth: int, heads: int, hidden: int, more: Sequence[tuple[str, float, int]] = ()
) -> None:
    """Refuse sizes that no tower of rotated heads has; `more` are names and values, each with its least.

    Raises:
        ValueError: a number is out of range, or the heads do not divide the width into multiples of four.
    """
    refused = [
        f"{name} is {value}; {least} or more would be right"
        for name, value, least in (("width", width, 1), ("hidden", hidden, 1), *more)
        if not least <= value < math.inf
    ]
    if heads < 1 or width % heads or (width // heads) % 4:
        refused.append(
            f"width {width} over {heads} heads is no multiple of four a head; "
            f"width {4 * heads * max(1, round(width / (4 * max(heads, 1))))} would be right"
        )
    if not 0 <= depth <= MOST:
        refused.append(f"depth is {depth}; from 0 to {MOST} would be right")
    refuse(who, refused)


def need_taps(who: str, taps: Sequence[int], depth: int) -> None:
    """Refuse taps that name no block.

    Raises:
        ValueError: one does not.
    """
    if wrong := [tap for tap in taps if not 0 <= tap < depth]:
        raise ValueError(f"{who}: there is no block {wrong[0]} to tap; 0 to {depth - 1} would be right")


def swiglu(*, width: int, hidden: int, **arguments: Any) -> FFN:
    """The default feed-forward block by its registered name, so that this folder imports no other kind."""
    return build({"use": "ffn/swiglu", "width": width, "hidden": hidden, **arguments})


def filled(template: Callable[..., FFN], **offers: Any) -> FFN:
    """What a template makes with those offers that it needs and has left open; the width always."""
    fixed = template.keywords if isinstance(template, partial) else {}
    parameters = inspect.signature(template).parameters
    needed = {
        name: value
        for name, value in offers.items()
        if name == "width"
        or (name not in fixed and name in parameters and parameters[name].default is inspect.Parameter.empty)
    }
    return template(**needed)
