"""The dry build: constructors run on the meta device, and what they refuse is told before data is read.

Children are built before their owners and every refusal is collected; then assemblies chain the shapes of
their parts (`dry_run`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from typing import Any

from vlmloom.registry.errors import ConfigError, Problem, one_line
from vlmloom.registry.plan import (
    Broken,
    Fields,
    Items,
    Leaf,
    Part,
    Plan,
    construct,
    construct_fields,
    construct_part,
    refusal,
)


def dry_build(plan: Plan) -> list[Problem]:
    """What constructors and neighbouring shapes refuse."""
    problems: list[Problem] = []
    with on_meta():
        _build(plan, problems)
    return problems


@contextlib.contextmanager
def on_meta() -> Iterator[None]:
    """Parameters that are made inside have shapes and no memory."""
    if "torch" not in sys.modules:
        yield
        return
    import torch

    with torch.device("meta"), nothing_to_fill():
        yield


def nothing_to_fill() -> contextlib.AbstractContextManager[Any]:
    """Leaves meta tensors as they are where they would be filled: torch takes milliseconds to do nothing."""
    import torch
    from torch.overrides import TorchFunctionMode

    names = ("normal_", "uniform_", "trunc_normal_", "kaiming_uniform_", "constant_", "ones_", "zeros_")
    filling = {getattr(torch.nn.init, name) for name in names}
    filling |= {torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.zero_, torch.Tensor.fill_}

    class NothingToFill(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            if func in filling:
                tensor = args[0] if args else kwargs["tensor"]
                if tensor.is_meta:
                    return tensor
            return func(*args, **kwargs)

    return NothingToFill()


_FAILED = Leaf(None)


def _build(plan: Plan, problems: list[Problem]) -> Plan:
    """The plan with its parts built, or `_FAILED`."""
    if isinstance(plan, Leaf):
        return plan
    if isinstance(plan, Broken):
        for child in plan.children:
            _build(child, problems)
        return _FAILED
    if isinstance(plan, Items):
        items = [_build(item, problems) for item in plan.items]
        return _FAILED if any(item is _FAILED for item in items) else Items(items, plan.make)
    if isinstance(plan, Fields):
        values = {key: _build(value, problems) for key, value in plan.values.items()}
        if any(value is _FAILED for value in values.values()):
            return _FAILED
        try:
            return Leaf(construct_fields(plan, {key: construct(value) for key, value in values.items()}))
        except ConfigError as error:
            problems.extend(error.problems)
            return _FAILED
    if plan.template:
        return plan
    arguments = {key: _build(value, problems) for key, value in plan.arguments.items()}
    if any(value is _FAILED for value in arguments.values()):
        return _FAILED
    try:
        built = construct_part(_with(plan, arguments), plan.supplied)
    except ConfigError as error:
        problems.extend(error.problems)
        return _FAILED
    problem = _dry_run(plan, built)
    if problem is not None:
        problems.append(problem)
        return _FAILED
    return Leaf(built)


def _with(part: Part, arguments: dict[str, Plan]) -> Part:
    return dataclasses.replace(part, arguments=arguments)


def _dry_run(part: Part, built: Any) -> Problem | None:
    run = getattr(built, "dry_run", None)
    if not callable(run):
        return None
    try:
        run()
    except Exception as error:
        place = _blamed(part, str(error)) or part
        if isinstance(error, ValueError):
            return Problem(place.mark, place.path, one_line(error))
        return refusal(place, error).problems[0]
    return None


def _blamed(part: Part, message: str) -> Part | None:
    """The part that a message about shapes begins with, by its name or by the key that it stands under."""
    who = message.split(" ")[0].strip(":`'\"")
    found = None
    for below in _parts(part):
        if who in (below.name, below.path.rpartition(".")[2], below.cls.__name__):
            found = found or below
    return found


def _parts(plan: Plan) -> Iterator[Part]:
    if isinstance(plan, Part):
        for child in plan.arguments.values():
            if isinstance(child, Part):
                yield child
            yield from _parts(child)
    elif isinstance(plan, Items | Fields):
        for child in plan.items if isinstance(plan, Items) else plan.values.values():
            if isinstance(child, Part):
                yield child
            yield from _parts(child)
