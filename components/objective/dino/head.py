"""`PrototypeHead`: features to their cosines with learned prototypes."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn import functional as F


class PrototypeHead(nn.Module):
    """`[N, width] -> [N, prototypes]` in [-1, 1]: three layers to a narrow sphere, then prototypes on it.

    Prototypes are weight-normalised with length 1, so that no prototype wins by its length. Weights start at
    a deviation of `width**-0.5`, which at the published width of 2048 is the published .02; at smaller widths
    .02 would shrink what the pictures differ in below what the biases learn.

    Reference: arXiv 2104.14294 (DINO, section 3.1); facebookresearch/dinov2 `layers/dino_head.py`.
    """

    def __init__(self, *, width: int, hidden: int, bottleneck: int, prototypes: int) -> None:
        """Take the widths of the input, of both hidden layers and of the sphere, and the prototypes."""
        super().__init__()
        sizes = [width, hidden, hidden, bottleneck]
        layers: list[nn.Module] = []
        for taken, given in pairwise(sizes):
            layers += [nn.Linear(taken, given), nn.GELU()]
        self.mlp = nn.Sequential(*layers[:-1])
        self.prototypes = nn.Linear(bottleneck, prototypes, bias=False)
        self.draw()

    @torch.no_grad()
    def draw(self, generator: torch.Generator | None = None) -> None:
        """Draw all weights; where they lie in shards, all processes have to call it."""
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                fresh = torch.empty(layer.weight.shape)
                nn.init.trunc_normal_(fresh, std=layer.in_features**-0.5, generator=generator)
                if isinstance(layer.weight, DTensor):
                    fresh = distribute_tensor(fresh, layer.weight.device_mesh, layer.weight.placements)
                layer.weight.copy_(fresh)
                if layer.bias is not None:
                    layer.bias.zero_()

    def forward(self, x: Float[Tensor, "rows width"]) -> Float[Tensor, "rows prototypes"]:
        """Cosines of every row with every prototype."""
        return F.linear(
            F.normalize(self.mlp(x), dim=-1, eps=1e-6), F.normalize(self.prototypes.weight, dim=-1)
        )

    def flops(self, rows: int) -> int:
        """Forward FLOPs of the matrix products."""
        return 2 * rows * sum(part.weight.numel() for part in self.modules() if isinstance(part, nn.Linear))
