"""The tower of GLM-4.1V, GLM-4.5V and GLM-4.6V, which began as AIMv2-Huge."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from jaxtyping import Float
from torch import Tensor

from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.ffn import FFN
from vlmloom.components.contracts.resizing import PixelBudget
from vlmloom.components.contracts.sampling import Sampling
from vlmloom.components.contracts.visuals import CLIP_MEAN, CLIP_STD, Grid, PatchSpec, Visuals
from vlmloom.components.kernels import RMSNorm
from vlmloom.components.vision.embedding import LearnedPositions
from vlmloom.components.vision.frames import FrameTower, swiglu
from vlmloom.registry import register


@register("vision/aimv2_glm")
class AIMv2GLM(FrameTower):
    """Native-aspect ViT with learned and axial rotary positions, as GLM-4.1V, 4.5V and 4.6V ship it.

    Patches are RMS-normed, take a learned position from a square table that is resampled to the grid of their
    item, and run through pre-norm blocks without QK-norm and without bias; SwiGLU, no class token. Attention
    and clips are those of `vision/cogvit`.

    Depth 24, width 1536, 12 heads and hidden 4096 is the published size (682 M with 24 x 24 positions).

    Reference: arXiv 2507.01006; transformers `models/glm4v/modeling_glm4v.py` (`Glm4vVisionModel`).
    """

    def __init__(
        self,
        *,
        width: int,
        depth: int,
        heads: int,
        hidden: int,
        table: int = 24,
        patch: int = 14,
        temporal: int = 2,
        min_patches: int = 1,
        max_patches: int = 16384,
        size: int | None = None,
        mean: tuple[float, float, float] = CLIP_MEAN,
        std: tuple[float, float, float] = CLIP_STD,
        resize: PixelBudget | None = None,
        sampling: Sampling = "all",
        qkv_bias: bool = False,
        rope_theta: float = 1e4,
        eps: float = 1e-5,
        ffn: Callable[..., FFN] | None = None,
        attention: Attention | None = None,
    ) -> None:
        """Build the tower.

        Args:
            width: of the hidden states.
            depth: number of blocks.
            heads: divides the width into sizes that are multiples of four.
            hidden: inner width of the feed-forward blocks. In the published files this is the vision part's
                `out_hidden_size`; their `intermediate_size` belongs to the merger.
            table: side of the table of learned positions (`image_size / patch_size` in the published files).
            patch: side of a patch in pixels.
            temporal: frames folded into one.
            min_patches: items below it are enlarged.
            max_patches: items above it are shrunk.
            size: a fixed square side in pixels instead of the native aspect.
            mean: per channel, of pixels in [0, 1].
            std: per channel, of pixels in [0, 1].
            resize: GLM's rule of sizes in place of min_patches, max_patches and size.
            sampling: which frames of a video are looked at.
            qkv_bias: bias in qkv alone.
            rope_theta: base of the rotary frequencies.
            eps: of the norms.
            ffn: template of the feed-forward block; None is `ffn/swiglu` without bias.
            attention: backend; None is `attention/sdpa`.

        Raises:
            ValueError: the heads do not divide the width into multiples of four, or the table is empty.
        """
        super().__init__(
            spec=PatchSpec(
                patch,
                temporal,
                1,
                min_patches,
                max_patches,
                size,
                mean,
                std,
                resize=resize,
                sampling=sampling,
            ),
            width=width,
            depth=depth,
            heads=heads,
            hidden=hidden,
            qk_norm=False,
            qkv_bias=qkv_bias,
            proj_bias=False,
            rope_theta=rope_theta,
            eps=eps,
            ffn=ffn or partial(swiglu, bias=False),
            attention=attention,
        )
        if table < 1:
            raise ValueError(f"vision/aimv2_glm: found a table of side {table}; 1 or more would be right")
        self.patch_norm = RMSNorm(width, eps=eps)
        self.positions = LearnedPositions(side=table, width=width)

    def embed(self, visuals: Visuals, shapes: list[Grid]) -> Float[Tensor, "tokens width"]:
        """Normed patches with their learned positions."""
        return self.patch_norm(self.patch_embed(visuals)) + self.positions(shapes, visuals.block)

    def embed_flops(self, tokens: int, stored: int) -> int:
        """Forward FLOPs of `embed`: the patches, and the weighted sums over the table."""
        return super().embed_flops(tokens, stored) + 2 * tokens * LearnedPositions.TAPS * self.width
