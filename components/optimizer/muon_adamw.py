"""The recipe that gives Muon the matrices and AdamW the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from vlmloom.components.contracts.factors import Decay
from vlmloom.components.optimizer.groups import Groups, sort_parameters
from vlmloom.components.optimizer.muon import MuonAdamWOptimizer, Precision
from vlmloom.components.optimizer.schedule import ScheduledRecipe
from vlmloom.registry import register

ADAMW_NAMES = ("embed", "unembed", "router", "lm_head", "prototypes")
"""A parameter whose dotted name contains one of these is AdamW's whatever its shape."""


def is_matrix(name: str, parameter: torch.Tensor, adamw_names: Sequence[str] = ADAMW_NAMES) -> bool:
    """Whether Muon takes a parameter.

    AdamW takes embeddings, output matrices and routers, known by their names, and whatever is no matrix:
    norms, biases, scalars, and tensors with at most one axis longer than one.
    """
    if any(word in name for word in adamw_names):
        return False
    return parameter.ndim >= 2 and sum(size > 1 for size in parameter.shape) >= 2


@register("optimizer/muon_adamw")
class MuonAdamW(ScheduledRecipe):
    """Muon per matrix (experts batched, fused weights split), AdamW for embeddings, norms and the rest.

    Norms, biases and scalars are not decayed.

    Reference: arXiv 2502.16982 (Moonlight); arXiv 2508.06471 (GLM-4.5, whose momentum, update size and decay
    are the defaults).
    """

    def __init__(
        self,
        *,
        lr: float = 1e-3,
        muon_lr: float | None = None,
        weight_decay: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        momentum: float = 0.95,
        steps: int = 5,
        precision: Precision = "auto",
        adamw_names: Sequence[str] = ADAMW_NAMES,
        warmup: float = 0.05,
        decay: Decay = "cosine",
        floor: float = 0.1,
    ) -> None:
        """Note how the optimizer is made.

        Args:
            lr: the highest rate of AdamW.
            muon_lr: the highest rate of Muon; None is `lr`, which fits because the updates have AdamW's size.
            weight_decay: decoupled, of matrices.
            betas: of AdamW.
            eps: of AdamW.
            momentum: of Muon, Nesterov's.
            steps: of the Newton-Schulz iteration.
            precision: of the Newton-Schulz products.
            adamw_names: words in a parameter's name that make it AdamW's.
            warmup: share of the budget in which the rate rises.
            decay: cosine, linear, wsd or constant.
            floor: the last rate as a share of the highest.

        Raises:
            ValueError: a number lies outside its range.
        """
        super().__init__(warmup=warmup, decay=decay, floor=floor)
        self.lr, self.muon_lr, self.weight_decay = lr, lr if muon_lr is None else muon_lr, weight_decay
        self.need_rates(lr=lr, muon_lr=self.muon_lr, weight_decay=weight_decay, eps=eps)
        for beta in betas:
            self.need_momenta(betas=beta)
        self.need_momenta(momentum=momentum)
        if steps < 1:
            raise ValueError(f"{self.registered_name}: found steps {steps}; 1 or more would be right")
        self.betas, self.eps, self.momentum, self.steps = betas, eps, momentum, steps
        self.precision: Precision = precision
        self.adamw_names = tuple(adamw_names)

    def build(self, groups: Groups) -> MuonAdamWOptimizer:
        """Make the optimizer; every part gives up to three groups (Muon, decayed AdamW, plain AdamW).

        Args:
            groups: pairs of named parameters and what sets them apart.

        Raises:
            ValueError: nothing is to be trained.
        """

        def sort(name: str, parameter: nn.Parameter) -> tuple[str, float]:
            if is_matrix(name, parameter, self.adamw_names):
                return "muon", self.weight_decay
            return "adamw", self.weight_decay if parameter.ndim >= 2 else 0.0

        sorted_groups: Iterable[dict] = sort_parameters(
            groups, sort, {"muon": self.muon_lr, "adamw": self.lr}, "optimizer/muon_adamw"
        )
        return MuonAdamWOptimizer(
            sorted_groups,
            momentum=self.momentum,
            betas=self.betas,
            eps=self.eps,
            steps=self.steps,
            precision=self.precision,
        )
