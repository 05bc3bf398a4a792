"""Values that repeat over depth: `layers: {"*": {...}, "0:2": {...}}` becomes one value a layer.

Keys are Python slices, integers or `*`; later keys overlay earlier ones leaf by leaf, and a `use` replaces.
The list is made last, when every override has been applied, since an override may change the depth itself.
"""

from __future__ import annotations

import re

from vlmloom.registry.errors import Problem
from vlmloom.registry.marked import UNKNOWN, Node

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
    if over_depth(over) and isinstance(base.value, (list, dict)) and not base.names_component():
        return _merge_depth(base, over)
    if isinstance(base.value, Overlays) and isinstance(over.value, dict) and not over.names_component():
        return _merge_depth(base, over)
    if not isinstance(over.value, dict) or not isinstance(base.value, dict) or over.names_component():
        return over.copy()
    merged = dict(base.value)
    for key, child in over.value.items():
        merged[key] = merge(merged[key], child) if key in merged else child.copy()
    return Node(merged, over.mark)


def _merge_depth(base: Node, over: Node) -> Node:
    layers = Overlays(node.copy() for node in base.value) if isinstance(base.value, Overlays) else None
    if layers is None and isinstance(base.value, dict) and all(map(is_selector, base.value)):
        layers = Overlays(Node({key: child.copy()}, child.mark) for key, child in base.value.items())
    if layers is None:
        # An explicit list of layers: overlaying waits for the expansion, after which its length is known.
        layers = Overlays([Node({"=": base.copy()}, base.mark)])
    layers.extend(Node({key: child.copy()}, child.mark) for key, child in over.value.items())
    return Node(layers, over.mark)


def expand(node: Node, path: tuple[str, ...], problems: list[Problem]) -> Node:
    """Make the lists, everywhere below a node."""
    if isinstance(node.value, Overlays):
        problems.append(_no_depth(node, path))
        return Node(UNKNOWN, node.mark)
    if isinstance(node.value, list):
        items = [expand(child, (*path, str(index)), problems) for index, child in enumerate(node.value)]
        return Node(items, node.mark)
    if not isinstance(node.value, dict):
        return node
    if over_depth(node):
        problems.append(_no_depth(node, path))
        return Node(UNKNOWN, node.mark)
    depth = node.value.get("depth")
    found: dict[str, Node] = {}
    for key, child in node.value.items():
        inside = (*path, key)
        numbers = isinstance(child.value, dict) and child.value and all(map(is_selector, child.value))
        if isinstance(child.value, Overlays) or (depth is not None and numbers) or over_depth(child):
            child = _layers(child, depth, inside, problems)
        found[key] = expand(child, inside, problems) if not isinstance(child.value, Overlays) else child
    return Node(found, node.mark)


def _no_depth(node: Node, path: tuple[str, ...]) -> Problem:
    text = "is written over depth (slices, numbers or *), but no `depth` stands beside it"
    return Problem(node.mark, ".".join(path), text)


def _layers(node: Node, depth: Node | None, path: tuple[str, ...], problems: list[Problem]) -> Node:
    layers = node.value
    if not isinstance(layers, Overlays):
        layers = Overlays(Node({key: child}, child.mark) for key, child in layers.items())
    written = next((body for layer in layers for key, body in layer.value.items() if key == "="), None)
    if written is not None:
        count: object = len(written.value)
    else:
        count = depth.value if depth is not None else None
    if depth is None and written is None:
        problems.append(_no_depth(node, path))
        return Node(UNKNOWN, node.mark)
    if count is UNKNOWN:
        return Node(UNKNOWN, node.mark)
    if not isinstance(count, int) or isinstance(count, bool) or not 0 < count <= 10_000:
        mark = depth.mark if depth is not None else node.mark
        text = f"found {count!r}; a whole number from 1 to 10000 is needed, since {path[-1]} repeats over it"
        problems.append(Problem(mark, ".".join((*path[:-1], "depth")), text))
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
