"""CogViT: the tower of GLM-5V-Turbo in the shape that its open relatives ship."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.ffn import FFN
from vlmloom.components.contracts.resizing import PixelBudget
from vlmloom.components.contracts.sampling import Sampling
from vlmloom.components.contracts.visuals import CLIP_MEAN, CLIP_STD, PatchSpec
from vlmloom.components.vision.frames import FrameTower, swiglu
from vlmloom.registry import register


@register("vision/cogvit")
class CogViT(FrameTower):
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
        resize: PixelBudget | None = None,
        sampling: Sampling = "all",
        qk_norm: bool = True,
        qkv_bias: bool = True,
        rope_theta: float = 1e4,
        swiglu_limit: float | None = None,
        eps: float = 1e-5,
        ffn: Callable[..., FFN] | None = None,
        attention: Attention | None = None,
        watch_logits: bool = False,
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
            resize: GLM's rule of sizes in place of min_patches, max_patches and size.
            sampling: which frames of a video are looked at.
            qk_norm: RMS-normalise each head of queries and keys before the rotation.
            qkv_bias: bias in qkv, proj and the feed-forward blocks.
            rope_theta: base of the rotary frequencies.
            swiglu_limit: clamp of the default feed-forward block (10 in GLM-5.3-Flash).
            eps: of the norms.
            ffn: template of the feed-forward block; None is `ffn/swiglu`.
            attention: backend; None is `attention/sdpa`.
            watch_logits: report the largest attention logit, at the price of taking all products again.

        Raises:
            ValueError: the heads do not divide the width into multiples of four.
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
            hidden=4 * width if hidden is None else hidden,
            qk_norm=qk_norm,
            qkv_bias=qkv_bias,
            proj_bias=qkv_bias,
            rope_theta=rope_theta,
            eps=eps,
            ffn=ffn or partial(swiglu, bias=qkv_bias, limit=swiglu_limit),
            attention=attention,
            watch_logits=watch_logits,
        )
