"""What an experiment's YAML holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from vlmloom.assemblies.assembly import Assembly
from vlmloom.components.contracts.kinds import Objective, OptimizerRecipe
from vlmloom.pipelines.data.module import PackedData
from vlmloom.registry.hints import ArgumentsOf

TrainerFlags = Annotated[
    dict[str, Any],
    ArgumentsOf("lightning.pytorch.Trainer", (("precision", "auto"),)),
]
"""Arguments of Lightning's Trainer, with `precision: auto` besides."""

View = Literal["question", "withheld", "described", "captions", "scenes"]
"""What a stage sees of a sample.

question: pictures, question, answer. withheld: the same without the pictures. described: the scene in words
    in
place of the pictures. captions: a picture and its caption. scenes: whole pictures and the things in them.
"""


@dataclass
class Budget:
    """How long an experiment trains, over all of its stages. Exactly one of the three is given.

    Attributes:
        flops: of forward and backward, by the account in `vlmloom.assemblies.flops`.
        samples: seen in training.
        seconds: of wall time in training steps.
    """

    flops: float | None = None
    samples: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("flops", "samples", "seconds") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"budget takes exactly one of flops, samples, seconds; found {given or 'none'}")
        if self.amount <= 0:
            raise ValueError(f"budget.{given[0]} must be above 0, found {self.amount}")

    @property
    def unit(self) -> str:
        """Which of the three is given."""
        return next(name for name in ("flops", "samples", "seconds") if getattr(self, name) is not None)

    @property
    def amount(self) -> float:
        """How much of it."""
        return float(getattr(self, self.unit))


@dataclass
class Stage:
    """One `Trainer.fit` within an experiment.

    Attributes:
        name: for logs and folders.
        objective: what is descended.
        optimizer: the recipe.
        train: globs over parameter names (`vision*`, `head.lm.*`); all others are frozen.
        share: of the budget; shares of all stages are scaled to sum to 1.
        view: what the stage sees of a sample.
        learning_rates: part -> factor on the learning rate.
        pack_tokens: the size of a pack where it differs from the data's.
    """

    name: str
    objective: Objective
    optimizer: OptimizerRecipe
    train: list[str] = field(default_factory=lambda: ["*"])
    share: float = 1.0
    view: View = "question"
    learning_rates: dict[str, float] = field(default_factory=dict)
    pack_tokens: int | None = None


@dataclass
class Experiment:
    """An assembly, its data and the stages that train it.

    Attributes:
        assembly: the model.
        data: where samples come from.
        stages: in order.
        budget: over all stages.
        checkpoint_every_n_steps: how often a run can be gone on from.
        trainer: flags of Lightning's Trainer.
        seed: of weights and data.
        name: for logs and reports.
        pretrained: declarations of installed pretrained weights, shown in every report.
    """

    assembly: Assembly
    data: PackedData
    stages: list[Stage]
    budget: Budget
    checkpoint_every_n_steps: int = 200
    trainer: TrainerFlags = field(default_factory=dict)
    seed: int = 0
    name: str = "experiment"
    pretrained: list[str] = field(default_factory=list)
