"""The contract of the kind `optimizer`: how parameters move, and how fast."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import nn

from vlmloom.components.contracts.factors import Decay, Factors


class OptimizerRecipe(ABC):
    """How parameters become one `torch.optim.Optimizer` (Lightning's automatic optimization takes one)."""

    @abstractmethod
    def build(
        self, groups: Iterable[tuple[Iterable[tuple[str, nn.Parameter]], Factors]]
    ) -> torch.optim.Optimizer:
        """Make the optimizer.

        Args:
            groups: pairs of named parameters and what sets them apart.
        """

    def factor(self, progress: float, decay: Decay | None = None) -> float:
        """What the learning rates are multiplied by when this share, in [0, 1], of the budget is spent.

        Args:
            progress: the share.
            decay: of a group with a course of its own; None is the recipe's.
        """
        return 1.0

    def schedule(self, optimizer: torch.optim.Optimizer, progress: float) -> float:
        """Set every group's rate to its `initial_lr` times `factor(progress, its decay)`, before each step.

        Returns:
            The factor of the recipe's own course.
        """
        for group in optimizer.param_groups:
            factor = self.factor(progress, group.get("decay"))
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
        return self.factor(progress)
