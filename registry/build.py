"""Configurations into objects, and back into a file that runs again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from vlmloom.registry.compose import Composed, compose
from vlmloom.registry.errors import Mark
from vlmloom.registry.marked import Node, PlainLoader, mark_all
from vlmloom.registry.plan import Fields, Part, construct, construct_fields
from vlmloom.registry.walk import check

Source = Composed | Node | Mapping[str, Any]


def build(source: Source, /, **supplied: Any) -> Any:
    """Build the component that a configuration names, children first.

    >>> build({"use": "projector/mlp", "in_width": 8}, out_width=16)  # doctest: +SKIP
    MLP(...)

    Args:
        source: what `compose` gave, a part of its tree, or a plain mapping with `use` (or `class_path`).
        supplied: arguments of the top component that the configuration does not hold.

    Raises:
        ConfigError: a key, a type, a kind or a value is wrong; all that can be told at once.
    """
    plan = check(_tree(source), dry=False, supplied=supplied)
    assert isinstance(plan, Part)
    plan.supplied = supplied
    return construct(plan)


def build_as(source: Source, shape: type, **through: Callable[[Callable[[], Any]], Any]) -> Any:
    """Build a dataclass whose fields are components, templates and plain values.

    Args:
        source: as for `build`; its keys are the fields.
        shape: the dataclass.
        through: by field, what is handed its building and gives what stands there.

    Raises:
        ConfigError: as for `build`.
    """
    plan = check(_tree(source), shape, dry=False)
    assert isinstance(plan, Fields)
    values = {key: through.get(key, _now)(partial(construct, one)) for key, one in plan.values.items()}
    return construct_fields(plan, values)


def _now(make: Callable[[], Any]) -> Any:
    return make()


def _tree(source: Source) -> Node:
    if isinstance(source, Composed):
        return source.root
    if isinstance(source, Node):
        return source
    return compose(mark_all(source, Mark("<build>"))).root


class _Dumper(yaml.SafeDumper):
    """Quotes what our loader would read as something else than text."""

    yaml_implicit_resolvers = PlainLoader.yaml_implicit_resolvers

    def ignore_aliases(self, data: Any) -> bool:
        return True


def saved(composed: Composed) -> str:
    """A composed configuration as YAML that stands alone: nothing to extend, set or resolve."""
    plain = composed.root.plain()
    if composed.plugins:
        plain = {"plugins": composed.plugins} | plain
    return f"# Resolved from {composed.source}; runs again as it stands.\n{as_yaml(plain)}"


def as_yaml(plain: Mapping[str, Any]) -> str:
    """Plain values as the YAML that our loader reads back."""
    return yaml.dump(dict(plain), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def save(composed: Composed, path: Path) -> None:
    """Write `saved` to a file, whole or not at all."""
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(saved(composed), encoding="utf-8")
    temporary.replace(path)
