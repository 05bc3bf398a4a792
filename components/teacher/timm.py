"""Any model of timm as a teacher, and the two families that the field distils from."""

from __future__ import annotations

import difflib
from typing import Any, Literal

import timm
from jaxtyping import Float
from torch import Tensor

from vlmloom.components.teacher.square import SquareTeacher
from vlmloom.components.teacher.weights import FAULTS, dry, fetched, need_file, no_map
from vlmloom.registry import register


@register("teacher/timm")
class TimmTeacher(SquareTeacher):
    """A timm model by name, convolutional or not: its last map of features and its pooled embedding.

    >>> teacher = TimmTeacher(model="resnet18", weights=None, size=64)
    >>> teacher.out_width, teacher.patch_spec.patch
    (512, 32)

    Reference: timm, `forward_intermediates` and `forward_head`.
    """

    def __init__(
        self,
        *,
        model: str,
        weights: str | None = "hub",
        size: int | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        """Build the model.

        Args:
            model: a name that timm knows, e.g. `vit_base_patch16_dinov3.lvd1689m`.
            weights: `hub` takes the published ones, a path those of a file, None leaves them random.
            size: side of the image in pixels; None is the model's own.
            options: further arguments of the model.

        Raises:
            ValueError: timm does not know it, it gives no maps, or its weights cannot be had.
        """
        who = self.registered_name
        if model.split(".")[0] not in (known := timm.list_models()):
            near = difflib.get_close_matches(model, known, n=3) or ["vit_base_patch16_dinov3"]
            raise ValueError(f"{who}: timm knows no model {model!r}; {', '.join(near)} would be right")
        made_by = {"model": model, **(options or {})}
        arguments: dict[str, Any] = {"num_classes": 0, **(options or {})}
        if weights not in (None, "hub"):
            arguments["pretrained_cfg_overlay"] = {"file": need_file(who, str(weights))}
        # Attention models have tables for one size; others take any, and know no such argument.
        sized = size is not None and model.startswith(("vit", "deit", "eva", "beit", "swin", "test_vit"))
        if sized:
            arguments["img_size"] = size

        def make() -> Any:
            return timm.create_model(model, pretrained=weights is not None and not dry(), **arguments)

        try:
            built = fetched(who, model, make) if weights is not None else make()
        except TypeError as error:
            raise ValueError(f"{who}: {model} could not be built: {error}") from error
        if not hasattr(built, "forward_intermediates"):
            raise ValueError(
                f"{who}: {model} gives no maps of features; a vit_ or a convnext_ would be right"
            )
        config = built.pretrained_cfg
        super().__init__(
            stride=built.feature_info[-1]["reduction"],
            size=size or config["input_size"][1],
            out_width=built.feature_info[-1]["num_chs"],
            mean=config["mean"],
            std=config["std"],
        )
        self.model, self.made_by = built, made_by
        if weights is not None:
            origin = f"timm {model}" if weights == "hub" else f"timm {model} of {weights}"
            self.pretrained = [f"{origin}, a frozen teacher ({config['license'] or 'licence not told'})"]
        self.freeze_all()

    def options(self) -> dict[str, Any]:
        """See `Teacher.options`."""
        return self.made_by

    def encode(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> tuple[Float[Tensor, "images channels rows columns"], Float[Tensor, "images pooled"]]:
        """See `SquareTeacher.encode`."""
        try:
            return self._look(images)
        except FAULTS as error:
            raise no_map(self, self.made_by["model"], images, error) from error

    def _look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        try:
            last, maps = self.model.forward_intermediates(images, indices=1, norm=True, output_fmt="NCHW")
        except AssertionError:  # a model that has no norm for its maps (Hiera)
            maps = []
        # Or one whose norm is in a neck of another width (SAM).
        if not maps or maps[-1].shape[1] != self.out_width:
            last, maps = self.model.forward_intermediates(images, indices=1, norm=False, output_fmt="NCHW")
        return maps[-1], self.model.forward_head(last, pre_logits=True)


@register("teacher/dinov3")
class DINOv3(TimmTeacher):
    """DINOv3, the teacher of dense structure: patch 16, rotary positions, four registers.

    >>> DINOv3(model="small", weights=None, size=64).out_width
    384

    Reference: arXiv 2508.10104; weights `timm/vit_*_patch16_dinov3.lvd1689m`.
    """

    def __init__(
        self,
        *,
        model: Literal["small", "small_plus", "base", "large", "huge_plus", "7b"] = "base",
        weights: str | None = "hub",
        size: int = 224,
    ) -> None:
        """Build it.

        Args:
            model: the size of the model.
            weights: `hub` takes the published ones, a path those of a file, None leaves them random.
            size: side of the image in pixels, a multiple of 16.

        Raises:
            ValueError: there is no such model, or its weights cannot be had.
        """
        super().__init__(model=f"vit_{model}_patch16_dinov3.lvd1689m", weights=weights, size=size)


@register("teacher/siglip2")
class SigLIP2(TimmTeacher):
    """SigLIP 2, the teacher of meaning: patch features that stand beside text, pooled by attention.

    >>> SigLIP2(model="base_patch16", weights=None, size=64).out_width
    768

    Reference: arXiv 2502.14786; weights `timm/vit_*_siglip_*.v2_webli`.
    """

    def __init__(
        self,
        *,
        model: Literal[
            "base_patch16", "large_patch16", "so400m_patch14", "so400m_patch16", "giantopt_patch16"
        ] = ("so400m_patch14"),
        weights: str | None = "hub",
        size: int = 224,
    ) -> None:
        """Build it.

        Args:
            model: size and patch of the model.
            weights: `hub` takes the published ones, a path those of a file, None leaves them random.
            size: side of the image in pixels; tables of another size are resampled.

        Raises:
            ValueError: there is no such model, or its weights cannot be had.
        """
        published = 224 if model.endswith("14") or model == "base_patch16" else 256
        super().__init__(model=f"vit_{model}_siglip_{published}.v2_webli", weights=weights, size=size)
