"""PHI-S: one scale for all channels, which a rotation has made alike."""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg import hadamard
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from vlmloom.components.standard.statistics import Statistics
from vlmloom.registry import register


@register("standard/phi_s")
class PhiS(Statistics):
    """PCA, then a Hadamard rotation, then one scale: every channel has variance 1, and no direction is bent.

    With C = U diag(l) U' the map is `(x - mean) U H' / sqrt(mean l)`: H spreads every principal direction
    over all channels alike. Distances keep their proportions, unlike under plain standardisation, so an error
    weighs the same in every direction of the teacher's space. A basis that is made anew keeps to the one
    before it, as far as its directions are the same.

    >>> import torch
    >>> standard, features = PhiS(width=4), 3 + torch.randn(100, 4) * torch.tensor([1.0, 5.0, 25.0, 125.0])
    >>> standard.observe(features)
    >>> standard(features).std(0, correction=0).round(decimals=2).tolist()
    [1.0, 1.0, 1.0, 1.0]

    Reference: arXiv 2410.01680 (PHI-S).
    """

    def __init__(self, *, width: int, rows: int = 20_000) -> None:
        """Take the width, and the number of places that the estimate is made from.

        Raises:
            ValueError: there are fewer than two rows, or no Hadamard matrix of that order is known here.
        """
        super().__init__(width=width, rows=rows, full=True)
        self.rotation = hadamard_of(width) / width**0.5

    def map_of(self, covariance: Tensor) -> Tensor:
        """See `Statistics`."""
        values, vectors = torch.linalg.eigh(covariance.cpu())
        rotation = torch.from_numpy(self.rotation)
        if self.made:
            # Directions come in the order of their variance and with any sign: each takes the place of the
            # old one that it is most like, so that the heads' targets stay nearly what they were.
            likeness = (self.matrix.cpu().double() @ rotation).t() @ vectors
            rows, places = linear_sum_assignment(likeness.abs().numpy(), maximize=True)
            vectors = vectors[:, places] * likeness[rows, places].sign()
        scale = values.mean().clamp(min=torch.finfo(torch.float32).tiny).rsqrt()
        return (vectors @ rotation.t() * scale).to(covariance.device)


def hadamard_of(order: int) -> np.ndarray:
    """A Hadamard matrix: entries of 1 and -1, rows at right angles.

    Sylvester's doubling of Paley's matrices, which covers powers of two times 1, 12, 20, 28, 36, 44, 60 and
    the like, so the widths of most towers.

    Raises:
        ValueError: neither construction gives this order.
    """
    odd, power = order, 1
    while odd % 2 == 0:
        odd, power = odd // 2, power * 2
    for factor in range(power.bit_length()):
        core = odd << factor
        if core == 1:
            return hadamard(order).astype(np.float64)
        paley = _paley(core)
        if paley is not None:
            return np.kron(hadamard(order // core), paley)
    raise ValueError(
        f"standard/phi_s: knows no Hadamard matrix of order {order}, the teacher's width; "
        "standard/channel or standard/place would be right"
    )


def _paley(order: int) -> np.ndarray | None:
    """Paley's first construction, of a prime q = 3 mod 4 in order q + 1, or his second, of q = 1 mod 4."""
    if order % 4:
        return None
    if _prime(order - 1):
        # I + S, where S is skew and S S' = q I.
        matrix = np.ones((order, order))
        matrix[1:, 0] = -1
        matrix[1:, 1:] = _jacobsthal(order - 1) + np.eye(order - 1)
        return matrix
    q = order // 2 - 1
    if q % 4 == 1 and _prime(q):
        conference = np.zeros((q + 1, q + 1))
        conference[0, 1:] = conference[1:, 0] = 1
        conference[1:, 1:] = _jacobsthal(q)
        return np.kron(conference, [[1, 1], [1, -1]]) + np.kron(np.eye(q + 1), [[1, -1], [-1, -1]])
    return None


def _jacobsthal(q: int) -> np.ndarray:
    """`chi(i - j)`: 1 where the difference is a square modulo q, -1 where it is none, 0 on the diagonal."""
    symbol = np.full(q, -1.0)
    symbol[[number * number % q for number in range(1, q)]] = 1
    symbol[0] = 0
    return symbol[(np.arange(q)[:, None] - np.arange(q)) % q]


def _prime(number: int) -> bool:
    return number > 1 and all(number % divisor for divisor in range(2, int(number**0.5) + 1))
