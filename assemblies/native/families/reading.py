"""config.json of a released checkpoint to our assembly, nothing in it taken on trust: `to_ours`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from vlmloom.assemblies.native.families.settings import (
    ABSENT,
    LAYERS,
    Ours,
    Row,
    Setting,
    Theirs,
    Tree,
    Unfit,
    dig,
    in_ours,
    put,
    read,
    row_differs,
    unlike,
)
from vlmloom.assemblies.native.families.values import LARGEST, right_kind, short


def to_ours(
    rows: Sequence[Row],
    config: Mapping[str, Any],
    kinds: Callable[[Mapping[str, Any]], Sequence[str]],
    most: Mapping[str, int],
) -> Tree:
    """The assembly that config.json describes.

    Args:
        rows: of the family.
        config: config.json.
        kinds: config.json -> what each layer is, in words: `dense`, `sparse shared`, ...
        most: the largest count that a place of ours may hold; others have a bound that no model reaches.

    Raises:
        Unfit: a value is missing, cannot be meant, or is not what our parts compute; all of them.
    """
    faults = list(_blocked(rows, config))
    flat: dict[str, Any] = {}
    said: dict[str, str] = {}
    for row in rows:
        if isinstance(row, Theirs):
            faults.extend(unlike(row, config))
            continue
        if isinstance(row, Setting) and (odd := list(_odd(row, config, most))):
            faults.extend(odd)
            continue
        try:
            if isinstance(row, Ours):
                value, source = _fixed(row, flat), "this family"
            else:
                value, source = read(config, row, flat.__getitem__), row.places[0]
                if value is ABSENT:
                    faults.append(f"{source} is missing")
                    continue
                value = in_ours(row, value, flat.__getitem__)
        except KeyError:
            continue  # It follows from a value that is amiss, which has been noted.
        if value is None:
            continue
        place = row.ours if isinstance(row, Setting) else row.place
        if row_differs(flat.get(place, value), value):
            if isinstance(row, Ours):
                faults.append(f"{said[place]} is {flat[place]!r}, where this family has {value!r}")
            else:
                faults.append(f"{source} is {value!r}, but {said[place]} says {flat[place]!r}")
            continue
        flat[place], said[place] = value, source
    if faults:
        raise Unfit(list(dict.fromkeys(faults)))
    return _nested(flat, kinds(config))


def _blocked(rows: Sequence[Row], config: Mapping[str, Any]) -> Iterator[str]:
    """What stands where settings should have their places."""
    for place in (place for row in rows if not isinstance(row, Ours) for place in row.places):
        if part := place.rpartition(".")[0]:
            value = dig(config, part)
            if value not in (ABSENT, None) and not isinstance(value, Mapping):
                yield f"{part} is {short(value)}; an object would be right"


def _odd(row: Setting, config: Mapping[str, Any], most: Mapping[str, int]) -> Iterator[str]:
    """What of a setting cannot be meant."""
    for place in row.places:
        value = dig(config, place)
        if value not in (ABSENT, None) and (
            right := right_kind(value, row.default, most.get(row.ours, LARGEST))
        ):
            yield f"{place} is {short(value)}; {right} would be right"


def _fixed(row: Ours, flat: Mapping[str, Any]) -> Any:
    return row.value(flat.__getitem__) if callable(row.value) else row.value


def _nested(flat: Mapping[str, Any], kinds: Sequence[str]) -> Tree:
    tree: Tree = {}
    layered: dict[str, Any] = {}
    for place, value in flat.items():
        if place.startswith(LAYERS):
            layered[place.removeprefix(LAYERS)] = value
        else:
            put(tree, place, value)
    if layered:
        put(tree, LAYERS.rstrip("."), _over_depth(layered, kinds))
    return tree


def _over_depth(layered: Mapping[str, Any], kinds: Sequence[str]) -> Tree:
    """`layers:` as a person would write it: the commonest kind for all, runs of the others over it."""

    def body(kind: str) -> Tree:
        found: Tree = {}
        for place, value in layered.items():
            selector, _, inside = place.partition(".")
            if selector == "<*>" or selector.strip("<>") in kind.split():
                put(found, inside, value)
        return found

    commonest = max(dict.fromkeys(kinds), key=list(kinds).count)
    common = body(commonest)
    layers: Tree = {"*": common}
    start = 0
    for index in range(1, len(kinds) + 1):
        if index == len(kinds) or kinds[index] != kinds[start]:
            if kinds[start] != commonest:
                own = body(kinds[start])
                layers[f"{start}:{index}"] = {key: own[key] for key in own if own[key] != common.get(key)}
            start = index
    return layers
