"""YAML as a tree in which every value knows its file and line.

Reads plain data only: a tag that would make anything else is refused, and so are files that are too large,
nested too deeply, or grown by aliases.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from vlmloom.registry.errors import ConfigError, Mark, Problem, one_line, show_path

LARGEST = 1_000_000
"""Bytes of the largest YAML that is read."""
MOST_VALUES = 200_000
"""Values of the largest YAML after its aliases are followed."""
UNKNOWN = object()
"""The value of a node that could not be had; the problem has been noted, and no more is said of it."""
DEEPEST = 64
"""Levels of the most deeply nested YAML."""


@dataclass(slots=True)
class Node:
    """A value and its place; a mapping's keys are strings, and its values and a list's items are nodes."""

    value: Any
    mark: Mark

    def plain(self) -> Any:
        """The value without marks."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.plain() for child in self.value]
        return self.value

    def copy(self) -> Node:
        """A deep copy, so that an edit of one place does not reach another."""
        if isinstance(self.value, dict):
            return Node({key: child.copy() for key, child in self.value.items()}, self.mark)
        if isinstance(self.value, list):
            return Node(type(self.value)(child.copy() for child in self.value), self.mark)
        return Node(self.value, self.mark)

    def get(self, key: str) -> Any:
        """The plain value under a key of a mapping, None where there is none."""
        child = self.value.get(key) if isinstance(self.value, dict) else None
        return None if child is None else child.plain()

    def names_component(self) -> bool:
        """Whether this is a mapping that says which component it is."""
        return isinstance(self.value, dict) and ("use" in self.value or "class_path" in self.value)

    def leaves(self, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
        """Every value that is no mapping and no list, with its path."""
        if isinstance(self.value, dict):
            for key, child in self.value.items():
                yield from child.leaves((*path, key))
        elif isinstance(self.value, list):
            for index, child in enumerate(self.value):
                yield from child.leaves((*path, str(index)))
        else:
            yield path, self


def mark_all(value: Any, mark: Mark) -> Node:
    """Plain data as nodes that all have one place."""
    if isinstance(value, Node):
        return value
    if isinstance(value, Mapping):
        return Node({str(key): mark_all(child, mark) for key, child in value.items()}, mark)
    if isinstance(value, list | tuple):
        return Node([mark_all(child, mark) for child in value], mark)
    return Node(value, mark)


def describe(node: Node) -> str:
    """What stands there, for a message."""
    if isinstance(node.value, dict):
        return "a mapping"
    return "a list" if isinstance(node.value, list) else repr(node.value)


class PlainLoader(yaml.SafeLoader):
    """YAML 1.2's core rules: `on`, `yes` and `4:8` are text, `1e-3` is a number."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(0|[1-9][0-9_]*)|0x[0-9a-fA-F]+|0o[0-7]+", "-+0123456789"),
    (
        "float",
        r"[-+]?([0-9][0-9_]*\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+0123456789.",
    ),
):
    PlainLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first)
    )


def load(path: Path) -> Node:
    """Read a file.

    Raises:
        ConfigError: it is not there, or cannot be read as YAML of plain data.
    """
    name = show_path(path)

    def refuse(text: str) -> ConfigError:
        return ConfigError([Problem(Mark(name), "", text)])

    try:
        if path.is_dir():
            raise refuse("this is a folder; a YAML file is needed")
        if path.exists() and not path.is_file():
            raise refuse("this is a pipe or a device; a YAML file is needed")
        if not path.exists():
            near = [entry.name for entry in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
            hint = f"; this folder has {', '.join(sorted(near)[:8])}" if near else ""
            raise refuse(f"there is no such file{hint}")
        size = path.stat().st_size
        if size > LARGEST:
            raise refuse(f"{size:,} bytes; a configuration of at most {LARGEST:,} bytes is read")
        data = path.read_bytes()
    except OSError as error:
        raise refuse(f"cannot be read: {error.strerror}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        text = f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise ConfigError([Problem(Mark(name, line), "", text)]) from error
    return parse(text, name)


def parse(text: str, name: str) -> Node:
    """Read YAML text; `name` is the file that marks name.

    Raises:
        ConfigError: it is not YAML of plain data.
    """
    if text.count("\x00"):
        raise ConfigError([Problem(Mark(name), "", "holds a NUL byte; this is no YAML text")])
    try:
        root = yaml.compose(text, Loader=PlainLoader)
    except yaml.MarkedYAMLError as error:
        place = error.problem_mark or error.context_mark
        mark = Mark(name, place.line + 1 if place else None)
        said = " ".join(filter(None, (error.context, error.problem)))
        raise ConfigError([Problem(mark, "", f"not valid YAML: {' '.join(said.split())}")]) from error
    except yaml.YAMLError as error:
        raise ConfigError([Problem(Mark(name), "", f"not valid YAML: {one_line(error)}")]) from error
    except RecursionError as error:
        raise ConfigError([Problem(Mark(name), "", f"nested deeper than {DEEPEST} levels")]) from error
    if root is None:
        raise ConfigError([Problem(Mark(name, 1), "", "the file is empty; a mapping of keys is needed")])
    reader = _Reader(name)
    tree = reader.read(root, 0, "")
    if reader.problems:
        raise ConfigError(reader.problems)
    return tree


class _Reader:
    """Turns the composer's nodes into ours, and notes what is refused."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self.count = 0

    def refuse(self, node: yaml.Node, path: str, text: str) -> Node:
        mark = self.mark(node)
        self.problems.append(Problem(mark, path, text))
        return Node(None, mark)

    def mark(self, node: yaml.Node) -> Mark:
        return Mark(self.name, node.start_mark.line + 1)

    def read(self, node: yaml.Node, depth: int, path: str) -> Node:
        self.count += 1
        if self.count > MOST_VALUES:
            problem = Problem(
                self.mark(node), path, f"more than {MOST_VALUES:,} values once aliases are followed"
            )
            raise ConfigError([problem])
        if depth > DEEPEST:
            return self.refuse(node, path, f"nested deeper than {DEEPEST} levels, or an alias to itself")
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if kind not in ("str", "int", "float", "bool", "null", "map", "seq"):
            return self.refuse(
                node, path, f"tag {node.tag} is refused: a configuration is plain data, it runs nothing"
            )
        if isinstance(node, yaml.MappingNode):
            return self.read_mapping(node, depth, path)
        if isinstance(node, yaml.SequenceNode):
            items = [self.read(child, depth + 1, f"{path}.{i}") for i, child in enumerate(node.value)]
            return Node(items, self.mark(node))
        assert isinstance(node, yaml.ScalarNode)
        return self.read_scalar(node, kind, path)

    def read_scalar(self, node: yaml.ScalarNode, kind: str, path: str) -> Node:
        text = node.value
        try:
            match kind:
                case "str":
                    value: Any = text
                case "null":
                    value = None
                case "bool":
                    value = {"true": True, "false": False}[text.lower()]
                case "int":
                    value = int(text.replace("_", ""), 0)
                case _:
                    value = _number(text)
        except (ValueError, KeyError):
            shown = text if len(text) <= 60 else f"{text[:57]}..."
            return self.refuse(node, path, f"found {shown!r}, which is no {kind} that can be read")
        return Node(value, self.mark(node))

    def read_mapping(self, node: yaml.MappingNode, depth: int, path: str) -> Node:
        found: dict[str, Node] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self.refuse(key_node, path, "a key that is a list or a mapping; keys are words")
                continue
            key = key_node.value
            inside = f"{path}.{key}" if path else key
            if key in found:
                first = found[key].mark.line
                self.refuse(key_node, inside, f"this key stands twice in one mapping, first on line {first}")
                continue
            if key == "<<":
                self.refuse(key_node, inside, "merge keys are refused; use `extends`, or repeat the keys")
                continue
            child = self.read(value_node, depth + 1, inside)
            found[key] = Node(child.value, self.mark(key_node))
        return Node(found, self.mark(node))


def _number(text: str) -> float:
    plain = text.replace("_", "").lower()
    return float(plain.replace(".inf", "inf").replace(".nan", "nan"))
