"""A suite by its name."""

from __future__ import annotations

from vlmloom.components.contracts.suite import Suite
from vlmloom.registry import build, compose
from vlmloom.registry.compose import Composed
from vlmloom.registry.walk import check


def open_suite(name: str, sets: tuple[str, ...] = ()) -> tuple[Suite, Composed]:
    """A suite of `configs/suites` by its name, or of a YAML file, its sources prepared, and its tree.

    Raises:
        ConfigError, UserError: there is none, or something is wrong with it.
    """
    elsewhere = name.endswith((".yaml", ".yml")) or name.startswith("suites/")
    composed = compose(name if elsewhere else f"suites/{name}", sets=sets)
    check(composed, Suite, dry=False)
    suite: Suite = build(composed)
    suite.prepare()
    return suite, composed
