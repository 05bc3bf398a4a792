"""A head trained on the hidden states of a trained model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vlmloom.components.contracts.component import Metrics, declared_losses
from vlmloom.components.contracts.frozen import Trunk
from vlmloom.components.contracts.head import Head
from vlmloom.components.contracts.intake import Intake
from vlmloom.components.contracts.objective import Objective
from vlmloom.components.contracts.packed import IGNORE, Packed
from vlmloom.registry import name_of, register


@register("objective/on_trunk")
class OnTrunk(Objective):
    """A head's own loss on the hidden states of a frozen model, whose embedding and output matrix it shares.

    So a multi-token head is added to a model that was trained without one, or another one is tried.

    >>> from vlmloom.components.contracts.frozen import Trunk
    >>> from vlmloom.components.contracts.packed import Packed
    >>> from vlmloom.registry import build, compose
    >>> objective = OnTrunk(trunk=Trunk(build(compose("native"))))
    >>> head = build({"use": "head/mtp", **objective.offers()})
    >>> objective.prepare(head)
    >>> loss, _ = objective(head, Packed.texts([[5, 3, 8], [7, 2, 4]]))
    >>> loss.backward()
    >>> all(part.grad is not None for part in head.parameters())
    True
    >>> any(part.requires_grad for part in objective.trunk.module.parameters())
    False
    """

    views = ("question", "withheld", "described")

    def __init__(self, *, trunk: Trunk) -> None:
        """Take the trained model.

        Args:
            trunk: with a language part and an `lm` head.

        Raises:
            ValueError: it has none.
        """
        super().__init__()
        if not hasattr(trunk.module, "hidden") or not hasattr(trunk.module, "language"):
            raise ValueError(
                f"objective/on_trunk: {type(trunk.module).__name__} gives no hidden states; a model with a "
                "language part would be right"
            )
        self.trunk = trunk

    @property
    def data(self) -> Any:
        """See `Objective.data`."""
        return self.trunk.data

    def offers(self) -> dict[str, Any]:
        """See `Objective.offers`."""
        return {"width": self.trunk.module.language.width, "vocab": self.trunk.module.language.vocab}

    def prepare(self, model: Any) -> None:
        """See `Objective.prepare`: bind the head to the trunk."""
        if not isinstance(model, Head):
            name = name_of(model)
            raise ValueError(
                f"objective/on_trunk: trains a head, such as head/mtp, and {name} is none; "
                "objective/imitate or objective/distil may be right"
            )
        model.bind(self.trunk.module.language, self.trunk.module.lm)

    def intake(self, model: Any) -> Intake:
        """See `Objective.intake`."""
        return self.trunk.module

    def forward(self, module: Any, batch: Packed) -> tuple[Tensor, Metrics]:
        """The head's loss and what it reports."""
        with torch.no_grad():
            hidden, _ = self.trunk.module.hidden(batch)
        loss, metrics = module(hidden, batch)
        return loss + declared_losses(metrics), metrics

    def flops(self, module: Any, batch: Packed) -> dict[str, int]:
        """See `Objective.flops`."""
        visuals = batch.visuals.get("vision")
        grids = visuals.shapes if visuals is not None and visuals.weight else []
        account = self.trunk.module.forward_flops(batch.lengths, grids, 0)
        trunk = {part: flops for part, flops in account.items() if not part.startswith("head.")}
        return trunk | {"model": module.flops(batch.lengths, int((batch.labels != IGNORE).sum()))}
