"""A component that trains by itself: what a YAML holds that has `model:` in place of `assembly:`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from vlmloom.assemblies.assembly import Assembly
from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.component import Component
from vlmloom.components.contracts.head import Head
from vlmloom.components.contracts.objective import Objective
from vlmloom.pipelines.data.module import PackedData
from vlmloom.pipelines.experiment import Training
from vlmloom.registry.errors import ConfigError, Mark, Problem, one_line
from vlmloom.registry.plan import Part


@dataclass(kw_only=True)
class ComponentExperiment(Training):
    """A component that trains by itself; what has to be around it stands in the objective of each stage.

    Attributes:
        model: the component. What its objective knows of it, such as widths, is left out.
        data: where samples come from; where it is left out, those of the run that the objective stands on.
    """

    # Attention, which has no parameters, is taken so that it can be refused for that reason.
    model: Callable[..., Component] | Callable[..., Attention]
    data: PackedData | None = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Build the component, bring it and every objective together, and find the data."""
        self._subject = standing_alone(self.model, [stage.objective for stage in self.stages])
        if self.data is None:
            trunks = (getattr(stage.objective, "trunk", None) for stage in self.stages)
            self.data = next((trunk.data for trunk in trunks if trunk is not None), None)
        if self.data is None:
            name = ", ".join(getattr(stage.objective, "registered_name", stage.name) for stage in self.stages)
            raise ValueError(f"data: {name} brings none along; data: {{extends: data/nano}} would be right")
        super().__post_init__()

    @property
    def subject(self) -> Component:
        """The component."""
        return self._subject


def standing_alone(model: Callable[..., nn.Module], objectives: Sequence[Objective]) -> Component:
    """A component built to train by itself.

    Args:
        model: makes it; arguments that an objective offers are left open.
        objectives: of its stages.

    Raises:
        ConfigError: it lacks an argument, has no parameters, or an objective does not take it.
    """
    part: Part | None = getattr(model, "part", None)
    name = part.name if part is not None else getattr(model, "__name__", "the component")
    made = part.cls if part is not None else model

    def refuse(text: str) -> ConfigError:
        mark = part.mark if part is not None else Mark("model")
        return ConfigError([Problem(mark, part.path if part is not None else "", text)])

    if inspect.isclass(made) and issubclass(made, Assembly):
        raise refuse(f"{name} is an assembly; `assembly:` in place of `model:` would be right")
    offers: dict[str, Any] = {}
    for objective in objectives:
        offers = objective.offers() | offers
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = {
        key: parameter.default
        for key, parameter in inspect.signature(model).parameters.items()
        if parameter.kind not in variable
    }
    known = {key: value for key, value in offers.items() if key in parameters}
    # Components among its arguments are built with it, and are no defaults of the template.
    given = known.keys() | (part.arguments.keys() if part is not None else set())
    missing = [
        key for key, default in parameters.items() if default is inspect.Parameter.empty and key not in given
    ]
    if missing:
        raise refuse(f"{name} needs a value for {', '.join(missing)}")
    subject = model(**known)
    if not isinstance(subject, Component) or not any(True for _ in subject.parameters()):
        # A head makes its blocks out of the language part that it is bound to.
        if not isinstance(subject, Head):
            raise refuse(f"{name} has no parameters, so there is nothing to train")
    for objective in objectives:
        try:
            objective.prepare(subject)
        except ValueError as error:
            raise refuse(one_line(error)) from error
    return subject
