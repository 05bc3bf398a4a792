"""`Component`: what every part with parameters is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from lightning.pytorch import LightningModule
from torch import Tensor, nn

from vlmloom.components.contracts.factors import Factors
from vlmloom.components.contracts.spec import Spec

Metrics = dict[str, Tensor]
"""Named scalars that a component reports beside its output; the root logs them."""


def declared_losses(metrics: Metrics) -> Tensor | float:
    """The sum of what parts report to be descended beside the loss: all that stands below `loss/`.

    >>> from torch import ones
    >>> metrics = {"load": ones(()), "loss/balance": ones(()), "mmtp/loss/balance": ones(())}
    >>> float(declared_losses(metrics | {"mmtp/loss": ones(())}))
    2.0
    """
    return sum((value for key, value in metrics.items() if "loss" in key.split("/")[:-1]), 0.0)


def beside(metrics: Metrics, others: Metrics, name: str) -> Metrics:
    """What two parts report; what both call alike the second tells below its `name`, so that nothing is lost.

    >>> from torch import ones
    >>> list(beside({"loss/balance": ones(())}, {"loss/balance": ones(()), "load": ones(())}, "text"))
    ['loss/balance', 'text/loss/balance', 'load']
    """
    return metrics | {f"{name}/{key}" if key in metrics else key: part for key, part in others.items()}


def scores(metrics: Metrics) -> Metrics:
    """What is worth a curve among what parts report: losses, accuracies, largest logits.

    >>> from torch import ones
    >>> list(scores({"lm/loss": ones(()), "mmtp/loss_2": ones(()), "load": ones(())}))
    ['lm/loss', 'mmtp/loss_2']
    """
    return {
        name: part.detach()
        for name, part in metrics.items()
        if name.rpartition("/")[2].startswith(("loss", "accuracy", "logit")) and part.numel() == 1
    }


class Component(LightningModule):
    """A part with parameters, usable on its own or nested in an assembly.

    Only the root of a training logs and has hooks: a nested LightningModule that calls `self.log` raises.
    So a component returns `(output, metrics)` or keeps counters that the root reads.

    Standing alone, it trains by the objective and the optimizer that a pipeline hands over:

        component.objective = masked_distillation
        component.optimizer_recipe = adamw
        Trainer().fit(component, loader)

    Attributes:
        pretrained: the weights that it brings along, as reports and model cards declare them: whose, on what,
            from where, under which licence.
    """

    registered_name: ClassVar[str]
    pretrained: Sequence[str] = ()

    def __init__(self) -> None:
        super().__init__()
        # On the class, these names would hide the modules that are assigned to them.
        self.objective: Any = None
        self.optimizer_recipe: Any = None

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
        return self.optimizer_recipe.build([(self.named_parameters(), Factors())])

    def figures(self) -> dict[str, float]:
        """Numbers that it states of itself and that no training changes; reports print them, name and all."""
        return {}

    def parts(self) -> dict[str, nn.Module]:
        """What is trained or frozen as one, by name, in the order in which data flows through it."""
        return {"model": self}

    def reads(self) -> dict[str, tuple[str, ...]]:
        """Part -> the parts whose output it reads; one that is not named reads all before it."""
        return {}

    def units(self) -> list[nn.Module]:
        """The modules, its blocks as a rule, whose activations may be computed again one by one.

        They are also what is sharded one by one.

        Each is called as a module, and its parameters are read by nothing else.
        """
        return []

    def after_step(self) -> Metrics:
        """What has to happen once an optimizer step, such as moving a router's selection bias."""
        metrics: Metrics = {}
        for name, module in self.named_modules():
            update = getattr(module, "update_selection_bias", None)
            if update is not None:
                metrics.update({f"{name}/{key}": value for key, value in (update() or {}).items()})
        return metrics
