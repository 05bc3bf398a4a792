"""Sorting the parameters of several parts into an optimizer's groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from torch import nn

Groups: TypeAlias = Iterable[tuple[Iterable[tuple[str, nn.Parameter]], float]]
"""Pairs of named parameters and the factor on their learning rate."""


def sort_parameters(
    groups: Groups,
    sort: Callable[[str, nn.Parameter], tuple[str, float]],
    rates: Mapping[str, float],
    who: str,
) -> list[dict[str, Any]]:
    """Groups of equal factor, kind and decay, in the order of first sight; shared parameters once.

    Args:
        groups: the parts.
        sort: name and parameter to (kind, weight decay).
        rates: the learning rate of each kind, before the part's factor.
        who: the recipe, for the message.

    Raises:
        ValueError: no parameter requires a gradient.
    """
    found: dict[tuple[float, str, float], list[tuple[str, nn.Parameter]]] = {}
    seen: set[int] = set()
    for parameters, factor in groups:
        for name, parameter in parameters:
            if not parameter.requires_grad or id(parameter) in seen:
                continue
            seen.add(id(parameter))
            kind, decay = sort(name, parameter)
            found.setdefault((factor, kind, decay), []).append((name, parameter))
    if not found:
        raise ValueError(f"{who}: found no parameter that requires a gradient; unfreeze at least one part")
    return [
        {"params": parameters, "kind": kind, "lr": rates[kind] * factor, "weight_decay": decay}
        for (factor, kind, decay), parameters in found.items()
    ]
