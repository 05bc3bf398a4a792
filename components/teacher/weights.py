"""Where a teacher's weights come from."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import torch

Built = TypeVar("Built")


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
    """What `make` builds with published weights.

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
