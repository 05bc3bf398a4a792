"""The learning rate over a stage, by its progress and not by its steps."""

from __future__ import annotations

import math
from typing import ClassVar, get_args

from vlmloom.components.contracts.factors import Decay
from vlmloom.components.contracts.optimizer import OptimizerRecipe


class ScheduledRecipe(OptimizerRecipe):
    """A recipe whose learning rate follows the share of the stage's budget that is spent.

    The rate rises linearly over `warmup`, then falls to `floor`: `cosine` and `linear` over all that is left,
    `wsd` (warm-up, stable, decay) linearly over the last fifth only, `constant` not at all.
    """

    registered_name: ClassVar[str]

    def __init__(self, *, warmup: float, decay: Decay, floor: float) -> None:
        """Note the schedule.

        Args:
            warmup: share of the budget in which the rate rises, from 0 to below 1.
            decay: cosine, linear, wsd or constant.
            floor: the last rate as a share of the highest.

        Raises:
            ValueError: a share lies outside its range, or the decay is unknown.
        """
        if not 0 <= warmup < 1:
            raise ValueError(f"optimizer: found warmup {warmup}; a share from 0 to below 1 would be right")
        if not 0 <= floor <= 1:
            raise ValueError(f"optimizer: found floor {floor}; a share from 0 to 1 would be right")
        if decay not in get_args(Decay):
            raise ValueError(
                f"optimizer: found decay {decay!r}; cosine, linear, wsd or constant would be right"
            )
        self.warmup, self.decay, self.floor = warmup, decay, floor

    def need_rates(self, **rates: float) -> None:
        """Refuse rates, decays and the like by which nothing is learnt.

        Raises:
            ValueError: one of them is below zero, or not finite.
        """
        for name, value in rates.items():
            if not 0 <= value < math.inf:
                raise ValueError(
                    f"{self.registered_name}: found {name} {value:g}; 0 or more, and finite, would be right"
                )

    def need_momenta(self, **momenta: float) -> None:
        """Refuse factors by which a running mean would forget nothing.

        Raises:
            ValueError: one of them is below zero, or not below one.
        """
        for name, value in momenta.items():
            if not 0 <= value < 1:
                raise ValueError(
                    f"{self.registered_name}: found {name} {value:g}; from 0 to below 1 would be right"
                )

    def factor(self, progress: float, decay: Decay | None = None) -> float:
        """What the learning rate is multiplied by when this share of the budget, in [0, 1], is spent.

        The warm-up starts at a hundredth, so that the first step is not wasted.
        """
        progress = min(max(progress, 0.0), 1.0)
        if progress < self.warmup:
            return max(progress / self.warmup, 0.01)
        left = (progress - self.warmup) / (1 - self.warmup)
        decay = decay or self.decay
        if decay == "constant":
            return 1.0
        if decay == "cosine":
            share = 0.5 * (1 + math.cos(math.pi * left))
        elif decay == "linear":
            share = 1 - left
        else:
            share = min(1.0, (1 - left) / 0.2)
        return self.floor + (1 - self.floor) * share
