"""Rewards learned from which of two answers is better."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from vlmloom.components.contracts.component import Component, Metrics, declared_losses
from vlmloom.components.contracts.frozen import Trunk
from vlmloom.components.contracts.intake import Intake
from vlmloom.components.contracts.objective import Objective
from vlmloom.components.contracts.packed import Packed
from vlmloom.registry import name_of, register


@register("objective/preference")
class Preference(Objective):
    """Bradley-Terry: `-log sigmoid(chosen - rejected)` of the values of two answers to one question.

    A pair's `gap`, how much worse the rejected answer is by the task's own verifier (above 0, at most 1),
    asks for a margin in proportion; `centre` keeps the values of a pair around 0, where the loss leaves them
    free.

    >>> import torch
    >>> from vlmloom.components.contracts.packed import Packed
    >>> from vlmloom.registry import build
    >>> model = build({"use": "reward/model", "trunk": {"extends": "native"}})
    >>> pairs = Packed.texts([[5, 3, 8], [7, 2], [5, 3, 9], [7, 4]], gap=torch.tensor([1.0, 0.5]))
    >>> pairs.normaliser = 2.0
    >>> (plain, parts), (wide, _) = Preference()(model, pairs), Preference(margin=1.0)(model, pairs)
    >>> bool(wide > plain), parts["accuracy"].item() in (0.0, 0.5, 1.0)
    (True, True)

    Reference: Bradley and Terry 1952, doi 10.2307/2334029; arXiv 2203.02155, eq. 1; margins: arXiv
        2307.09288, section 3.2.2; centring: arXiv 2312.09244, as in TRL's `center_rewards_coefficient`.
    """

    views = ("preferences",)

    def __init__(self, *, margin: float = 0.0, centre: float = 0.0) -> None:
        """Set the two terms.

        Args:
            margin: by how much the chosen answer of a pair with gap 1 has to be ahead.
            centre: weight of the square of the sum of both values; 0.01 is usual.

        Raises:
            ValueError: one is negative or not finite.
        """
        super().__init__()
        for name, value in (("margin", margin), ("centre", centre)):
            if not 0 <= value < float("inf"):
                raise ValueError(f"objective/preference: {name} is {value}; 0 or more, and finite, is right")
        self.margin, self.centre = margin, centre

    @property
    def trunk(self) -> Trunk | None:
        """The run that the model stands on, where it does: its data and words are those of the training."""
        return self._trunk[0] if self._trunk else None

    _trunk: tuple[Trunk, ...] = ()

    def prepare(self, model: Any) -> None:
        """See `Objective.prepare`."""
        if not hasattr(model, "body") or not hasattr(model, "value"):
            name = name_of(model)
            raise ValueError(
                f"objective/preference: trains a reward, and {name} is none; reward/model would be right"
            )
        self._trunk = model.lender

    def check(self, module: Any) -> None:
        """See `Objective.check`."""
        if not isinstance(module, Component) or not hasattr(module, "body"):
            raise ValueError(
                f"trains a reward, and {type(module).__name__} is none; `model: {{use: reward/model, trunk: "
                "...}` would be right"
            )

    def intake(self, model: Any) -> Intake:
        """See `Objective.intake`: the trunk's."""
        return model.body

    def forward(self, module: Any, batch: Packed) -> tuple[Tensor, Metrics]:
        """The loss over the pairs, divided by the normaliser; `accuracy`, the share that is in order.

        Args:
            module: a `reward/model`.
            batch: of every pair the chosen answer and then the rejected one, each with its question;
                `extras["gap"]` `[pairs]`.
        """
        values, metrics = module(batch)
        chosen, rejected = values.view(-1, 2).unbind(1)
        gap = batch.extras["gap"].to(values)
        loss = -F.logsigmoid(chosen - rejected - self.margin * gap)
        total = (loss + self.centre * (chosen + rejected).square()).sum() / batch.normaliser
        with torch.no_grad():
            pairs = max(len(chosen), 1)
            parts = {
                "loss": loss.sum() / pairs,
                "accuracy": (chosen > rejected).float().sum() / pairs,
                "ahead": (chosen - rejected).sum() / pairs,
            }
        return total + declared_losses(metrics), metrics | parts

    def flops(self, module: Any, batch: Packed) -> dict[str, int]:
        """See `Objective.flops`."""
        return {"model": module.flops(batch)}
