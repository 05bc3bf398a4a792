"""A suite by its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vlmloom.components.contracts.suite import Suite
from vlmloom.registry import build, compose
from vlmloom.registry.compose import Composed
from vlmloom.registry.errors import UserError
from vlmloom.registry.marked import Node
from vlmloom.registry.walk import check


def open_suite(name: str, sets: Sequence[str] = (), swaps: Sequence[str] = ()) -> tuple[Suite, Composed]:
    """A suite, its sources prepared, and its tree.

    Args:
        name: of `configs/suites`, a YAML, or the folder of a run that was trained on it.
        sets: `key=value` over it.
        swaps: `key=kind/name,key=value`, parts of it that are replaced.

    Raises:
        ConfigError, UserError: there is none, or something is wrong with it.
    """
    composed = compose(_source(name), sets=sets, swaps=swaps)
    check(composed, Suite, dry=False)
    suite: Suite = build(composed)
    suite.prepare()
    return suite, composed


def _source(name: str) -> str | Node:
    config = Path(name) / "config.yaml"
    if config.is_file():
        data = compose(str(config)).root.value.get("data")
        suite = data.value.get("suite") if data is not None and isinstance(data.value, dict) else None
        if suite is None:
            raise UserError(
                f"{config}: has no data.suite; the folder of a run that was trained on one would be right"
            )
        return suite
    if Path(name).is_file() and not name.endswith((".yaml", ".yml")):
        raise UserError(f"{name}: ends in neither .yaml nor .yml; a suite's YAML would be right")
    elsewhere = name.endswith((".yaml", ".yml")) or name.startswith("suites/")
    return name if elsewhere else f"suites/{name}"
