"""The one decorator that gives a class its name in the registry.

It only notes the name on the class and in a table of what this process has imported; the catalogue
(`vlmloom.registry.catalog`) finds names without importing anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Class = TypeVar("Class", bound=type)

_REGISTERED: dict[str, type] = {}


class DuplicateName(ValueError):
    """Two classes claim one registered name."""


def register(name: str) -> Callable[[Class], Class]:
    """Register a class under `kind/name`, exactly as written.

    >>> @register("projector/example_only")
    ... class Example: ...
    >>> Example.registered_name
    'projector/example_only'

    Args:
        name: `kind/name` in lower case, e.g. `projector/mlp`.

    Raises:
        ValueError: the name is not `kind/name`.
        DuplicateName: another class has that name already.
    """
    kind, slash, short = name.partition("/")
    if not slash or not kind.isidentifier() or not short.isidentifier():
        raise ValueError(f"register({name!r}): a registered name is 'kind/name', e.g. 'projector/mlp'")

    def mark(cls: Class) -> Class:
        known = _REGISTERED.get(name)
        same = known is not None and (known.__module__, known.__qualname__) == (
            cls.__module__,
            cls.__qualname__,
        )
        if known is not None and not same:
            raise DuplicateName(
                f"{name} is registered twice: {known.__module__}.{known.__qualname__} "
                f"and {cls.__module__}.{cls.__qualname__}"
            )
        cls.registered_name = name  # type: ignore[attr-defined]
        _REGISTERED[name] = cls
        return cls

    return mark


def registered() -> dict[str, type]:
    """The names that this process has imported so far, with their classes."""
    return dict(_REGISTERED)


def name_of(component: object) -> str:
    """The name by which a component is registered, else that of its class.

    >>> name_of(3)
    'int'
    """
    return str(getattr(component, "registered_name", type(component).__name__))
