"""`set` and `swap`: changing a tree of nodes at a dotted path."""

from __future__ import annotations

from collections.abc import Sequence

from vlmloom.registry.depth import Overlays, is_selector, merge, over_depth, select
from vlmloom.registry.errors import ConfigError, Mark, Problem, UserError
from vlmloom.registry.marked import Node, describe, mark_all, parse

Path = tuple[str, ...]


class Refused(Exception):
    """An override that cannot be applied; the message says why."""


def split_path(text: str) -> Path:
    """`language.layers.4:8.ffn` to its keys.

    Raises:
        Refused: a key is empty.
    """
    keys = tuple(text.strip().split("."))
    if not all(keys):
        raise Refused("a path is words with single dots between them, e.g. language.layers.4:8.ffn.experts")
    return keys


def apply_set(root: Node, path: str, value: Node) -> None:
    """Give a leaf, or several where the path selects over depth, a new value.

    Raises:
        Refused: it names a component (`swap` does that), or leads through something that holds no keys.
    """
    keys = split_path(path)
    if keys[-1] in ("use", "class_path") or _names_component(value):
        target = ".".join(keys[:-1]) if keys[-1] in ("use", "class_path") else path
        raise Refused(
            f"`set` gives values to leaves; to change the component write swap: {{{target}: {{use: ...}}}}"
        )
    _change(root, keys, value, ())


def apply_swap(root: Node, path: str, node: Node) -> None:
    """Replace a component; nothing of the old one is inherited.

    Raises:
        Refused: the new node names no component, or the path leads nowhere.
    """
    if not node.names_component():
        raise Refused("`swap` replaces a component and needs its name: {use: kind/name, ...}")
    _change(root, split_path(path), node, ())


def _names_component(node: Node) -> bool:
    if node.names_component():
        return True
    if isinstance(node.value, dict):
        return any(map(_names_component, node.value.values()))
    return isinstance(node.value, list) and any(map(_names_component, node.value))


def _change(node: Node, keys: Path, value: Node, done: Path) -> None:
    key, rest = keys[0], keys[1:]
    here = ".".join(done) or "the top of the file"
    if _repeats(node, key):
        if not is_selector(key):
            raise Refused(f"{here} repeats over depth: after it comes a layer, a slice or *, found {key!r}")
        if not isinstance(node.value, Overlays):
            node.value = Overlays(Node({name: child}, child.mark) for name, child in node.value.items())
        body = value.copy()
        for name in reversed(rest):
            body = Node({name: body}, value.mark)
        node.value.append(Node({key: body}, value.mark))
    elif isinstance(node.value, list):
        if not is_selector(key):
            raise Refused(f"{here} is a list: after it comes a number, a slice or *, found {key!r}")
        try:
            chosen = select(key, len(node.value))
        except IndexError as error:
            raise Refused(
                f"{here} is a list of {len(node.value)}: {error}".replace("layer", "item")
            ) from error
        for index in chosen:
            if rest:
                _change(node.value[index], rest, value, (*done, key))
            else:
                node.value[index] = merge(node.value[index], value)
    elif isinstance(node.value, dict):
        if is_selector(key) and not key.lstrip("-").isdigit():
            raise Refused(f"{here} does not repeat over depth, so {key!r} selects nothing in it")
        old = node.value.get(key)
        if not rest:
            node.value[key] = value.copy() if old is None else merge(old, value)
            return
        if old is None or old.value is None:
            node.value[key] = Node({}, value.mark)
        _change(node.value[key], rest, value, (*done, key))
    else:
        raise Refused(f"{here} is {node.value!r}, which holds no key {key!r}")


def _repeats(node: Node, key: str) -> bool:
    """Whether a node is, or with this key becomes, a value over depth."""
    if isinstance(node.value, Overlays) or over_depth(node):
        return True
    if not isinstance(node.value, dict) or not is_selector(key) or key.lstrip("-").isdigit():
        return False
    return all(map(is_selector, node.value))


def apply_mapping(root: Node, what: str, changes: Node, prefix: str = "") -> list[Problem]:
    """Apply a YAML's `set` or `swap` mapping; what cannot be applied is returned."""
    if changes.value is None:
        return []
    if not isinstance(changes.value, dict):
        text = f"found {describe(changes)}; a mapping of paths to values is needed"
        return [Problem(changes.mark, f"{prefix}{what}", text)]
    apply = apply_set if what == "set" else apply_swap
    problems = []
    for path, value in changes.value.items():
        try:
            apply(root, path, value)
        except Refused as refused:
            problems.append(Problem(value.mark, f"{prefix}{what}.{path}", str(refused)))
    return problems


def read_set(text: str) -> tuple[str, Node]:
    """`key=value` from the command line; the value is YAML, and only the first `=` splits.

    Raises:
        UserError: there is no `=`, or the value is not YAML.
    """
    path, equals, written = text.partition("=")
    if not equals or not path.strip():
        raise UserError(f"--set {text}: write --set key=value, e.g. --set language.width=128")
    return path.strip(), _typed(f"--set {text}", written)


def read_swap(text: str) -> tuple[str, Node]:
    """`part=kind/name[,key=value...]` or `part={use: kind/name, ...}` from the command line.

    Raises:
        UserError: it is neither.
    """
    path, equals, written = text.partition("=")
    option = f"--swap {text}"
    if not equals or not path.strip() or not written.strip():
        raise UserError(f"{option}: write --swap part=kind/name,key=value")
    return path.strip(), read_component(written, option)


def read_axis(text: str) -> tuple[str, Node]:
    """`key=v1,v2,...` from the command line: a key and the list of its values, each of them YAML.

    Raises:
        UserError: there is no `=`, or a value is not YAML.
    """
    path, equals, written = text.partition("=")
    option = f"--axis {text}"
    if not equals or not path.strip() or not written.strip():
        raise UserError(f"{option}: write --axis key=v1,v2, e.g. --axis assembly.language.depth=2,4")
    values = [_typed(option, value.strip()) for value in _split_commas(written)]
    return path.strip(), Node(values, Mark(option))


def read_component(written: str, option: str) -> Node:
    """`kind/name[,key=value...]` or `{use: kind/name, ...}` from the command line.

    Args:
        written: the text.
        option: what was typed, for messages.

    Raises:
        UserError: it is neither.
    """
    if written.lstrip().startswith("{"):
        return _typed(option, written)
    name, *arguments = _split_commas(written)
    if not name.strip() or "=" in name:
        raise UserError(f"{option}: a component is written kind/name,key=value")
    found = {"use": Node(name.strip(), Mark(option))}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or not key.strip():
            raise UserError(f"{option}: after the name come key=value, found {argument!r}")
        found[key.strip()] = _typed(option, value)
    return Node(found, Mark(option))


def _split_commas(text: str) -> list[str]:
    """Split on the commas that stand in no bracket and no quotes."""
    parts, depth, start, quote = [], 0, 0, ""
    for index, sign in enumerate(text):
        if quote or sign in "'\"":
            quote = "" if sign == quote else quote or sign
            continue
        depth += (sign in "[{(") - (sign in ")}]")
        if sign == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def _typed(option: str, written: str) -> Node:
    if not written.strip():
        return Node("", Mark(option))
    try:
        return _relabel(parse(written, option), Mark(option))
    except ConfigError as error:
        raise UserError(*(f"{option}: {problem.text}" for problem in error.problems)) from error


def _relabel(node: Node, mark: Mark) -> Node:
    return mark_all(node.plain(), mark)


def apply_command_line(root: Node, sets: Sequence[str], swaps: Sequence[str]) -> list[Problem]:
    """Apply `--swap`s, then `--set`s, in the order in which they were typed."""
    problems: list[Problem] = []
    for read, apply, texts in ((read_swap, apply_swap, swaps), (read_set, apply_set, sets)):
        for text in texts:
            try:
                path, value = read(text)
                apply(root, path, value)
            except Refused as refused:
                option = "--set" if apply is apply_set else "--swap"
                problems.append(Problem(Mark(f"{option} {text}"), "", str(refused)))
            except UserError as error:
                problems.extend(Problem(Mark(line), "", "") for line in error.lines)
    return problems
