"""Any plain ViT or NaFlexViT of timm as a vision tower."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from einops import rearrange
from timm.models.naflexvit import NaFlexVit
from torch import Tensor, nn

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.patches import reorder
from vlmloom.components.contracts.spec import ShapeMismatch, Spec
from vlmloom.components.contracts.vision import Vision
from vlmloom.components.contracts.visuals import Grid, PatchSpec, VisualFeatures, Visuals, raster
from vlmloom.registry import register


@register("vision/timm")
class Timm(Vision):
    """A timm tower by name: NaFlexViT at native aspect, any other ViT at its fixed square size.

    Frames are encoded one by one, class and register tokens are dropped from the features, and a model that
    norms only its pooled output norms every token instead. NaFlexViT pads frames of unequal grids and masks
    the padding; `flops` counts real tokens only.

    Reference: timm `models/naflexvit.py`, `models/vision_transformer.py`; arXiv 2307.06304 (NaViT).
    """

    def __init__(
        self,
        *,
        model: str,
        pretrained: bool | str = False,
        size: int | None = None,
        min_patches: int = 1,
        max_patches: int = 16384,
        options: dict[str, Any] | None = None,
    ) -> None:
        """Build the tower.

        Args:
            model: a name that timm knows, e.g. `naflexvit_base_patch16_siglip` or `vit_tiny_patch16_224`.
            pretrained: True takes the published weights, a path takes those of a file.
            size: side in pixels of a fixed-size model; None is the model's own. NaFlexViT takes none.
            min_patches: items below it are enlarged (NaFlexViT).
            max_patches: items above it are shrunk (NaFlexViT).
            options: further arguments of the model, e.g. `{embed_dim: 64, depth: 2, num_heads: 2}`.

        Raises:
            ValueError: timm does not know the model, it is no ViT, or its weights cannot be had.
        """
        super().__init__()
        self.name = model
        self.model = tower = _create(model, pretrained, size, options or {})
        self.native = isinstance(tower, NaFlexVit)
        self.out_width: int = tower.embed_dim
        if pretrained:
            self.pretrained = [f"timm {model}" if pretrained is True else f"timm {model} of {pretrained}"]
        self.prefix: int = tower.num_prefix_tokens
        for weight, parameter in tower.named_parameters():
            if weight.endswith(".qkv.weight"):
                parameter.muon_splits = (len(parameter) // 3,) * 3
        # What belongs to pooling would never see a gradient.
        tower.reset_classifier(0, "")
        embed = tower.embeds if self.native else tower.patch_embed
        patch, other = embed.patch_size
        if patch != other:
            raise ValueError(
                f"vision/timm: {model} has patches of {patch} x {other}; square ones would be right"
            )
        config = tower.pretrained_cfg
        side = None if self.native else embed.img_size[0]
        self.patch_spec = PatchSpec(
            patch,
            min_patches=min_patches,
            max_patches=max_patches,
            size=side,
            mean=tuple(config["mean"]),
            std=tuple(config["std"]),
        )

    def forward(self, visuals: Visuals, taps: Sequence[int] = ()) -> tuple[VisualFeatures, Metrics]:
        """Encode packed patches.

        Args:
            visuals: `[P, 3 * patch * patch]` patches with their grids.
            taps: blocks (from 0) whose outputs are wanted, before the final norm.

        Returns:
            `[P, out_width]` features in the order of the patches; no metrics.

        Raises:
            ShapeMismatch: a grid is not the one of a fixed-size model.
        """
        shapes = self.token_grids(visuals.shapes)
        there = reorder(shapes, visuals.block, 1, visuals.patches.device)
        back = reorder(shapes, 1, visuals.block, visuals.patches.device)
        patches = visuals.patches if there is None else visuals.patches[there]
        encode = self._encode_native if self.native else self._encode_fixed
        outputs = encode(patches, tuple(shapes), sorted(set(taps)))
        outputs = outputs if back is None else [tokens[back] for tokens in outputs]
        tapped = dict(zip(sorted(set(taps)), outputs[1:], strict=True))
        return VisualFeatures(outputs[0], shapes, visuals.block, tapped), {}

    def units(self) -> list[nn.Module]:
        """See `Component.units`: the model's blocks."""
        return list(self.model.blocks)

    def token_grids(self, grids: Sequence[Grid]) -> list[Grid]:
        """The grids themselves; a fixed-size model refuses any but its own. Pure and tensor-free."""
        if (size := self.patch_spec.size) is not None:
            side = size // self.patch_spec.patch
            for frames, rows, columns in grids:
                if (rows, columns) != (side, side):
                    raise ShapeMismatch(
                        f"vision/timm: {self.name} takes {size} x {size} pixels, a grid of {side} x {side}, "
                        f"but found {frames} x {rows} x {columns}; a naflexvit model would take any grid"
                    )
        return [(frames, rows, columns) for frames, rows, columns in grids]

    def flops(self, grids: Sequence[Grid]) -> int:
        """Forward FLOPs of the matrix products: embedding, the blocks' linear maps, and attention.

        Taken from the shapes of the model's own weights; padding is not counted.
        """
        embed = self.model.embeds.proj if self.native else self.model.patch_embed.proj
        linears = sum(
            module.weight.numel() for module in self.model.blocks.modules() if isinstance(module, nn.Linear)
        )
        depth, total = len(self.model.blocks), 0
        for frames, rows, columns in self.token_grids(grids):
            area = rows * columns
            tokens = area + self.prefix
            one = area * embed.weight.numel() + tokens * linears + depth * 2 * tokens**2 * self.out_width
            total += 2 * frames * one
        return total

    def shapes(self, spec: Spec) -> Spec:
        """`patches` of 3 * patch * patch become `visual` of the model's width."""
        spec.need("vision/timm", "patches", 3 * self.patch_spec.patch**2)
        return Spec("visual", self.out_width, tuple(self.token_grids(spec.grids)))

    def _encode_fixed(self, patches: Tensor, shapes: tuple[Grid, ...], taps: list[int]) -> list[Tensor]:
        """Patches back to square images, through the model, and to flat tokens."""
        patch, side = self.patch_spec.patch, shapes[0][1]
        images = rearrange(patches, "(f r c) (k y x) -> f k (r y) (c x)", r=side, c=side, y=patch, x=patch)
        return [tokens.flatten(0, 1) for tokens in self._run(taps, images)]

    def _encode_native(self, patches: Tensor, shapes: tuple[Grid, ...], taps: list[int]) -> list[Tensor]:
        """Patches padded to the longest frame, with coordinates, through the model, and to flat tokens."""
        coordinates, slots = _padding(shapes, patches.device)
        frames, longest = coordinates.shape[:2]
        if self.model.embeds.channels_last:
            patches = rearrange(patches, "p (k s) -> p (s k)", k=3)
        valid = None
        if slots is not None:
            padded = patches.new_zeros(frames * longest, patches.shape[1])
            patches = padded.index_copy(0, slots, patches)
            valid = patches.new_zeros(frames * longest, dtype=torch.bool)
            valid = valid.index_fill(0, slots, True).view(frames, longest)
        outputs = self._run(
            taps, patches.view(frames, longest, -1), patch_coord=coordinates, patch_valid=valid
        )
        flat = [tokens.flatten(0, 1) for tokens in outputs]
        return flat if slots is None else [tokens[slots] for tokens in flat]

    def _run(self, taps: list[int], images: Tensor, **naflex: Any) -> list[Tensor]:
        """The normed output `[frames, tokens, width]`, then the tapped blocks' outputs, without prefix."""
        tapped: list[Tensor] = []
        if taps:
            last, tapped = self.model.forward_intermediates(
                images, taps, output_fmt="NLC", intermediates_only=False, **naflex
            )
        else:
            given = self.model.forward_features(images, **naflex)
            last = given["patches"] if isinstance(given, dict) else given
        return [self.model.fc_norm(last)[:, self.prefix :], *tapped]


@lru_cache(maxsize=16)
def _padding(shapes: tuple[Grid, ...], device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Row and column of every patch `[frames, longest, 2]`, and where real patches lie in the padded axis."""
    grids = [(rows, columns) for frames, rows, columns in shapes for _ in range(frames)]
    longest = max(rows * columns for rows, columns in grids)
    coordinates = np.zeros((len(grids), longest, 2), dtype=np.int64)
    slots = []
    for index, (rows, columns) in enumerate(grids):
        coordinates[index, : rows * columns] = raster((1, rows, columns), 1)
        slots.append(index * longest + np.arange(rows * columns))
    flat = np.concatenate(slots)
    with torch.inference_mode(False):
        padded = None if len(flat) == len(grids) * longest else torch.from_numpy(flat).to(device)
        return torch.from_numpy(coordinates).to(device), padded


def _create(name: str, pretrained: bool | str, size: int | None, options: dict[str, Any]) -> Any:
    """The model, checked to be one that this tower can run."""
    if name.split(".")[0] not in (known := timm.list_models()):
        near = difflib.get_close_matches(name, known, n=3) or ["naflexvit_base_patch16_gap"]
        raise ValueError(f"vision/timm: timm knows no model {name!r}; {', '.join(near)} would be right")
    arguments: dict[str, Any] = {"num_classes": 0, **options}
    if isinstance(pretrained, str):
        if not Path(pretrained).is_file():
            raise ValueError(f"vision/timm: found no file {pretrained!r} to take pretrained weights from")
        arguments["pretrained_cfg_overlay"] = {"file": pretrained}
    if size is not None:
        if name.startswith("naflexvit"):
            raise ValueError(f"vision/timm: {name} takes any grid; leave out size, which is {size}")
        arguments["img_size"] = size
    if not name.startswith(("naflexvit", "vit", "deit", "eva", "beit", "test_vit")):
        _refuse(name)
    try:
        model = timm.create_model(name, pretrained=bool(pretrained), **arguments)
    except (OSError, RuntimeError, TypeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"vision/timm: {name} could not be built: {reason}") from error
    if not isinstance(model, NaFlexVit):
        embed: Any = getattr(model, "patch_embed", None)
        kernel = getattr(getattr(embed, "proj", None), "weight", None)
        plain = kernel is not None and kernel.shape[1] == 3 and embed.img_size[0] == embed.img_size[1]
        if not plain or not hasattr(model, "blocks") or not hasattr(model, "fc_norm"):
            _refuse(name)
    return model


def _refuse(name: str) -> None:
    raise ValueError(
        f"vision/timm: {name} is no plain ViT of square images; a name that begins with vit_ or naflexvit_, "
        "such as vit_tiny_patch16_224, would be right"
    )
