"""What an experiment's YAML holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

from vlmloom.assemblies.assembly import Assembly
from vlmloom.components.contracts.component import Component
from vlmloom.components.contracts.factors import Decay, Factors
from vlmloom.components.contracts.intake import Intake
from vlmloom.components.contracts.objective import Objective
from vlmloom.components.contracts.optimizer import OptimizerRecipe
from vlmloom.components.contracts.resizing import Resolution
from vlmloom.components.contracts.visuals import PatchSpec
from vlmloom.pipelines.data.module import PackedData
from vlmloom.pipelines.patterns import matches, part_names, unmatched
from vlmloom.registry import name_of
from vlmloom.registry.errors import Refusals
from vlmloom.registry.hints import ArgumentsOf

T = TypeVar("T")

TrainerFlags = Annotated[
    dict[str, Any],
    ArgumentsOf("lightning.pytorch.Trainer", (("precision", "auto"),)),
]
"""Arguments of Lightning's Trainer, with `precision: auto` besides."""

View = Literal["question", "withheld", "described", "captions", "pictures", "scenes", "preferences"]
"""What a stage sees of a sample.

question: pictures, question, answer. withheld: the same without the pictures. described: the scene in words
in place of the pictures. captions: a picture and its caption. pictures: its pictures alone, cut for each
tower. scenes: whole pictures and the things in them. preferences: the question with its gold answer, and
again with a worse one.
"""


LARGEST = 1e30
"""More than any budget; a whole number beyond a float's range is not even compared with one."""

NAME = re.compile(r"[\w][\w.+-]*")
"""What names a folder."""
NAMING = "letters, digits, `_`, `.`, `+` and `-`"
"""The same in words."""

LARGEST_SEED = 2**32 - 1
"""Of numpy's generators."""


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
            null = ", null for the others" if given else ""
            raise ValueError(
                f"found {', '.join(given) or 'none'}; exactly one of flops, samples, seconds would be right"
                + null
            )
        amount = getattr(self, given[0])
        if not 0 < amount < LARGEST:
            found = "more than any" if amount > LARGEST else f"{amount:g}"
            raise ValueError(f"{given[0]}: found {found}; an amount above 0, and finite, would be right")

    @property
    def unit(self) -> str:
        """Which of the three is given."""
        return next(name for name in ("flops", "samples", "seconds") if getattr(self, name) is not None)

    @property
    def amount(self) -> float:
        """How much of it."""
        return float(getattr(self, self.unit))


@dataclass
class StartingWeights:
    """Whose weights an assembly starts from; what it does not share with them starts at random.

    Attributes:
        folder: of an import or a run, or a training checkpoint. What a component alone was trained to be goes
            into the part that has the name of its kind: a tower becomes `vision`.
        take: globs over parameter names (`vision`, `language.blocks.*`); all others start at random.
    """

    folder: str
    take: list[str] = field(default_factory=lambda: ["*"])

    def __post_init__(self) -> None:
        if not self.take:
            raise ValueError("take: found an empty list; names of parts, or `*` for all, would be right")


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
        weight_decays: part -> factor on the weight decay.
        decays: part -> how its learning rate falls, where that is not as the optimizer says.
        resolution: of the pictures; left out, the tower says it.
        pack_tokens: the size of a pack where it differs from the data's.
    """

    name: str
    objective: Objective
    optimizer: OptimizerRecipe
    train: list[str] = field(default_factory=lambda: ["*"])
    share: float = 1.0
    view: View = "question"
    learning_rates: dict[str, float] = field(default_factory=dict)
    weight_decays: dict[str, float] = field(default_factory=dict)
    decays: dict[str, Decay] = field(default_factory=dict)
    resolution: Resolution | None = None
    pack_tokens: int | None = None

    def __post_init__(self) -> None:
        refused = []
        if not NAME.fullmatch(self.name):
            refused.append(f"name: found {self.name!r}; {NAMING} would be right")
        if not self.train:
            refused.append("train: found an empty list; names of parts, or `*` for all, would be right")
        if not 0 < self.share < LARGEST:
            refused.append(f"share: found {self.share:g}; a number above 0, and finite, would be right")
        if self.pack_tokens is not None and self.pack_tokens < 1:
            refused.append(f"pack_tokens: found {self.pack_tokens}; 1 or more would be right")
        refused += [
            f"{name}.{part}: found {factor:g}; a factor of 0 or more, and finite, would be right"
            for name in ("learning_rates", "weight_decays")
            for part, factor in getattr(self, name).items()
            if not 0 <= factor < LARGEST
        ]
        if refused:
            raise Refusals(refused)

    def factors(self, name: str) -> Factors:
        """What sets a parameter apart: of each of the three, the first part that means its name."""

        def first(parts: Mapping[str, T], usual: T) -> T:
            return next((value for part, value in parts.items() if matches(name, part)), usual)

        return Factors(
            first(self.learning_rates, 1.0), first(self.weight_decays, 1.0), first(self.decays, None)
        )


@dataclass(kw_only=True)
class Training:
    """What trains something: its data, stages and budget.

    Attributes:
        data: where samples come from.
        stages: in order.
        budget: over all stages.
        checkpoint_every_n_steps: how often a run can be gone on from.
        trainer: flags of Lightning's Trainer.
        seed: of weights and data.
        name: for logs and reports.
        pretrained: pretrained weights that no component declares itself; shown in every report.
    """

    data: PackedData
    stages: list[Stage]
    budget: Budget
    checkpoint_every_n_steps: int = 200
    trainer: TrainerFlags = field(default_factory=dict)
    seed: int = 0
    name: str = "experiment"
    pretrained: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if refused := list(self._refused()):
            raise Refusals(refused)

    def _refused(self) -> Iterator[str]:
        """What is wrong with the values, each beginning with its key."""
        if not NAME.fullmatch(self.name):
            yield f"name: found {self.name!r}; {NAMING} would be right"
        if not 0 <= self.seed <= LARGEST_SEED:
            yield f"seed: found {self.seed}; 0 to {LARGEST_SEED} would be right"
        if self.checkpoint_every_n_steps < 1:
            yield f"checkpoint_every_n_steps: found {self.checkpoint_every_n_steps}; 1 or more would be right"
        if not self.stages:
            yield "stages: found an empty list; at least one stage would be right"
        names = [stage.name for stage in self.stages]
        for number, stage in enumerate(self.stages):
            if stage.name in names[:number]:
                yield f"stages.{number}.name: {stage.name!r} is an earlier stage's; another is needed"
            for text in self._misfits(stage):
                yield f"stages.{number}.{text}"

    def _misfits(self, stage: Stage) -> Iterator[str]:
        """What a stage asks of what is trained and of the data that they do not have."""
        parts = part_names(self.subject)
        for pattern in unmatched(self.subject, stage.train):
            yield f"train: {pattern} matches no parameter; the parts are {parts}"
        for name in ("learning_rates", "weight_decays", "decays"):
            for part in unmatched(self.subject, getattr(stage, name)):
                yield f"{name}.{part}: {part} matches no parameter; the parts are {parts}"
        views = stage.objective.views
        named = name_of(stage.objective)
        if views and stage.view not in views:
            yield f"view: found {stage.view!r}; {named} takes {' or '.join(map(repr, views))}"
        elif stage.view in ("question", "captions") and not self.intake(stage).patch_specs():
            if any(task.visual for task in self.data.suite.tasks.values()):
                yield (
                    f"view: found {stage.view!r}, but the assembly has no vision part to see pictures with; "
                    "'described' or 'withheld' would be right"
                )
        try:
            stage.objective.check(self.subject)
            stage.objective.meet(self.subject)
        except ValueError as error:
            yield f"objective: {error}"
            return
        if stage.resolution is not None:
            yield from self._unfit(stage.resolution, self.intake(stage).patch_specs().get("vision"))

    @staticmethod
    def _unfit(resolution: Resolution, spec: PatchSpec | None) -> Iterator[str]:
        """What a resolution asks of a tower that it cannot do."""
        if spec is None:
            yield "resolution: found one, but nothing here sees pictures; without it would be right"
            return
        group = spec.block * max(spec.merge)
        side, least = spec.patch * group, group**2
        if resolution.square is not None and resolution.square % side:
            yield (
                f"resolution.square: found {resolution.square}, which does not divide into patches of {side} "
                f"pixels; {max(1, round(resolution.square / side)) * side} would be right"
            )
        if resolution.tokens is not None and resolution.tokens[0] < least:
            yield (
                f"resolution.tokens: found {resolution.tokens[0]}, but {least} patches are merged into one; "
                f"{least} or more would be right"
            )

    @property
    def subject(self) -> Component:
        """What is trained."""
        raise NotImplementedError

    def intake(self, stage: Stage) -> Intake:
        """What a stage's batches are made for."""
        return stage.objective.intake(self.subject)


@dataclass(kw_only=True)
class Experiment(Training):
    """An assembly, its data and the stages that train it.

    Attributes:
        assembly: the model.
        weights: that it starts from; left out, all are at random.
        answer_tokens: of the longest answer, where questions are answered.
    """

    assembly: Assembly
    weights: StartingWeights | None = None
    answer_tokens: int = 24

    def _refused(self) -> Iterator[str]:
        """See `Training`; the sizes of vocabularies besides, which stand in the YAML on both sides."""
        yield from super()._refused()
        if self.answer_tokens < 1:
            yield f"answer_tokens: found {self.answer_tokens}; 1 or more would be right"
        short: list[str] = []
        # A run is read after its tokenizer's first folder is gone; what cannot be read says so itself.
        with suppress(ValueError):
            short += self.data.short_vocabularies(self.assembly)
        yield from (f"assembly.{text}" for text in short)

    @property
    def subject(self) -> Component:
        """The assembly."""
        return self.assembly
