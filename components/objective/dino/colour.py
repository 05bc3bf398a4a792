"""Distortions of the colours and the sharpness of pictures, each drawn for itself."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

GREY = (0.299, 0.587, 0.114)
CHROMA = ((0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
"""I and Q of YIQ."""

Images = Float[Tensor, "images 3 height width"]


def distort(
    images: Images, generator: np.random.Generator, *, blurred: float, solarised: float, sharp: float
) -> Images:
    """Jitter of colour (p = .8), grey (.2), blur and solarisation of pixels in [0, 1].

    Brightness and contrast are multiplied by .6 to 1.4, saturation by .8 to 1.2, the hue is turned by up to a
    tenth of the circle (a rotation of the chroma in YIQ), in this order.

    Args:
        images: in [0, 1].
        generator: of the draws, as many for any `images` of this number.
        blurred: the share of pictures that are blurred, by .1 to 2 times `sharp`.
        solarised: the share whose bright half is inverted.
        sharp: pixels of a standard deviation of 1 in the blur.

    Reference: arXiv 2304.07193 (DINOv2), facebookresearch/dinov2 `data/augmentations.py`.
    """
    count = len(images)

    def drawn(low: float, high: float, neutral: float, share: float | np.ndarray) -> Tensor:
        values = generator.uniform(low, high, count)
        happens = generator.random(count) < share if isinstance(share, float) else share
        return torch.from_numpy(np.where(happens, values, neutral)).to(images).view(-1, 1, 1, 1)

    jittered = generator.random(count) < 0.8
    images = (images * drawn(0.6, 1.4, 1.0, jittered)).clamp(0, 1)
    mean = grey(images).mean((1, 2, 3), keepdim=True)
    images = torch.lerp(mean, images, drawn(0.6, 1.4, 1.0, jittered)).clamp(0, 1)
    images = torch.lerp(grey(images), images, drawn(0.8, 1.2, 1.0, jittered)).clamp(0, 1)
    images = turned(images, drawn(-0.1, 0.1, 0.0, jittered))
    images = torch.lerp(images, grey(images).expand_as(images), drawn(1.0, 1.0, 0.0, 0.2))
    images = blur(images, sharp * drawn(0.1, 2.0, 0.0, blurred).flatten())
    return torch.where((drawn(1.0, 1.0, 0.0, solarised) > 0) & (images >= 0.5), 1.0 - images, images)


def grey(images: Images) -> Float[Tensor, "images 1 height width"]:
    """Luminance."""
    return torch.einsum("nkyx,k->nyx", images, images.new_tensor(GREY))[:, None]


def turned(images: Images, hue: Float[Tensor, "images 1 1 1"]) -> Images:
    """The hue turned by shares of a circle, the luminance kept."""
    forth = images.new_tensor([GREY, *CHROMA])
    angle = (2 * math.pi * hue).view(-1)
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rotation = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], -1).view(-1, 3, 3)
    change = torch.linalg.inv(forth) @ rotation @ forth
    return torch.einsum("njk,nkyx->njyx", change, images).clamp(0, 1)


def blur(images: Images, deviations: Float[Tensor, " images"]) -> Images:
    """Gaussian blur by a standard deviation in pixels of each picture; 0 leaves it as it is."""
    radius = math.ceil(2 * float(deviations.max())) if len(deviations) else 0
    if not radius:
        return images
    at = torch.arange(-radius, radius + 1, device=images.device)
    taps = torch.softmax(-at.square() / (2 * deviations[:, None].square()).clamp(min=1e-6), -1)
    taps = taps.to(images).repeat_interleave(3, 0)
    planes = images.reshape(1, len(taps), *images.shape[2:])
    across, down = (radius, radius, 0, 0), (0, 0, radius, radius)
    for kernel, pad in ((taps[:, None, None, :], across), (taps[:, None, :, None], down)):
        planes = F.conv2d(F.pad(planes, pad, mode="replicate"), kernel, groups=len(taps))
    return planes.reshape(images.shape)
