"""The arguments of a tool call: from text to JSON values of the types that the tool's schema asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


class Malformed(ValueError):
    """A tool call that cannot be made; the message is one line."""


def typed(tool: str, values: Mapping[str, str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Values by name, as the schema of a tool's parameters wants them.

    Args:
        tool: its name, for messages.
        values: what stands between `<arg_value>` and `</arg_value>`, by argument.
        schema: JSON Schema of an object; an argument that it does not describe is JSON where it reads as
            such, else text.

    Raises:
        Malformed: an argument is missing, not allowed, or of another type.
    """
    properties = schema.get("properties") or {}
    missing = [name for name in schema.get("required") or () if name not in values]
    if missing:
        raise Malformed(f"{tool}: lacks the argument {', '.join(missing)}")
    if schema.get("additionalProperties") is False:
        unknown = [name for name in values if name not in properties]
        if unknown:
            known = ", ".join(properties) or "none"
            raise Malformed(f"{tool}: takes no argument {', '.join(unknown)}; it takes {known}")
    return {name: value_of(tool, name, text, properties.get(name) or {}) for name, text in values.items()}


def value_of(tool: str, name: str, text: str, schema: Mapping[str, Any]) -> Any:
    """One value; text stays as it is where the schema wants text and nothing else."""
    allowed = types_of(schema)
    if allowed == {"string"}:
        value: Any = text
    else:
        value = _parsed(text)
        if isinstance(value, str) or (allowed and not _fits(value, allowed)):
            value = text
    if allowed and not _fits(value, allowed):
        raise Malformed(
            f"{tool}: {name} is {_short(text)}, but the schema wants {' or '.join(sorted(allowed))}"
        )
    if "enum" in schema and value not in schema["enum"]:
        options = ", ".join(json.dumps(option, ensure_ascii=False) for option in schema["enum"])
        raise Malformed(f"{tool}: {name} is {_short(text)}, but may be {options}")
    return value


def types_of(schema: Mapping[str, Any]) -> set[str]:
    """The names of the types that a schema allows; empty where it allows any."""
    named = schema.get("type")
    if named is not None:
        return set(named) if isinstance(named, list) else {named}
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            parts = [types_of(part) for part in schema[key]]
            return set().union(*parts) if all(parts) else set()
    if "enum" in schema:
        return {name for option in schema["enum"] for name in TYPES if _fits(option, {name})}
    return set()


def _parsed(text: str) -> Any:
    """JSON, or the text itself where it is none; `NaN` and the like are none."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _fits(value: Any, allowed: set[str]) -> bool:
    """Whether a JSON value is of one of the types; a whole number such as 2.0 is no integer here."""
    if isinstance(value, bool):
        return "boolean" in allowed
    return any(isinstance(value, TYPES.get(name, (object,))) for name in allowed)


def _short(text: str) -> str:
    return json.dumps(text if len(text) <= 40 else f"{text[:37]}...", ensure_ascii=False)
