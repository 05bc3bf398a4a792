"""Weights from shards into a module that was built without memory: `without_memory`, `fill`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vlmloom.pipelines.weights.shards import FLOATS, Shards
from vlmloom.registry.dry import nothing_to_fill
from vlmloom.registry.errors import UserError


class _EmptyOnMeta(TorchFunctionMode):
    """Gives `torch.empty` no memory: parameters are made by it, while buffers are computed."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **{**(kwargs or {}), "device": "meta"} if func is torch.empty else kwargs or {})


@contextmanager
def without_memory() -> Iterator[None]:
    """Modules made inside have parameters without memory, and buffers with their values."""
    with _EmptyOnMeta(), nothing_to_fill():
        yield


def fill(module: nn.Module, shards: Shards, where: Path, dtype: torch.dtype | None = None) -> None:
    """Give every parameter and buffer of a module its tensor, one at a time.

    Args:
        module: built by `without_memory`, or as usual.
        shards: holds its state, tensors that are one in memory under one of their names.
        where: for messages.
        dtype: of the parameters; None keeps that of the files. Buffers keep their own.

    Raises:
        UserError: tensors are missing, unknown or misshapen; all of them.
    """
    places = places_of(module)
    known = {name for names in places.values() for name in names}
    missing = [names[0] for names in places.values() if not any(name in shards for name in names)]
    unknown = [name for name in shards if name not in known]
    state = module.state_dict(keep_vars=True)
    misshapen = [
        f"{name} {list(shards.shape(name))} for {list(state[name].shape)}"
        for name in shards
        if name in state and tuple(state[name].shape) != shards.shape(name)
    ]
    kinds = (("missing", missing), ("unknown", unknown), ("misshapen", misshapen))
    faults = [f"{len(names)} {what}: {', '.join(names)}" for what, names in kinds if names]
    if faults:
        raise UserError(f"{where}: does not fit this model; {'; '.join(faults)}")
    if wrong := [name for name in shards if shards.dtype(name) not in FLOATS]:
        raise UserError(
            f"{where}: {wrong[0]} is of type {shards.dtype(wrong[0])}; {', '.join(FLOATS)} would fit"
        )
    for names in places.values():
        name = next(name for name in names if name in shards)
        tensor, old = shards.tensor(name), state[name]
        if isinstance(old, nn.Parameter):
            new: Tensor = nn.Parameter(tensor if dtype is None else tensor.to(dtype), old.requires_grad)
            new.__dict__.update(old.__dict__)  # What the optimizer is told about a matrix goes along.
        else:
            new = tensor.to(old.dtype)
        for one in names:
            owner, _, attribute = one.rpartition(".")
            setattr(module.get_submodule(owner), attribute, new)
    if left := [name for name, one in (*module.named_parameters(), *module.named_buffers()) if one.is_meta]:
        raise RuntimeError(f"these have no values: {', '.join(left)}")


def places_of(module: nn.Module) -> dict[int, list[str]]:
    """The names of each tensor of the state; several where one tensor has several."""
    places: dict[int, list[str]] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        places.setdefault(id(tensor), []).append(name)
    return places
