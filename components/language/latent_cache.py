"""`LatentCache`: latent keys and values of what has been read, and the keys of the indexers."""

from __future__ import annotations

import torch
from torch import Tensor

from vlmloom.components.language.cache import PaddedCache, Step


class LatentCache(PaddedCache):
    """The memories of latent attention, and the indexers' keys.

    For each layer memories `[batch, 1, capacity, size]`, and for each indexer keys `[batch, 1, capacity,
    index_size]`: one row a token, whatever the number of heads.

    Args:
        indexers: the layers that have an indexer.
        layers: number of layers.
        batch: sequences.
        capacity: tokens a sequence.
        size: of a memory.
        index_size: of an indexer's key.
        device: of the tensors.
        dtype: of the tensors.
    """

    def __init__(
        self,
        *,
        indexers: list[int],
        layers: int,
        batch: int,
        capacity: int,
        size: int,
        index_size: int,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(stores=["latent", "index"], batch=batch, capacity=capacity, device=device)
        shape = (batch, 1, capacity)
        self.latent = [torch.zeros(*shape, size, device=device, dtype=dtype) for _ in range(layers)]
        self.index = [torch.zeros(*shape, index_size, device=device, dtype=dtype) for _ in indexers]
        self.places = {layer: place for place, layer in enumerate(indexers)}

    def write_memory(self, layer: int, step: Step, memory: Tensor) -> None:
        """Store the memories `[T, size]` of one layer's new tokens."""
        _put(self.latent[layer], step, memory)

    def write_index(self, layer: int, step: Step, keys: Tensor) -> None:
        """Store the index keys `[T, index_size]` of one layer's new tokens."""
        _put(self.index[self.places[layer]], step, keys)

    def memories(self, layer: int, step: Step) -> Tensor:
        """`[batch, read, size]`."""
        return self.latent[layer][:, 0, : step.read]

    def gather(self, layer: int, places: Tensor) -> Tensor:
        """The memories at places `[batch, queries, K]` of each sequence, `[batch * queries, K, size]`."""
        first = torch.arange(self.batch, device=places.device)[:, None, None] * self.capacity
        rows = (places + first).flatten()
        store = self.latent[layer].flatten(0, 2)
        return store.index_select(0, rows).view(-1, places.shape[-1], store.shape[-1])

    def index_keys(self, layer: int, step: Step) -> Tensor:
        """`[batch, read, index_size]`."""
        return self.index[self.places[layer]][:, 0, : step.read]


def _put(store: Tensor, step: Step, new: Tensor) -> None:
    if step.even is not None:
        store[:, 0, step.even] = new
    else:
        store[step.row, 0, step.column] = new.to(store.dtype)
