"""config.json of a released checkpoint and our assembly: declared as settings, read in both directions.

Places in config.json are dotted (`text_config.hidden_size`), and so are ours (`language.width`). Under
`language.layers` a place names the layers that it means: `<dense>`, `<sparse>`, `<*>`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Tree = dict[str, Any]
NEEDED: Any = object()
"""The default of a setting that config.json has to hold."""
ABSENT: Any = object()
LAYERS = "language.layers."


def first(found: Sequence[Any]) -> Any:
    """The value of the first place that holds one."""
    return found[0]


@dataclass(frozen=True)
class Setting:
    """A value that stands in config.json and in ours.

    Several settings may name one place: then the values have to agree.

    Attributes:
        theirs: the place, or the places where it has been written over time; the first is written.
        ours: our place.
        default: what a config.json that does not say it means; how it follows from other places of ours; or
            None, which leaves it to our part.
        per: our place by which their number is multiplied.
        over: our place by which their number is divided.
        how: what the values of several places come to.
    """

    theirs: str | tuple[str, ...]
    ours: str
    default: Any = NEEDED
    per: str = ""
    over: str = ""
    how: Callable[[Sequence[Any]], Any] = first

    @property
    def places(self) -> tuple[str, ...]:
        """All places in config.json."""
        return (self.theirs,) if isinstance(self.theirs, str) else self.theirs


@dataclass(frozen=True)
class Ours:
    """A value of ours that the family fixes, and config.json does not say; or how it follows from others."""

    place: str
    value: Any


@dataclass(frozen=True)
class Theirs:
    """A value in config.json that has to be as our parts compute it, where it stands there."""

    theirs: str | tuple[str, ...]
    value: Any
    written: bool = True

    @property
    def places(self) -> tuple[str, ...]:
        """All places in config.json."""
        return (self.theirs,) if isinstance(self.theirs, str) else self.theirs

    @property
    def place(self) -> str:
        """The place that is written."""
        return self.places[0]


Row = Setting | Ours | Theirs


class Unfit(Exception):
    """What does not fit, one line each."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = list(lines)


def dig(tree: Mapping[str, Any], place: str) -> Any:
    """The value at a dotted place, or ABSENT."""
    value: Any = tree
    for key in place.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return ABSENT
        value = value[key]
    return value


def put(tree: Tree, place: str, value: Any) -> None:
    """Set the value at a dotted place."""
    *path, last = place.split(".")
    for key in path:
        inner = tree.setdefault(key, {})
        if not isinstance(inner, dict):
            inner = tree[key] = {}
        tree = inner
    tree[last] = value


def read(config: Mapping[str, Any], row: Setting, ours: Callable[[str], Any]) -> Any:
    """What config.json says; its default where it says nothing, ABSENT where it has to.

    Args:
        config: config.json.
        row: the setting.
        ours: the value at a place of ours, for a default that follows from others.
    """
    found = [value for value in (dig(config, place) for place in row.places) if value not in (ABSENT, None)]
    if found:
        return row.how(found)
    if row.default is NEEDED:
        return ABSENT
    return row.default(ours) if callable(row.default) else row.default


def in_ours(row: Setting, value: Any, ours: Callable[[str], Any]) -> Any:
    """A number of theirs as ours."""
    if row.per and isinstance(value, int):
        value *= ours(row.per)
    if row.over and isinstance(value, int):
        value //= ours(row.over)
    return value


def row_differs(one: Any, other: Any) -> bool:
    """Whether two values differ; a list and a tuple of the same numbers do not."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return list(one) != list(other)
    return bool(one != other)


def unlike(row: Theirs, config: Mapping[str, Any]) -> Iterator[str]:
    """What of a value in config.json our parts do not compute."""
    for place in row.places:
        value = dig(config, place)
        if value not in (ABSENT, None) and row_differs(value, row.value):
            yield f"{place} is {value!r}; only {row.value!r} is computed here"


def selected(assembly: Mapping[str, Any], place: str, kinds: Sequence[str]) -> list[tuple[str, Any]]:
    """The values at a place of ours with their full paths: one, or one a layer that the place selects."""
    if not place.startswith(LAYERS):
        return [(place, dig(assembly, place))]
    selector, _, inside = place.removeprefix(LAYERS).partition(".")
    layers = dig(assembly, LAYERS.rstrip("."))
    return [
        (f"{LAYERS}{number}.{inside}", dig(layer, inside))
        for number, (layer, kind) in enumerate(zip(layers, kinds, strict=True))
        if selector == "<*>" or selector.strip("<>") in kind.split()
    ]


def to_theirs(
    rows: Sequence[Row], assembly: Mapping[str, Any], kinds: Sequence[str], base: Mapping[str, Any]
) -> Tree:
    """What config.json has to say about an assembly, by place; only what a `base` does not say already.

    Args:
        rows: of the family.
        assembly: ours, every argument with its value.
        kinds: what each layer is.
        base: the config.json to start from; may be empty.

    Raises:
        Unfit: the family has no place for a value; all of them.
    """
    faults: list[str] = []
    written: Tree = {}

    def ours(place: str) -> Any:
        return dig(assembly, place)

    for row in rows:
        if isinstance(row, Theirs):
            if not base and row.written:
                written[row.place] = row.value
            faults.extend(unlike(row, base))
            continue
        found = selected(assembly, row.ours if isinstance(row, Setting) else row.place, kinds)
        lost = [
            path.removesuffix(".use") for path, value in found if value is ABSENT and path.endswith(".use")
        ]
        found = [(path, value) for path, value in found if value is not ABSENT]
        if isinstance(row, Ours):
            wanted = row.value(ours) if callable(row.value) else row.value
            faults += [f"{path} is not there, where {wanted} would fit" for path in lost]
            faults += [
                f"{path} is {value!r}, where only {wanted!r} fits"
                for path, value in found
                if row_differs(value, wanted) and value is not None
            ]
            continue
        if odd := [(path, value) for path, value in found if row_differs(found[0][1], value)]:
            (path, value), (first_path, first_value) = odd[0], found[0]
            faults.append(f"{path} is {value!r}, but {first_path} is {first_value!r}; they have to be one")
        if not found or found[0][1] is None:
            continue
        path, value = found[0]
        unit = selected(assembly, row.per, kinds)[0][1] if row.per else 1
        held = read(base, row, ours) if base else ABSENT
        units = {row.per: unit, row.over: ours(row.over)}
        if held is not ABSENT and not row_differs(in_ours(row, held, units.get), value):
            continue
        if row.per:
            if value % unit:
                faults.append(f"{path} is {value}, which is no multiple of {row.per} {unit}")
            value //= unit
        if row.over:
            value *= ours(row.over)
        place = next((one for one in row.places if dig(base, one) is not ABSENT), row.places[0])
        if place in written and row_differs(written[place], value):
            faults.append(f"{path} is {found[0][1]!r}, where {written[place]!r} would fit")
        written.setdefault(place, value)
    if faults:
        raise Unfit(list(dict.fromkeys(faults)))
    return written


def their_place(rows: Sequence[Row], path: str) -> str | None:
    """Where config.json says what a path of ours holds, such as `language.layers.3.ffn.hidden`."""
    found = [
        row.places[0] for row in rows if isinstance(row, Setting) and _general(row.ours) == _general(path)
    ]
    return found[0] if found else None


def uncovered(rows: Sequence[Row], path: str) -> bool:
    """Whether no row speaks of a path of ours, such as `language.layers.3.ffn.hidden`."""
    places = (
        row.ours if isinstance(row, Setting) else row.place for row in rows if not isinstance(row, Theirs)
    )
    return _general(path) not in map(_general, places)


def fixed(rows: Sequence[Row], path: str) -> list[Any]:
    """The values that the family fixes at a path of ours."""
    general = _general(path)
    return [row.value for row in rows if isinstance(row, Ours) and _general(row.place) == general]


def _general(path: str) -> str:
    """A path under `language.layers` without the layers that it means."""
    return re.sub(r"^language\.layers\.(\d+|<[^>]*>)\.", LAYERS, path)
