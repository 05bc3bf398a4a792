"""CogViT: the tower of GLM-5V-Turbo in the shape that its open relatives ship."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.kinds import FFN, Attention, Vision
from vlmloom.components.contracts.mask import Bidirectional
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.contracts.visuals import (
    CLIP_MEAN,
    CLIP_STD,
    Grid,
    PatchSpec,
    VisualFeatures,
    Visuals,
)
from vlmloom.components.kernels import RMSNorm
from vlmloom.components.vision.rotary import axial_tables, norm_and_rotate
from vlmloom.registry import build, register


@register("vision/cogvit")
class CogViT(Vision):
    """Native-aspect ViT with QK-norm, axial rotary positions and SwiGLU, as GLM-OCR ships it.

    Pre-norm blocks (RMSNorm), bias in qkv, proj and the feed-forward block, no class token, no absolute
    positions. A token attends to the tokens of its own frame. `temporal` frames of a clip become one frame of
    tokens; a still is stored once and counts as `temporal` equal frames.

    Depth 24, width 1024, 16 heads and hidden 4096 is the published CogViT-L (403 M in the blocks).

    Reference: arXiv 2604.26752; transformers `models/glm_ocr/modeling_glm_ocr.py`.
    """

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        heads: int,
        hidden: int | None = None,
        patch: int = 14,
        temporal: int = 2,
        min_patches: int = 1,
        max_patches: int = 16384,
        size: int | None = None,
        mean: tuple[float, float, float] = CLIP_MEAN,
        std: tuple[float, float, float] = CLIP_STD,
        qk_norm: bool = True,
        qkv_bias: bool = True,
        rope_theta: float = 1e4,
        swiglu_limit: float | None = None,
        eps: float = 1e-5,
        ffn: Callable[..., FFN] | None = None,
        attention: Attention | None = None,
    ) -> None:
        """Build the tower.

        Args:
            width: of the hidden states.
            depth: number of blocks.
            heads: divides the width into sizes that are multiples of four.
            hidden: inner width of the feed-forward blocks; None is four times the width.
            patch: side of a patch in pixels.
            temporal: frames folded into one.
            min_patches: items below it are enlarged.
            max_patches: items above it are shrunk.
            size: a fixed square side in pixels instead of the native aspect.
            mean: per channel, of pixels in [0, 1].
            std: per channel, of pixels in [0, 1].
            qk_norm: RMS-normalise each head of queries and keys before the rotation.
            qkv_bias: bias in qkv, proj and the feed-forward blocks.
            rope_theta: base of the rotary frequencies.
            swiglu_limit: clamp of the default feed-forward block (10 in GLM-5.3-Flash).
            eps: of the norms.
            ffn: template of the feed-forward block; None is `ffn/swiglu`.
            attention: backend; None is `attention/sdpa`.

        Raises:
            ValueError: the heads do not divide the width into multiples of four.
        """
        super().__init__()
        if heads < 1 or width % heads or (width // heads) % 4:
            raise ValueError(
                f"vision/cogvit: width {width} over {heads} heads is no multiple of four a head; "
                f"width {4 * heads * max(1, round(width / (4 * max(heads, 1))))} would be right"
            )
        if attention is None:
            attention = build({"use": "attention/sdpa"})
        if ffn is None:
            ffn = partial(_default_ffn, bias=qkv_bias, limit=swiglu_limit)
        self.out_width = self.width = width
        self.depth, self.heads, self.temporal, self.rope_theta = depth, heads, temporal, rope_theta
        self.patch_spec = PatchSpec(patch, temporal, 1, min_patches, max_patches, size, mean, std)
        pixels = 3 * patch * patch
        # Columns run (frame, channel, row, column): a Conv3d kernel with its frame axis moved to the front.
        self.patch_embed = nn.Linear(temporal * pixels, width)
        blocks = [
            Block(
                width=width,
                heads=heads,
                bias=qkv_bias,
                qk_norm=qk_norm,
                eps=eps,
                ffn=_fill(ffn, width=width, hidden=hidden or 4 * width),
                attention=attention,
                gain=(2 * depth) ** -0.5,
            )
            for _ in range(depth)
        ]
        self.blocks = nn.ModuleList(blocks)
        self.norm = RMSNorm(width, eps=eps)
        nn.init.normal_(self.patch_embed.weight, std=(temporal * pixels) ** -0.5)
        nn.init.zeros_(self.patch_embed.bias)

    def forward(self, visuals: Visuals, taps: Sequence[int] = ()) -> tuple[VisualFeatures, Metrics]:
        """Encode packed patches.

        Args:
            visuals: `[P, 3 * patch * patch]` patches with their grids.
            taps: blocks (from 0) whose outputs are wanted, before the final norm.

        Returns:
            `[T, width]` features on `token_grids`, and the feed-forward blocks' metrics by block.

        Raises:
            ValueError: a tap names no block, or a clip's frames are no multiple of `temporal`.
        """
        if wrong := [tap for tap in taps if not 0 <= tap < self.depth]:
            raise ValueError(
                f"vision/cogvit: there is no block {wrong[0]} to tap; 0 to {self.depth - 1} would be right"
            )
        shapes = self.token_grids(visuals.shapes)
        x = self._embed(visuals)
        lengths = [rows * columns for frames, rows, columns in shapes for _ in range(frames)]
        tables = axial_tables(
            tuple(shapes), visuals.block, self.width // self.heads, self.rope_theta, x.device, x.dtype
        )
        tapped: dict[int, Tensor] = {}
        metrics: Metrics = {}
        for index, block in enumerate(self.blocks):
            x, parts = block(x, tables, lengths)
            metrics.update({f"block{index}/{name}": value for name, value in parts.items()})
            if index in taps:
                tapped[index] = x
        return VisualFeatures(self.norm(x), shapes, visuals.block, tapped), metrics

    def token_grids(self, grids: Sequence[Grid]) -> list[Grid]:
        """Stills keep their grid; `temporal` frames of a clip become one. Pure and tensor-free."""
        for frames, rows, columns in grids:
            if frames > 1 and frames % self.temporal:
                raise ValueError(
                    f"vision/cogvit: found a clip of {frames} frames ({rows} x {columns} patches); "
                    f"a multiple of {self.temporal} would be right"
                )
        return [(max(1, frames // self.temporal), rows, columns) for frames, rows, columns in grids]

    def flops(self, grids: Sequence[Grid]) -> int:
        """Forward FLOPs of the matrix products; every frame attends within itself, in both directions."""
        tokens = pairs = folded = 0
        for (frames, rows, columns), (stored, *_) in zip(self.token_grids(grids), grids, strict=True):
            area = rows * columns
            tokens += frames * area
            folded += stored * area
            pairs += frames * area * area
        pixels = self.patch_embed.in_features // self.temporal
        blocks = sum(cast(Block, block).ffn.flops(tokens) for block in self.blocks)
        return (
            2 * folded * pixels * self.width
            + self.depth * (2 * tokens * 4 * self.width**2 + 4 * pairs * self.width)
            + blocks
        )

    def shapes(self, spec: Spec) -> Spec:
        """`patches` of 3 * patch * patch become `visual` of the tower's width."""
        spec.need("vision/cogvit", "patches", 3 * self.patch_spec.patch**2)
        return Spec("visual", self.width, tuple(self.token_grids(spec.grids)))

    def _embed(self, visuals: Visuals) -> Float[Tensor, "tokens width"]:
        """Patches to tokens: a still meets the sum of the frames' kernels, a clip each frame its own."""
        weight, bias = self.patch_embed.weight, self.patch_embed.bias
        if self.temporal == 1:
            return F.linear(visuals.patches, weight, bias)
        if all(frames == 1 for frames, *_ in visuals.shapes):
            return self._embed_stills(visuals.patches)
        stills, clips, order = _folds(tuple(visuals.shapes), self.temporal, visuals.patches.device)
        clip = F.linear(visuals.patches[clips].flatten(1), weight, bias)
        if order is None:
            return clip
        return torch.cat((self._embed_stills(visuals.patches[stills]), clip))[order]

    def _embed_stills(self, patches: Tensor) -> Tensor:
        weight = self.patch_embed.weight
        return F.linear(patches, weight.view(self.width, self.temporal, -1).sum(1), self.patch_embed.bias)


class Block(nn.Module):
    """Attention within frames, then a feed-forward block, each behind an RMSNorm."""

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        bias: bool,
        qk_norm: bool,
        eps: float,
        ffn: FFN,
        attention: Attention,
        gain: float,
    ) -> None:
        """Build the block; `gain` scales the initial output projection."""
        super().__init__()
        self.heads, self.eps = heads, eps
        self.norm1 = RMSNorm(width, eps=eps)
        self.norm2 = RMSNorm(width, eps=eps)
        self.qkv = nn.Linear(width, 3 * width, bias=bias)
        self.proj = nn.Linear(width, width, bias=bias)
        self.qkv.weight.muon_splits = (width, width, width)  # type: ignore[attr-defined]
        self.q_norm = nn.Parameter(torch.ones(width // heads)) if qk_norm else None
        self.k_norm = nn.Parameter(torch.ones(width // heads)) if qk_norm else None
        self.ffn = ffn
        self.attention = attention
        nn.init.normal_(self.qkv.weight, std=width**-0.5)
        nn.init.normal_(self.proj.weight, std=gain * width**-0.5)
        if bias:
            nn.init.zeros_(self.qkv.bias)
            nn.init.zeros_(self.proj.bias)

    def forward(
        self, x: Float[Tensor, "tokens width"], tables: Tensor, lengths: list[int]
    ) -> tuple[Float[Tensor, "tokens width"], Metrics]:
        """Run the block over packed frames of these lengths."""
        qkv = self.qkv(self.norm1(x)).view(len(x), 3, self.heads, -1)
        weight = None
        if self.q_norm is not None and self.k_norm is not None:
            weight = torch.stack((self.q_norm, self.k_norm))[:, None]
        query, key = norm_and_rotate(qkv[:, :2], tables, weight, self.eps).unbind(1)
        x = x + self.proj(self.attention(query, key, qkv[:, 2], lengths, Bidirectional()).reshape(len(x), -1))
        out, metrics = self.ffn(self.norm2(x), lengths)
        return x + out, metrics


@lru_cache(maxsize=16)
def _folds(
    shapes: tuple[Grid, ...], temporal: int, device: torch.device
) -> tuple[Tensor | None, Tensor, Tensor | None]:
    """Rows of the stills `[S]`, of the clips `[K, temporal]`, and the order of their concatenation."""
    stills, clips, kinds, start = [], [], [], 0
    for frames, rows, columns in shapes:
        area = rows * columns
        index = torch.arange(start, start + frames * area)
        if frames == 1:
            stills.append(index)
        else:
            clips.append(index.view(-1, temporal, area).transpose(1, 2).reshape(-1, temporal))
        kinds.append(torch.full((max(1, frames // temporal) * area,), frames > 1))
        start += frames * area
    with torch.inference_mode(False):
        if not stills:
            return None, torch.cat(clips).to(device), None
        order = torch.argsort(torch.argsort(torch.cat(kinds).int(), stable=True))
        return torch.cat(stills).to(device), torch.cat(clips).to(device), order.to(device)


def _fill(template: Callable[..., FFN], **offers: Any) -> FFN:
    """Call a template with those offers that it needs and has left open; the width always."""
    fixed = template.keywords if isinstance(template, partial) else {}
    parameters = inspect.signature(template).parameters
    needed = {
        name: value
        for name, value in offers.items()
        if name == "width"
        or (name not in fixed and name in parameters and parameters[name].default is inspect.Parameter.empty)
    }
    return template(**needed)


def _default_ffn(*, width: int, hidden: int, **arguments: Any) -> FFN:
    """The block by its registered name, so that this folder imports no other kind."""
    return build({"use": "ffn/swiglu", "width": width, "hidden": hidden, **arguments})
