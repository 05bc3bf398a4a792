"""Which parameters of a model a stage trains."""

from __future__ import annotations

from vlmloom.components.contracts.component import Component
from vlmloom.pipelines.patterns import matches, part_names, unmatched
from vlmloom.registry.errors import UserError


def freeze(model: Component, patterns: list[str], stage: str) -> dict[str, tuple[int, int]]:
    """Let only the parameters that match train; part -> (trained, all) parameters.

    What a part has marked `untrainable`, because no loss of its reaches it, never trains.

    Raises:
        UserError: a pattern matches nothing, or nothing trains.
    """
    unused = unmatched(model, patterns)
    parts = model.parts()
    if unused or not patterns:
        raise UserError(
            f"stage {stage}: train: {', '.join(unused) or 'an empty list'} matches no parameter; "
            f"the parts are {part_names(model)}"
        )
    for name, parameter in model.named_parameters():
        trains = any(matches(name, pattern) for pattern in patterns)
        parameter.requires_grad_(trains and not getattr(parameter, "untrainable", False))
    counts = {}
    for name, part in parts.items():
        sizes = [(parameter.numel(), parameter.requires_grad) for parameter in part.parameters()]
        counts[name] = (sum(size for size, trains in sizes if trains), sum(size for size, _ in sizes))
    return counts
