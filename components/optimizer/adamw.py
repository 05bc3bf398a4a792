"""The recipe of AdamW for everything."""

from __future__ import annotations

import torch
from torch import nn

from vlmloom.components.contracts.factors import Decay
from vlmloom.components.optimizer.groups import Groups, sort_parameters
from vlmloom.components.optimizer.schedule import ScheduledRecipe
from vlmloom.registry import register


@register("optimizer/adamw")
class AdamW(ScheduledRecipe):
    """Fused AdamW for every parameter; norms, biases and scalars are not decayed.

    Reference: arXiv 1711.05101.
    """

    def __init__(
        self,
        *,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        warmup: float = 0.05,
        decay: Decay = "cosine",
        floor: float = 0.1,
    ) -> None:
        """Note how the optimizer is made.

        Args:
            lr: the highest rate.
            weight_decay: decoupled, of matrices and embeddings.
            betas: of the moments.
            eps: added to the root of the second moment.
            warmup: share of the budget in which the rate rises.
            decay: cosine, linear, wsd or constant.
            floor: the last rate as a share of the highest.

        Raises:
            ValueError: a number lies outside its range.
        """
        super().__init__(warmup=warmup, decay=decay, floor=floor)
        self.need_rates(lr=lr, weight_decay=weight_decay, eps=eps)
        for beta in betas:
            self.need_momenta(betas=beta)
        self.lr, self.weight_decay, self.betas, self.eps = lr, weight_decay, betas, eps

    def build(self, groups: Groups) -> torch.optim.Optimizer:
        """Make the optimizer; every part gives up to two groups.

        Args:
            groups: pairs of named parameters and what sets them apart.

        Raises:
            ValueError: nothing is to be trained.
        """

        def sort(name: str, parameter: nn.Parameter) -> tuple[str, float]:
            return "adamw", self.weight_decay if parameter.ndim >= 2 else 0.0

        sorted_groups = sort_parameters(groups, sort, {"adamw": self.lr}, "optimizer/adamw")
        optimizer = torch.optim.AdamW(sorted_groups, betas=tuple(self.betas), eps=self.eps, fused=True)  # type: ignore[arg-type]
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        return optimizer
