"""Sorting the parameters of several parts into an optimizer's groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from torch import nn

from vlmloom.components.contracts.factors import Factors

Groups: TypeAlias = Iterable[tuple[Iterable[tuple[str, nn.Parameter]], Factors]]
"""Pairs of named parameters and what sets them apart."""


def sort_parameters(
    groups: Groups,
    sort: Callable[[str, nn.Parameter], tuple[str, float]],
    rates: Mapping[str, float],
    who: str,
) -> list[dict[str, Any]]:
    """Groups of equal factors, kind and weight decay, in the order of first sight; shared parameters once.

    Args:
        groups: the parts.
        sort: name and parameter to (kind, weight decay).
        rates: the learning rate of each kind, before the part's factors.
        who: the recipe, for the message.

    Raises:
        ValueError: no parameter requires a gradient.
    """
    found: dict[tuple[Factors, str, float], list[tuple[str, nn.Parameter]]] = {}
    seen: set[int] = set()
    for parameters, factors in groups:
        for name, parameter in parameters:
            if not parameter.requires_grad or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            kind, decay = sort(name, parameter)
            found.setdefault((factors, kind, decay), []).append((name, parameter))
    if not found:
        raise ValueError(f"{who}: found no parameter that requires a gradient; unfreeze at least one part")
    return [
        {
            "params": parameters,
            "kind": kind,
            "lr": rates[kind] * factors.rate,
            "weight_decay": decay * factors.weight_decay,
            "decay": factors.decay,
        }
        for (factors, kind, decay), parameters in found.items()
    ]
