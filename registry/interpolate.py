"""`${...}`: values that OmegaConf takes from elsewhere in the tree, after every override has been applied."""

from __future__ import annotations

import re
from typing import Any

from vlmloom.registry.errors import Problem, nearest, one_line
from vlmloom.registry.marked import UNKNOWN, Node, mark_all

_REFERENCE = re.compile(r"\$\{([A-Za-z_][^${}:]*)\}")


def mount(node: Node, path: tuple[str, ...]) -> None:
    """Make the references of a file that is used below `path` start there."""
    prefix = ".".join(path)
    for _, leaf in node.leaves():
        if prefix and isinstance(leaf.value, str) and "${" in leaf.value:
            leaf.value = _REFERENCE.sub(lambda found: f"${{{prefix}.{found[1].strip()}}}", leaf.value)


def resolve_references(root: Node, problems: list[Problem], only: str | None = None) -> None:
    """Replace every reference by what it names; what cannot be resolved is noted and becomes `UNKNOWN`.

    Args:
        root: the tree, changed in place.
        problems: grows by what is wrong.
        only: the last key of the values to look at; None looks at all.
    """
    asking = [(path, leaf) for path, leaf in root.leaves() if _asks(leaf.value) and only in (None, path[-1])]
    if not asking:
        return
    from omegaconf import OmegaConf
    from omegaconf.errors import GrammarParseError
    from omegaconf.grammar_parser import parse

    known = {".".join(path) for path, _ in root.leaves()}
    readable = []
    for path, leaf in asking:
        try:
            parse(leaf.value)
            readable.append((path, leaf))
        except GrammarParseError as error:
            problems.append(_bad(path, leaf, one_line(error)))
            leaf.value = UNKNOWN
    config = OmegaConf.create(_plain(root))
    for path, leaf in readable:
        try:
            leaf.value = _replace(config, path)
        except RecursionError:
            problems.append(_bad(path, leaf, "it leads back to itself"))
            leaf.value = UNKNOWN
        except Exception as error:
            said = one_line(error).partition(" full_key:")[0]
            if said.startswith("Recursive"):
                said = "it leads back to itself"
            names = [name.strip() for name in _REFERENCE.findall(leaf.value)]
            lost = next((name for name in names if not _there(config, name)), None)
            hint = f"there is no {lost}; {nearest(lost, known)}" if lost else said
            problems.append(_bad(path, leaf, hint))
            leaf.value = UNKNOWN
        if isinstance(leaf.value, dict | list):
            leaf.value = mark_all(leaf.value, leaf.mark).value


def _asks(value: Any) -> bool:
    return isinstance(value, str) and "${" in value


def _bad(path: tuple[str, ...], leaf: Node, why: str) -> Problem:
    return Problem(leaf.mark, ".".join(path), f"found {leaf.value!r}, which cannot be resolved: {why}")


def _plain(node: Node) -> Any:
    """Plain data as OmegaConf takes it."""
    if isinstance(node.value, dict):
        return {key: _plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(child) for child in node.value]
    return node.value if isinstance(node.value, str | int | float) else None


def _replace(config: Any, path: tuple[str, ...]) -> Any:
    from omegaconf import OmegaConf

    for key in path[:-1]:
        config = config[int(key)] if OmegaConf.is_list(config) else config[key]
    value = config[int(path[-1])] if OmegaConf.is_list(config) else config[path[-1]]
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _there(config: Any, name: str) -> bool:
    from omegaconf import OmegaConf

    try:
        return OmegaConf.select(config, name, default=None) is not None
    except Exception:
        return True
