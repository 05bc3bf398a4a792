"""`described`: an assembly in plain values, with what constructors infer filled in and heads by one name."""

from __future__ import annotations

from typing import Any

from vlmloom.assemblies.native.families.settings import Tree
from vlmloom.components.language.rotary import default_sections
from vlmloom.registry.plan import Plan, values

MULTI_TOKEN = ("head/mtp", "head/mmtp")


def described(plan: Plan) -> Tree:
    """A checked assembly as `Family.config` and `Family.links` read it.

    A multi-token head goes by the name `mtp`, and `modules` says how many modules it has.
    """
    assembly: Tree = values(plan)
    language, vision, projector = (assembly.get(part) or {} for part in ("language", "vision", "projector"))
    width = language.get("width")
    _fill(language, "kv_heads", language.get("heads"))
    if {"head_size", "rotary_fraction"} <= language.keys():
        _fill(language, "head_size", width // language["heads"])
        rotated = int(language["head_size"] * language["rotary_fraction"])
        _fill(language, "mrope_sections", list(default_sections(rotated // 2)))
    if vision.get("use") == "vision/cogvit":
        _fill(vision, "hidden", 4 * vision["width"])
    if projector.get("use") == "projector/merger" and width is not None:
        _fill(projector, "hidden", 3 * width)
    if (found := multi_token(assembly)) is not None:
        head = assembly["head"].pop(found)
        assembly["head"]["mtp"] = head | {"modules": 1 if head["shared"] else head["depth"]}
    return assembly


def multi_token(assembly: Tree) -> str | None:
    """The name of the multi-token head, where there is one."""
    heads = assembly.get("head") or {}
    return next((name for name, head in heads.items() if head.get("use") in MULTI_TOKEN), None)


def _fill(part: Tree, key: str, value: Any) -> None:
    if key in part and part[key] is None:
        part[key] = value
