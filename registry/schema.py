"""The JSON Schema that editors complete and check YAML with, made of the catalogue and the signatures.

It helps while typing; `vlmloom validate` decides. What a schema cannot know (overlays over an `extends`, what
an owner supplies to a template) it leaves open, so it never refuses a sound file.
"""

from __future__ import annotations

import enum
import inspect
import json
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from vlmloom.registry.catalog import catalog
from vlmloom.registry.hints import (
    REQUIRED,
    Parameter,
    arguments_of,
    container,
    is_slot,
    is_structure,
    members,
    signature,
    template_of,
    unwrap,
)

Schema = dict[str, Any]

REFERENCE: Schema = {"type": "string", "pattern": r"\$\{"}
"""A value taken from elsewhere."""

PLUGINS: Schema = {
    "description": "modules, or paths that end in .py, whose components are to be known",
    "type": "array",
    "items": {"type": "string"},
}


def schema(*experiments: type) -> Schema:
    """The schema of assemblies and experiments.

    Args:
        experiments: the dataclasses whose fields are the keys of an experiment of one sort or another.
    """
    writer = _Writer()
    for entry in catalog().list():
        writer.component(entry.name)
    keys = {
        name: writer.parameter(parameter)
        for experiment in reversed(experiments)
        for name, parameter in signature(experiment).parameters.items()
    }
    keys["assembly"] = {
        "anyOf": [{"type": "string", "description": "the name of an assembly"}, keys["assembly"]]
    }
    top = {
        "extends": {"type": "string", "description": "a name, or a path relative to this file"},
        "set": {"type": "object", "description": "dotted path -> value; leaves only"},
        "swap": {
            "type": "object",
            "description": "dotted path -> component; nothing of the old one is inherited",
            "additionalProperties": writer.any_component(),
        },
        "plugins": PLUGINS,
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "VLMLoom: an assembly, a part of one, or an experiment",
        "type": "object",
        "properties": top,
        "if": {"required": ["use"]},
        "then": writer.any_component(),
        "else": {"properties": keys},
        "$defs": dict(sorted(writer.definitions.items())),
    }


def schema_text(made: Schema) -> str:
    """A schema as the file's text; equal schemas are equal texts."""
    return json.dumps(made, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


class _Writer:
    """Definitions by name, each written once."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}

    def component(self, name: str) -> None:
        """Define a component: its keys with types, defaults and help."""
        cls = catalog().resolve(name)
        wanted = signature(cls)
        made: Schema = {
            "description": catalog().entries[name].summary,
            "type": "object",
            "properties": {"use": {"const": name}}
            | {key: self.parameter(parameter) for key, parameter in wanted.parameters.items()},
            "required": ["use"],
        }
        if not wanted.open_ended:
            # A component at the top of a file stands beside what the file extends, sets and swaps.
            made["properties"] |= {key: True for key in ("extends", "set", "swap", "plugins")}
            made["additionalProperties"] = False
        self.definitions[name.replace("/", ".")] = made

    def parameter(self, parameter: Parameter) -> Schema:
        """A key: its type, its default, what its docstring says."""
        made = self.hint(parameter.hint)
        if parameter.help:
            made = made | {"description": parameter.help}
        if parameter.default is not REQUIRED and _is_plain(parameter.default):
            made = made | {"default": parameter.default}
        return made

    def hint(self, hint: Any) -> Schema:
        """A type."""
        target = arguments_of(hint)
        if target is not None:
            return {"type": "object"}
        found = [self.one(unwrap(member)) for member in members(hint)]
        if any(not one for one in found):
            return {}
        unique: list[Schema] = []
        for one in found:
            if one not in unique:
                unique.append(one)
        if any(one.get("type") != "object" and "$ref" not in one for one in unique):
            unique.append(REFERENCE)
        return unique[0] if len(unique) == 1 else {"anyOf": unique}

    def one(self, hint: Any) -> Schema:
        """A type that is no union."""
        if hint in (None, type(None)):
            return {"type": "null"}
        if get_origin(hint) is Literal:
            return {"enum": list(get_args(hint))}
        plain = {bool: "boolean", int: "integer", float: "number", str: "string"}.get(hint)
        if plain is not None:
            return {"type": plain}
        wanted = template_of(hint) or (hint if is_slot(hint) else None)
        if wanted is not None:
            return self.slot(wanted)
        held = container(hint)
        if held is not None:
            return self.container(*held)
        if is_structure(hint):
            return self.structure(hint)
        if inspect.isclass(hint) and issubclass(hint, enum.Enum):
            return {"enum": [member.name for member in hint]}
        return {}

    def container(self, name: str, inner: Any) -> Schema:
        """A list, a tuple or a mapping."""
        if name == "dict":
            return {"type": "object", "additionalProperties": self.hint(inner) or True}
        if name == "tuple":
            items = [self.hint(item) for item in inner]
            return {"type": "array", "items": items, "minItems": len(items), "maxItems": len(items)}
        item = self.hint(inner)
        # A list may be written over depth: a mapping of slices, numbers or * to items.
        over_depth = {
            "type": "object",
            "patternProperties": {r"^(\*|-?\d+|(-?\d+)?:(-?\d+)?(:-?\d+)?)$": item or True},
            "additionalProperties": False,
        }
        return {"anyOf": [{"type": "array", "items": item}, over_depth]}

    def structure(self, hint: type) -> Schema:
        """A dataclass or TypedDict."""
        name = hint.__name__
        if name not in self.definitions:
            self.definitions[name] = {}
            keys = signature(hint).parameters
            self.definitions[name] = {
                "description": (inspect.getdoc(hint) or "").split("\n")[0],
                "type": "object",
                "properties": {key: self.parameter(parameter) for key, parameter in keys.items()},
                "additionalProperties": False,
            }
        return {"$ref": f"#/$defs/{name}"}

    def slot(self, base: type) -> Schema:
        """Any component of a kind."""
        name = f"slot.{base.__name__}"
        if name not in self.definitions:
            names = [entry.name for entry in catalog().list()]
            self.definitions[name] = _choice(
                [one for one in names if issubclass(catalog().resolve(one), base)]
            )
        return {"$ref": f"#/$defs/{name}"}

    def any_component(self) -> Schema:
        """Any component at all."""
        name = "slot.any"
        if name not in self.definitions:
            self.definitions[name] = _choice([entry.name for entry in catalog().list()])
        return {"$ref": f"#/$defs/{name}"}


def _choice(names: list[str]) -> Schema:
    """One of several components, told apart by `use`, so that an editor speaks of the one that is meant."""
    return {
        "type": "object",
        "properties": {
            "use": {"enum": names} if names else {"type": "string"},
            "class_path": {"type": "string", "description": "module.Class, for what is not registered"},
            "init_args": {"type": "object"},
        },
        "allOf": [
            {
                "if": {"required": ["use"], "properties": {"use": {"const": name}}},
                "then": {"$ref": f"#/$defs/{name.replace('/', '.')}"},
            }
            for name in names
        ],
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, Mapping):
        return False
    return value is None or (isinstance(value, bool | int | float | str) and value == value)
