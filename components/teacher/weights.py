"""Where a teacher's weights come from."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from vlmloom.registry import name_of
from vlmloom.registry.errors import BadInput, one_line

Built = TypeVar("Built")
FAULTS = (
    AssertionError,
    AttributeError,
    IndexError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What models of other packages raise where they cannot give maps, or not of this size."""


def dry() -> bool:
    """Whether shapes alone are built, on the meta device, so that no weights are read or fetched."""
    return torch.empty(0).is_meta


def need_package(who: str, module: str, install: str) -> None:
    """See that a package is installed.

    Raises:
        ValueError: it is not; the message says how to get it.
    """
    if find_spec(module) is None:
        raise ValueError(f"{who}: package {module} is not installed; `pip install {install}` would be right")


def need_file(who: str, path: str) -> str:
    """A file of weights.

    Raises:
        ValueError: there is none.
    """
    if not Path(path).is_file():
        raise ValueError(f"{who}: found no file {path!r} to take weights from")
    return path


def fetched(who: str, name: str, make: Callable[[], Built]) -> Built:
    """What `make` builds, as a rule with published weights.

    Raises:
        ValueError: they cannot be had, or do not fit; the message says where they could be put.
    """
    try:
        return make()
    except Exception as error:  # the hub's client and torch raise a dozen kinds for it
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"{who}: the weights of {name} cannot be had ({lines[0][:160]}); a network that reaches the hub, "
            "or weights: PATH to a file of them, would be right"
        ) from error


def no_map(teacher: object, model: str, images: Tensor, error: Exception) -> BadInput:
    """What is told of a model that gives no map of features of images of this size."""
    height, width = images.shape[2:]
    return BadInput(
        f"{name_of(teacher)}: {model} gives no map of features of {height} x {width} pixels "
        f"({type(error).__name__}: {one_line(error)[:160]}); another size or model would be right"
    )
