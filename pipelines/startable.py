"""Whether a training can start: its backends on this machine, and the weights that it starts from."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from vlmloom.components.contracts.attention import Attention
from vlmloom.pipelines.experiment import StartingWeights
from vlmloom.pipelines.loading import compose_assembly, trained_alone
from vlmloom.pipelines.weights.sources import Within, open_ours
from vlmloom.pipelines.weights.starting import Started, start_from
from vlmloom.registry import name_of
from vlmloom.registry.build import build
from vlmloom.registry.compose import Composed
from vlmloom.registry.dry import on_meta
from vlmloom.registry.errors import UserError


def need_backends(*modules: object) -> None:
    """See that models, and objectives with what they hold, can be computed on this machine.

    Raises:
        UserError: a backend is not there.
    """
    waiting = [*modules]
    while waiting:
        module = waiting.pop()
        available = getattr(module, "available", None)
        if available is not None and (lacking := available()) is not None:
            raise UserError(lacking)
        # An attention that holds others picks among those that are there.
        if isinstance(module, nn.Module) and not isinstance(module, Attention):
            waiting += module.children()


def start(model: nn.Module, weights: StartingWeights) -> Started:
    """Give a model the weights of a folder; what comes from where.

    Raises:
        UserError: there are none, or they are damaged or do not fit.
    """
    source, folder = open_ours(Path(weights.folder))
    with on_meta():
        if (alone := trained_alone(folder)) is None:
            donor: nn.Module = build(compose_assembly(folder))
        else:
            part = build(alone)
            kind = part.registered_name.partition("/")[0]
            donor, source = nn.ModuleDict({kind: part}), Within(source, kind)
    return start_from(model, donor, source, weights.folder, weights.take)


def need_answers(model: object, who: str) -> None:
    """See that a model answers questions.

    Raises:
        UserError: it does not.
    """
    if not hasattr(model, "generate"):
        name = name_of(model)
        raise UserError(
            f"{who}: {name} answers no questions; the native, adapter or cascade design would be right"
        )


def startable(composed: Composed, *, answers: bool = False) -> None:
    """See that an experiment can start, without memory for its model; with `answers`, that it answers.

    A component that trains alone gets its sizes from its objective, and is looked at when it is built.

    Raises:
        UserError: a backend is not there, it does not answer, or the weights that it names are not there, are
            damaged or do not fit.
    """
    keys = composed.root.value
    if "assembly" not in keys:
        return
    with on_meta():
        model = build(keys["assembly"])
    if answers:
        need_answers(model, str(composed.source))
    need_backends(model)
    if (weights := keys.get("weights")) is not None and weights.value is not None:
        start(model, StartingWeights(**weights.plain()))
