"""The contract of the kind `objective`: what a stage of training descends."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor, nn

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.intake import Intake
from vlmloom.registry import name_of


class Objective(nn.Module):
    """A component or an assembly, and a batch -> a loss and its named parts.

    An objective may have parameters of its own (the map from a student to its teacher): they train along and
    stand in every checkpoint. What stands still in it is `Frozen`; a trained model that it stands on is kept
    as `trunk`, and its data and tokenizer are then those of the training.

    Attributes:
        views: what a stage may show to it (`pipelines.experiment.View`), the usual one first; empty where any
            will do.
        supervised: whether it reads the labels of a batch; else they are not counted as labels seen.
    """

    views: tuple[str, ...] = ()
    supervised: bool = True

    def check(self, module: Any) -> None:
        """See that the module has what is trained.

        Raises:
            ValueError: it lacks a part; the message says which would be right.
        """

    def meet(self, module: Any) -> None:
        """Make what depends on the assembly that is trained, such as an average of it; once, after `check`.

        Raises:
            ValueError: that cannot be made; the message says what would be right.
        """

    @abstractmethod
    def forward(self, module: Any, batch: Any) -> tuple[Tensor, Metrics]:
        """The loss to descend."""

    @abstractmethod
    def flops(self, module: Any, batch: Any) -> dict[str, int]:
        """Forward FLOPs of each part that this batch runs through, in the order of the flow.

        A component that trains alone is the part `model`; the objective's own arithmetic is `objective`.
        """

    def offers(self) -> dict[str, Any]:
        """Arguments of a component that trains alone, such as its widths, where this objective knows them."""
        return {}

    def prepare(self, model: Any) -> None:
        """Make a component that is to train alone and this objective fit each other, before the first step.

        Raises:
            ValueError: they do not fit; the message says what would.
        """
        who, name = (name_of(one) for one in (self, model))
        raise ValueError(
            f"{who}: trains an assembly, and {name} is none; objective/imitate trains a part alone"
        )

    def intake(self, model: Any) -> Intake:
        """What batches are made for; an assembly says it itself."""
        return model

    def after_step(self, module: Any, progress: float) -> None:
        """What has to happen once an optimizer step, such as moving an average of the weights.

        Args:
            module: what is trained.
            progress: how much of the stage's share of the budget is spent, 0 to 1.
        """
