"""Reading JSON as an answer: one value, no key twice, nothing that has no end."""

from __future__ import annotations

import json
import math
from typing import Any

from vlmloom.components.reward.leads import unled
from vlmloom.components.reward.parsed import Unreadable, shown, unfenced

DEEPEST = 32
"""Levels of a JSON answer."""


def read_json(text: str) -> Any:
    """JSON, bare, after "Answer:" or in one code fence: no key twice, nothing infinite, `DEEPEST` levels.

    Raises:
        Unreadable: it is something else.

    >>> read_json('{"a": [1, null]}')
    {'a': [1, None]}
    >>> read_json('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    vlmloom.components.reward.parsed.Unreadable: no JSON: the key 'a' twice
    """
    inner = unled(unfenced(text))
    if not inner or inner[0] not in '[{"-0123456789tfn':
        raise Unreadable(f"no JSON in {shown(text)}")
    try:
        value = json.loads(inner, object_pairs_hook=once_each, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise Unreadable(f"no JSON: more than {DEEPEST} levels") from None
    except ValueError as error:
        raise Unreadable(f"no JSON: {error}") from None
    _shallow(value, DEEPEST)
    return value


def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The keys and values of a JSON object, for `object_pairs_hook`.

    Raises:
        ValueError: a key stands twice.
    """
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} twice")
        found[key] = value
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text}")
    return value


def _shallow(value: Any, levels: int) -> None:
    if isinstance(value, (dict, list)):
        if not levels:
            raise Unreadable(f"no JSON: more than {DEEPEST} levels")
        for inner in value.values() if isinstance(value, dict) else value:
            _shallow(inner, levels - 1)
