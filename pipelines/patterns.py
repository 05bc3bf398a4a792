"""Globs over parameter names: `vision*`, `head.lm.*`, or a part's name for all that it holds."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from torch import nn

from vlmloom.components.contracts.component import Component


def matches(name: str, pattern: str) -> bool:
    """Whether a parameter's name is meant by a pattern.

    >>> matches("vision.norm.weight", "vision"), matches("vision.norm.weight", "vis*")
    (True, True)
    >>> matches("vision.norm.weight", "vis")
    False
    """
    return fnmatchcase(name, pattern) or name == pattern or name.startswith(f"{pattern}.")


def unmatched(module: nn.Module, patterns: Iterable[str]) -> list[str]:
    """The patterns that mean no parameter of a module."""
    names = [name for name, _ in module.named_parameters()]
    return [pattern for pattern in patterns if not any(matches(name, pattern) for name in names)]


def part_names(model: Component) -> str:
    """What patterns may name first: an assembly's parts, or the modules of a component that trains alone."""
    parts = model.parts()
    return ", ".join(parts if len(parts) > 1 else [name for name, _ in model.named_children()])
