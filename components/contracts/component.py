"""`Component`: what every part with parameters is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from lightning.pytorch import LightningModule
from torch import Tensor

from vlmloom.components.contracts.spec import Spec

Metrics = dict[str, Tensor]
"""Named scalars that a component reports beside its output; the root logs them."""


class Component(LightningModule):
    """A part with parameters, usable on its own or nested in an assembly.

    Only the root of a training logs and has hooks: a nested LightningModule that calls `self.log` raises.
    So a component returns `(output, metrics)` or keeps counters that the root reads.

    Standing alone, it trains by the objective and the optimizer that a pipeline hands over:

        component.objective = masked_distillation
        component.optimizer_recipe = adamw
        Trainer().fit(component, loader)
    """

    registered_name: ClassVar[str]
    objective: Any = None
    optimizer_recipe: Any = None

    def shapes(self, spec: Spec) -> Spec:
        """What this part gives for what it is handed. Pure and tensor-free.

        Raises:
            ShapeMismatch: it cannot take what it is handed.
        """
        raise NotImplementedError(f"{type(self).__name__} does not declare its shapes")

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """One step of stand-alone training: the objective's loss, its parts logged."""
        if self.objective is None:
            raise RuntimeError(f"{type(self).__name__} trains alone only after .objective has been set")
        loss, parts = self.objective(self, batch)
        self.log_dict({f"train/{name}": value for name, value in parts.items()}, batch_size=1)
        return loss

    def configure_optimizers(self) -> Any:
        """Ask the optimizer component that a pipeline handed over."""
        if self.optimizer_recipe is None:
            raise RuntimeError(
                f"{type(self).__name__} trains alone only after .optimizer_recipe has been set"
            )
        return self.optimizer_recipe.build([(self.named_parameters(), 1.0)])

    def trainable(self) -> Iterable[Tensor]:
        """The parameters that receive gradients."""
        return (parameter for parameter in self.parameters() if parameter.requires_grad)
