"""A tower whose blocks are those of a text-only language model: Penguin-VL's encoder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.language import Language
from vlmloom.components.contracts.mask import Bidirectional
from vlmloom.components.contracts.patches import resample
from vlmloom.components.contracts.resizing import PixelBudget
from vlmloom.components.contracts.sampling import Sampling
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.contracts.vision import Vision
from vlmloom.components.contracts.visuals import (
    CLIP_MEAN,
    CLIP_STD,
    Grid,
    PatchSpec,
    VisualFeatures,
    Visuals,
    raster,
)
from vlmloom.components.vision.embedding import PatchEmbed, folded
from vlmloom.registry import register
from vlmloom.registry.errors import below_one, refuse


@register("vision/llm_init")
class LLMInit(Vision):
    """Native-aspect ViT made of a language model's blocks and last norm, as Penguin-VL's encoder is.

    The embedding of words gives way to a linear embedding of patches at random; a token attends to all of its
    own frame and to none of another; rotary positions are (row, column), half of what is rotated each. The
    map of each frame is made smaller at the end, bilinearly, by `merge` in stills and `clip_merge` in clips.
    `language/run` brings trained blocks, any other `language` those that it draws.

    One departure: the published code turns the two components of a pair by different axes, which is no
    rotation. Here both turn by the row or both by the column, so that products of queries and keys depend on
    where two patches lie to each other alone.

    >>> from vlmloom.components.contracts.visuals import Visuals
    >>> from vlmloom.registry import build
    >>> layers = [{"ffn": {"use": "ffn/swiglu", "hidden": 64}}] * 2
    >>> language = {"use": "language/glm", "vocab": 1, "width": 32, "depth": 2, "heads": 2, "layers": layers}
    >>> tower = build({"use": "vision/llm_init", "language": language, "patch": 4})
    >>> features, _ = tower(Visuals.noise([(1, 4, 6), (2, 4, 4)], patch=4))  # a still, a clip of two frames
    >>> features.shapes, tuple(features.tokens.shape)
    ([(1, 4, 6), (2, 2, 2)], (32, 32))

    Reference: arXiv 2603.06569; https://github.com/tencent-ailab/Penguin-VL
    (penguinvl/model/penguinvl_encoder/modeling_penguinvl_encoder.py).
    """

    def __init__(
        self,
        *,
        language: Language,
        patch: int = 14,
        temporal: int = 1,
        merge: int = 1,
        clip_merge: int = 2,
        min_patches: int = 1,
        max_patches: int = 16384,
        size: int | None = None,
        mean: tuple[float, float, float] = CLIP_MEAN,
        std: tuple[float, float, float] = CLIP_STD,
        resize: PixelBudget | None = None,
        sampling: Sampling = "all",
    ) -> None:
        """Take the blocks of a language part, which is none afterwards.

        Args:
            language: whose blocks these are: `language/glm` at random, `language/run` trained.
            patch: side of a patch in pixels.
            temporal: frames folded into one.
            merge: side of the squares of tokens that become one, in stills.
            clip_merge: the same in clips.
            min_patches: items below it are enlarged.
            max_patches: items above it are shrunk.
            size: a fixed square side in pixels instead of the native aspect.
            mean: per channel, of pixels in [0, 1].
            std: per channel, of pixels in [0, 1].
            resize: GLM's rule of sizes in place of min_patches, max_patches and size.
            sampling: which frames of a video are looked at.

        Raises:
            ValueError: the attention of the language part stays causal, what it rotates of a head has no two
                sections, or a side is below one.
        """
        super().__init__()
        refuse("vision/llm_init", below_one(merge=merge, clip_merge=clip_merge))
        language.become_tower()
        self.patch_spec = PatchSpec(
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
            merge=(merge, clip_merge),
        )
        self.out_width = language.width
        self.patch_embed = PatchEmbed(patch=patch, temporal=temporal, width=language.width)
        self.language = language

    def units(self) -> list[nn.Module]:
        """See `Component.units`: the blocks."""
        return self.language.units()

    def forward(self, visuals: Visuals, taps: Sequence[int] = ()) -> tuple[VisualFeatures, Metrics]:
        """Encode packed patches.

        Args:
            visuals: `[P, 3 * patch * patch]` patches with their grids.
            taps: blocks (from 0) whose outputs are wanted, before the final norm.

        Returns:
            `[T, width]` features on `token_grids`, and the blocks' metrics.

        Raises:
            ValueError: a tap names no block, or a grid does not divide as `token_grids` says.
        """
        wanted = self.token_grids(visuals.shapes)
        shapes = folded(visuals.shapes, self.patch_spec.temporal, self.registered_name)
        x = self.patch_embed(visuals)
        positions = _positions(tuple(shapes), visuals.block, x.device)
        lengths = [rows * columns for frames, rows, columns in shapes for _ in range(frames)]
        x, metrics = self.language(x, positions, lengths, mask=Bidirectional(), taps=taps)

        def smaller(tokens: Tensor) -> Tensor:
            if shapes == wanted:
                return tokens
            return resample(VisualFeatures(tokens, shapes, visuals.block), wanted, visuals.block)

        tapped = {layer: smaller(tokens) for layer, tokens in self.language.tapped.items()}
        return VisualFeatures(smaller(x), wanted, visuals.block, tapped), metrics

    def token_grids(self, grids: Sequence[Grid]) -> list[Grid]:
        """Folded frames, rows and columns divided by `merge` or `clip_merge`. Pure and tensor-free.

        Raises:
            ValueError: frames, rows or columns do not divide.
        """
        found = []
        for (frames, rows, columns), (stored, *_) in zip(
            folded(grids, self.patch_spec.temporal, self.registered_name), grids, strict=True
        ):
            side = self.patch_spec.merged(stored)
            if rows % side or columns % side:
                raise ValueError(
                    f"vision/llm_init: found {rows} x {columns} patches, of which {side} x {side} become one "
                    f"token; multiples of {side} would be right"
                )
            found.append((frames, rows // side, columns // side))
        return found

    def flops(self, grids: Sequence[Grid]) -> int:
        """Forward FLOPs of the matrix products; every frame attends within itself, in both directions."""
        shapes = folded(grids, self.patch_spec.temporal, self.registered_name)
        stored = sum(frames * rows * columns for frames, rows, columns in grids)
        lengths = [rows * columns for frames, rows, columns in shapes for _ in range(frames)]
        return self.patch_embed.flops(stored) + self.language.flops(lengths)

    def shapes(self, spec: Spec) -> Spec:
        """`patches` of 3 * patch * patch become `visual` of the language part's width."""
        spec.need(self.registered_name, "patches", 3 * self.patch_spec.patch**2)
        return Spec("visual", self.out_width, tuple(self.token_grids(spec.grids)))


@lru_cache(maxsize=16)
def _positions(shapes: tuple[Grid, ...], block: int, device: torch.device) -> Tensor:
    """Rotary positions `[3, T]`: no time, row, column; the frames of an item share theirs."""
    places = [np.tile(raster((1, rows, columns), block), (frames, 1)) for frames, rows, columns in shapes]
    joined = np.concatenate(places).T
    # A tensor made in inference mode could not be saved for a later backward pass.
    with torch.inference_mode(False):
        return torch.from_numpy(np.stack([np.zeros_like(joined[0]), *joined])).to(device)
