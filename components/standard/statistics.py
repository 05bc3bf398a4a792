"""`Statistics`: mean and covariance of features over the first rows of a training, equal on all ranks."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, distributed

from vlmloom.components.contracts.distance import Standard
from vlmloom.registry import name_of


class Statistics(Standard):
    """An affine map `(x - mean) @ matrix`, estimated over the first `rows` rows and fixed from then on.

    Sums are kept in fp64 and are part of the state, so a resumed training goes on with the same map. The map
    is made anew whenever the rows have doubled, and once all are there.

    Args:
        width: of the features.
        rows: after so many the map stands still.
        full: whether all of the covariance is kept, or its diagonal.

    Raises:
        ValueError: there are fewer than two rows.
    """

    count: Tensor
    made: Tensor
    total: Tensor
    products: Tensor
    mean: Tensor
    matrix: Tensor

    def __init__(self, *, width: int, rows: int, full: bool) -> None:
        super().__init__(width=width)
        if rows < 2:
            name = name_of(self)
            raise ValueError(f"{name}: rows is {rows}; 2 or more would be right")
        self.rows, self.full = rows, full
        shape = (width, width) if full else (width,)
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("made", torch.zeros((), dtype=torch.float64))
        self.register_buffer("total", torch.zeros(width, dtype=torch.float64))
        self.register_buffer("products", torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("matrix", torch.eye(width) if full else torch.ones(width))

    @torch.no_grad()
    def observe(self, features: Float[Tensor, "places width"]) -> None:
        """See `Standard.observe`."""
        if self.count >= self.rows:
            return
        wide = features.double()
        new = [torch.tensor(float(len(wide)), dtype=torch.float64, device=wide.device), wide.sum(0)]
        new.append(wide.t() @ wide if self.full else wide.square().sum(0))
        if distributed.is_available() and distributed.is_initialized():
            for part in new:
                distributed.all_reduce(part)
        for held, part in zip((self.count, self.total, self.products), new, strict=True):
            held += part
        if self.count >= min(2 * float(self.made), self.rows) and self.count > 1:
            self._make()

    def _make(self) -> None:
        mean = self.total / self.count
        moment = self.products / self.count
        covariance = moment - (torch.outer(mean, mean) if self.full else mean.square())
        self.mean.copy_(mean)
        self.matrix.copy_(self.map_of(covariance))
        self.made.copy_(self.count)

    @abstractmethod
    def map_of(self, covariance: Tensor) -> Tensor:
        """The map for a covariance `[width, width]`, or its diagonal, in fp64."""

    def forward(self, features: Float[Tensor, "places width"]) -> Float[Tensor, "places width"]:
        """See `Standard`."""
        centred = features.float() - self.mean
        return centred @ self.matrix if self.full else centred * self.matrix
