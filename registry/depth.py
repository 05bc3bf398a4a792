"""Values that repeat over depth: `layers: {"*": {...}, "0:2": {...}}` becomes one value a layer.

Keys are Python slices, integers or `*`; later keys overlay earlier ones leaf by leaf, and a `use` replaces.
The list is made last, when every override has been applied, since an override may change the depth itself.
"""

from __future__ import annotations

import re

from vlmloom.registry.errors import Problem
from vlmloom.registry.marked import UNKNOWN, Node

MOST = 10_000
"""More layers than any model has."""
_SELECTOR = re.compile(r"\*|-?\d+|(-?\d+)?:(-?\d+)?(:-?\d+)?")


class Overlays(list[Node]):
    """A value over depth before it is expanded: nodes whose values are mappings of one selector each."""


def is_selector(key: str) -> bool:
    """Whether a key selects layers: `*`, `3`, `-1`, `4:8`, `::2`."""
    return _SELECTOR.fullmatch(key) is not None


def over_depth(node: Node) -> bool:
    """Whether a mapping is written over depth: all keys select, and not all are plain numbers."""
    if not isinstance(node.value, dict) or not node.value:
        return False
    keys = list(node.value)
    return all(map(is_selector, keys)) and not all(key.lstrip("-").isdigit() for key in keys)


def select(selector: str, depth: int) -> list[int]:
    """The layers that a selector names among `depth`.

    >>> select("1:3", 4), select("*", 2), select("-1", 4), select("::2", 4)
    ([1, 2], [0, 1], [3], [0, 2])

    Raises:
        IndexError: it names a layer that there is not; the message says what would be right.
    """
    if selector == "*":
        return list(range(depth))
    right = f"the layers are 0 to {depth - 1}" if depth else "there are no layers"
    if ":" not in selector:
        index = int(selector)
        if not -depth <= index < depth:
            raise IndexError(f"there is no layer {index}; {right}")
        return [index % depth]
    parts = [int(part) if part else None for part in selector.split(":")]
    if len(parts) == 3 and parts[2] == 0:
        raise IndexError("a slice with a step of 0")
    for end in parts[:2]:
        if end is not None and not -depth <= end <= depth:
            raise IndexError(f"the slice {selector} reaches beyond the depth; {right}")
    chosen = list(range(depth))[slice(*parts)]
    if not chosen:
        raise IndexError(f"the slice {selector} selects no layer; {right}")
    return chosen


def merge(base: Node, over: Node) -> Node:
    """Overlay one value on another, leaf by leaf; lists and whatever names a component replace."""
    if not isinstance(over.value, dict) or over.names_component():
        return over.copy()
    if _repeats(base) and over.value and all(map(is_selector, over.value)):
        if isinstance(base.value, Overlays) or over_depth(over):
            return _merge_depth(base, over)
    if not isinstance(base.value, dict):
        return over.copy()
    merged = dict(base.value)
    for key, child in over.value.items():
        merged[key] = merge(merged[key], child) if key in merged else child.copy()
    return Node(merged, over.mark)


def _repeats(node: Node) -> bool:
    if isinstance(node.value, dict):
        return bool(node.value) and all(map(is_selector, node.value))
    return isinstance(node.value, list)


def _merge_depth(base: Node, over: Node) -> Node:
    if isinstance(base.value, Overlays):
        layers = Overlays(node.copy() for node in base.value)
    elif isinstance(base.value, dict):
        layers = Overlays(Node({key: child.copy()}, child.mark) for key, child in base.value.items())
    else:
        # An explicit list of layers: overlaying waits for the expansion, as it does over a depth.
        layers = Overlays([Node({"=": base.copy()}, base.mark)])
    layers.extend(Node({key: child.copy()}, child.mark) for key, child in over.value.items())
    return Node(layers, over.mark)


def expand(node: Node, path: tuple[str, ...], problems: list[Problem]) -> Node:
    """Make the lists, everywhere below a node; without a `depth` beside it a mapping stays a mapping."""
    if isinstance(node.value, Overlays):
        node = _fold(node)
    if isinstance(node.value, list):
        items = [expand(child, (*path, str(index)), problems) for index, child in enumerate(node.value)]
        return Node(items, node.mark)
    if not isinstance(node.value, dict):
        return node
    depth = node.value.get("depth")
    found: dict[str, Node] = {}
    for key, child in node.value.items():
        inside = (*path, key)
        if isinstance(child.value, Overlays) and "=" in child.value[0].value:
            child = _layers(child, child.value[0].value["="], inside, problems)
        elif depth is not None and (isinstance(child.value, Overlays) or _repeats_by_keys(child)):
            child = _layers(child, depth, inside, problems)
        found[key] = expand(child, inside, problems)
    return Node(found, node.mark)


def _repeats_by_keys(node: Node) -> bool:
    return isinstance(node.value, dict) and _repeats(node)


def _fold(node: Node) -> Node:
    """The mapping that overlays without a depth come to."""
    found: dict[str, Node] = {}
    for layer in node.value:
        for key, body in layer.value.items():
            found[key] = merge(found[key], body) if key in found else body
    return Node(found, node.mark)


def _layers(node: Node, depth: Node, path: tuple[str, ...], problems: list[Problem]) -> Node:
    layers = node.value
    if not isinstance(layers, Overlays):
        layers = Overlays(Node({key: child}, child.mark) for key, child in layers.items())
    count = len(depth.value) if isinstance(depth.value, list) else depth.value
    if count is UNKNOWN:
        return Node(UNKNOWN, node.mark)
    if not isinstance(count, int) or isinstance(count, bool) or not 0 < count <= MOST:
        text = f"found {count!r}; a whole number from 1 to {MOST} is needed, since {path[-1]} repeats over it"
        problems.append(Problem(depth.mark, ".".join((*path[:-1], "depth")), text))
        return Node(UNKNOWN, node.mark)
    items: list[Node | None] = [None] * count
    for layer in layers:
        ((selector, body),) = layer.value.items()
        if selector == "=":
            items = [child.copy() for child in body.value]
            continue
        try:
            chosen = select(selector, count)
        except IndexError as error:
            problems.append(Problem(body.mark, ".".join((*path, selector)), str(error)))
            continue
        for index in chosen:
            before = items[index]
            items[index] = body.copy() if before is None else merge(before, body)
    for index, item in enumerate(items):
        if item is None and not problems:
            text = f"layer {index} of {count} is given no value; a key '*' gives one to all"
            problems.append(Problem(node.mark, ".".join(path), text))
    return Node([item if item is not None else Node(UNKNOWN, node.mark) for item in items], node.mark)
