"""DINOv3's tower: a class token, registers, LayerScale, and rotary positions on a box of [-1, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from hashlib import blake2b

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.ffn import FFN
from vlmloom.components.contracts.mask import Bidirectional
from vlmloom.components.contracts.sampling import Sampling
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.contracts.vision import Vision
from vlmloom.components.contracts.visuals import Grid, PatchSpec, VisualFeatures, Visuals, raster
from vlmloom.components.vision.embedding import PatchEmbed
from vlmloom.components.vision.frames import filled, need_sizes, need_taps, swiglu
from vlmloom.components.vision.rotary import norm_and_rotate
from vlmloom.registry import build, register

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@register("vision/dinov3")
class DINOv3Tower(Vision):
    """Pre-norm ViT whose frames each begin with a class token and registers; the class token is `pooled`.

    A token attends to the tokens of its own frame. Patches, not the tokens before them, turn with their
    place: the frame is the box [-1, 1] in both directions whatever its grid. In training the box is
    stretched by a factor that is drawn anew for every step, log-uniform in `[1 / rescale, rescale]`, so that
    the tower learns to be shown other resolutions. Registers give what is not of one place a token of its
    own, and are dropped at the end. Keys have no bias. A clip's frames are seen one by one, and its class
    tokens averaged.

    Depth 40, width 4096, 32 heads and hidden 8192 is the published 7B, with patches of 16 and 4 registers.

    >>> tower = DINOv3Tower(width=8, depth=1, heads=2, hidden=16, patch=4)
    >>> features, _ = tower(Visuals.noise([(1, 2, 3), (1, 1, 2)], patch=4))
    >>> tuple(features.tokens.shape), tuple(features.pooled.shape)
    ((8, 8), (2, 8))

    Reference: arXiv 2508.10104 (DINOv3), arXiv 2309.16588 (registers); transformers
    `models/dinov3_vit/modeling_dinov3_vit.py`.
    """

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        heads: int,
        hidden: int | None = None,
        patch: int = 16,
        registers: int = 4,
        rescale: float = 2.0,
        layer_scale: float = 1.0,
        rope_theta: float = 100.0,
        min_patches: int = 1,
        max_patches: int = 16384,
        size: int | None = None,
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
        sampling: Sampling = "all",
        eps: float = 1e-5,
        ffn: Callable[..., FFN] | None = None,
        attention: Attention | None = None,
    ) -> None:
        """Build the tower.

        Args:
            width: of the hidden states.
            depth: number of blocks.
            heads: divides the width into sizes that are multiples of four.
            hidden: inner width of the feed-forward blocks; None is twice the width, as in the 7B.
            patch: side of a patch in pixels.
            registers: tokens of a frame beside the class token and the patches.
            rescale: the largest factor that stretches the box of positions in training; 1 leaves it.
            layer_scale: what the scales of the blocks' outputs begin with.
            rope_theta: base of the rotary frequencies.
            min_patches: items below it are enlarged.
            max_patches: items above it are shrunk.
            size: a fixed square side in pixels instead of the native aspect.
            mean: per channel, of pixels in [0, 1].
            std: per channel, of pixels in [0, 1].
            sampling: which frames of a video are looked at.
            eps: of the norms.
            ffn: template of the feed-forward block; None is `ffn/swiglu` with biases.
            attention: backend; None is `attention/sdpa`.

        Raises:
            ValueError: a number is out of range, or the heads do not divide the width into multiples of four.
        """
        super().__init__()
        hidden = 2 * width if hidden is None else hidden
        more = (("registers", registers, 0), ("rescale", rescale, 1), ("layer_scale", layer_scale, 0))
        need_sizes(self.registered_name, width, depth, heads, hidden, more)
        attention = attention or build({"use": "attention/sdpa"})
        template = ffn or partial(swiglu, bias=True)
        self.out_width = self.width = width
        self.depth, self.heads, self.rope_theta, self.rescale = depth, heads, rope_theta, rescale
        self.patch_spec = PatchSpec(patch, 1, 1, min_patches, max_patches, size, mean, std, sampling=sampling)
        self.patch_embed = PatchEmbed(patch=patch, temporal=1, width=width)
        self.prefix = nn.Parameter(torch.randn(1 + registers, width) * 0.02)
        self.blocks = nn.ModuleList(
            [
                ScaledBlock(
                    width=width,
                    heads=heads,
                    scale=layer_scale,
                    eps=eps,
                    ffn=filled(template, width=width, hidden=hidden),
                    attention=attention,
                )
                for _ in range(depth)
            ]
        )
        self.norm = nn.LayerNorm(width, eps=eps)

    def units(self) -> list[nn.Module]:
        """See `Component.units`: the blocks."""
        return list(self.blocks)

    def forward(self, visuals: Visuals, taps: Sequence[int] = ()) -> tuple[VisualFeatures, Metrics]:
        """Encode packed patches.

        Args:
            visuals: `[P, 3 * patch * patch]` patches with their grids.
            taps: blocks (from 0) whose outputs at the patches are wanted, before the final norm.

        Returns:
            `[P, width]` normed features of the patches, the class tokens in `pooled`, and the feed-forward
            blocks' metrics by block.

        Raises:
            ValueError: a tap names no block.
        """
        need_taps(self.registered_name, taps, self.depth)
        shapes = self.token_grids(visuals.shapes)
        areas = [rows * columns for frames, rows, columns in shapes for _ in range(frames)]
        ahead = len(self.prefix)
        lengths = [ahead + area for area in areas]
        x = self.patch_embed(visuals)
        x = torch.cat([part for patches in x.split(areas) for part in (self.prefix.to(x.dtype), patches)])
        tables = box_tables(
            tuple(shapes), visuals.block, ahead, self.width // self.heads, self.rope_theta, self._stretch()
        ).to(x)
        starts, patches_at = _places(tuple(areas), ahead, x.device)
        tapped: dict[int, Tensor] = {}
        metrics: Metrics = {}
        for index, block in enumerate(self.blocks):
            x, parts = block(x, tables, lengths)
            metrics.update({f"block{index}/{name}": value for name, value in parts.items()})
            if index in taps:
                tapped[index] = x[patches_at]
        x = self.norm(x)
        counts = [frames for frames, _, _ in shapes]
        pooled = torch.stack([part.mean(0) for part in x[starts].split(counts)]) if counts else x[:0]
        return VisualFeatures(x[patches_at], shapes, visuals.block, tapped, pooled), metrics

    def _stretch(self) -> float:
        """The factor of a step: 1 but in training.

        It is drawn by the class token and the registers, which every step moves: chunks of a batch, a pass
        that is computed anew for its gradient, and a resumed training have the same.
        """
        if not self.training or self.rescale == 1:
            return 1.0
        digest = blake2b(self.prefix.detach().float().cpu().numpy().tobytes(), digest_size=8).digest()
        return float(self.rescale ** (2 * int.from_bytes(digest) / 2**64 - 1))

    def token_grids(self, grids: Sequence[Grid]) -> list[Grid]:
        """The grids themselves. Pure and tensor-free."""
        return [(frames, rows, columns) for frames, rows, columns in grids]

    def flops(self, grids: Sequence[Grid]) -> int:
        """Forward FLOPs of the matrix products; every frame attends within itself, in both directions."""
        patches = sum(frames * rows * columns for frames, rows, columns in grids)
        lengths = [(frames, len(self.prefix) + rows * columns) for frames, rows, columns in grids]
        tokens = sum(frames * length for frames, length in lengths)
        pairs = sum(frames * length**2 for frames, length in lengths)
        return (
            self.patch_embed.flops(patches)
            + self.depth * (2 * tokens * 4 * self.width**2 + 4 * pairs * self.width)
            + sum(block.ffn.flops(tokens) for block in self.blocks)  # type: ignore[operator,union-attr]
        )

    def shapes(self, spec: Spec) -> Spec:
        """`patches` of 3 * patch * patch become `visual` of the tower's width."""
        spec.need(self.registered_name, "patches", 3 * self.patch_spec.patch**2)
        return Spec("visual", self.width, tuple(self.token_grids(spec.grids)))


class ScaledBlock(nn.Module):
    """Attention within frames, then a feed-forward block, each behind a LayerNorm and scaled by channel."""

    def __init__(
        self, *, width: int, heads: int, scale: float, eps: float, ffn: FFN, attention: Attention
    ) -> None:
        """Build the block; `scale` is what both scales begin with."""
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=eps), nn.LayerNorm(width, eps=eps)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.qkv.weight.muon_splits = (width, width, width)  # type: ignore[attr-defined]
        self.query_bias, self.value_bias = nn.Parameter(torch.zeros(width)), nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)
        self.scale1, self.scale2 = (nn.Parameter(torch.full((width,), scale)) for _ in range(2))
        self.ffn, self.attention = ffn, attention
        for linear in (self.qkv, self.proj):
            nn.init.normal_(linear.weight, std=0.02)
        nn.init.zeros_(self.proj.bias)

    def forward(
        self, x: Float[Tensor, "tokens width"], tables: Tensor, lengths: list[int]
    ) -> tuple[Float[Tensor, "tokens width"], Metrics]:
        """Run the block over packed frames of these lengths."""
        bias = torch.cat([self.query_bias, torch.zeros_like(self.query_bias), self.value_bias])
        qkv = F.linear(self.norm1(x), self.qkv.weight, bias).view(len(x), 3, self.heads, -1)
        both, value = qkv.split((2, 1), dim=1)
        query, key = norm_and_rotate(both, tables, None, 0.0).unbind(1)
        attended = self.attention(query, key, value[:, 0], lengths, Bidirectional())
        x = x + self.scale1 * self.proj(attended.reshape(len(x), -1))
        out, metrics = self.ffn(self.norm2(x), lengths)
        return x + self.scale2 * out, metrics


def box_tables(
    shapes: tuple[Grid, ...], block: int, ahead: int, size: int, theta: float, stretch: float
) -> Float[Tensor, "2 tokens 1 1 size"]:
    """Cosines and signed sines as in `rotary.axial_tables`, of centres of patches on a box of +-`stretch`.

    Angles are 2 pi times the centre times `theta ** -(4 i / size)`, rows before columns. The `ahead` tokens
    in front of every frame do not turn.
    """
    frames = [
        _frame(rows, columns, block, ahead, size, theta).repeat(count, 1) for count, rows, columns in shapes
    ]
    angles = torch.cat(frames) * stretch if frames else torch.zeros(0, size // 2)
    cosine, sine = angles.cos(), angles.sin()
    return torch.stack([cosine.repeat(1, 2), torch.cat([-sine, sine], -1)])[:, :, None, None]


@lru_cache(maxsize=512)
def _frame(rows: int, columns: int, block: int, ahead: int, size: int, theta: float) -> Tensor:
    with torch.inference_mode(False):
        frequencies = theta ** -torch.arange(0, 1, 4 / size, dtype=torch.float32)
        places = torch.from_numpy(raster((1, rows, columns), block)).float()
        centres = 2 * (places + 0.5) / torch.tensor([rows, columns]) - 1
        angles = (2 * math.pi * centres[:, :, None] * frequencies).flatten(1)
        return torch.cat([angles.new_zeros(ahead, size // 2), angles])


@lru_cache(maxsize=16)
def _places(areas: tuple[int, ...], ahead: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Where, on the flat axis, the class tokens of the frames lie, and where the patches."""
    with torch.inference_mode(False):
        sizes = torch.tensor(areas, dtype=torch.long)
        starts = (sizes + ahead).cumsum(0) - sizes - ahead
        own = torch.arange(len(areas)).repeat_interleave(sizes)
        patches = torch.arange(int(sizes.sum())) + (own + 1) * ahead
        return starts.to(device), patches.to(device)
