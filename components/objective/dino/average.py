"""`Average`: a moving average of a module's weights that runs as the module does."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.func import functional_call


class Average(nn.Module):
    """A twin of a module whose weights follow the original's: `own = momentum * own + (1 - momentum) * its`.

    The weights are buffers: every checkpoint has them and no optimizer gets them. The twin is always in
    evaluation mode. Where the original lies in shards, each process keeps the average whole.

    Reference: arXiv 2104.14294 (DINO, the momentum teacher).
    """

    def __init__(self, module: nn.Module) -> None:
        """Start from the module's weights as they are."""
        super().__init__()
        twin = copy.deepcopy(module).requires_grad_(False).eval()
        kept = twin.state_dict().keys()
        self.names: dict[str, str] = {}
        for name, value in _tensors(twin).items():
            self.names[name] = name.replace(".", "/")
            # A module that will lie in shards has no weights yet; they come with `follow(module, 0.0)`.
            own = torch.zeros(value.shape, dtype=value.dtype) if value.is_meta else value.detach().clone()
            self.register_buffer(self.names[name], own, persistent=name in kept)
        # The weights are here, so the twin is a form without content; in a tuple, it is no child.
        self._twin = (twin.to("meta"),)

    def forward(self, *arguments: Any) -> Any:
        """What the module gives with the averaged weights."""
        weights = {name: self.get_buffer(own) for name, own in self.names.items()}
        return functional_call(self._twin[0], weights, arguments)

    @torch.no_grad()
    def follow(self, module: nn.Module, momentum: float) -> None:
        """Move towards the module; its buffers are taken over as they are. All processes have to call it."""
        theirs, trained = _tensors(module), dict(module.named_parameters())
        for name, own in self.names.items():
            value = theirs[name]
            value = value.full_tensor() if isinstance(value, DTensor) else value
            if name in trained:
                self.get_buffer(own).lerp_(value.to(self.get_buffer(own).dtype), 1.0 - momentum)
            else:
                self.get_buffer(own).copy_(value)

    @torch.no_grad()
    def take(self, other: Average) -> None:
        """Become a copy of another average."""
        for own in self.names.values():
            self.get_buffer(own).copy_(other.get_buffer(own))


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return dict(module.named_parameters()) | dict(module.named_buffers())
