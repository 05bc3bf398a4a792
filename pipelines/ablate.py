"""A design and what changes when single values of it change: arms, each a design of a comparison.

An ablation is a YAML with the experiment that it starts from and the values to try, key by key. Every arm is
a tree that extends the base and sets (or swaps) what its axis says, so that all that `compare` knows (budget,
pairing, going on where it stopped) holds for arms as well.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vlmloom.pipelines.evaluate import Items
from vlmloom.pipelines.evaluate_vision.pictures import Plan as Probes
from vlmloom.pipelines.exams import Exam, composer
from vlmloom.pipelines.experiment import NAME, Budget
from vlmloom.registry.build import build_as
from vlmloom.registry.catalog import catalog
from vlmloom.registry.compose import Composed, find
from vlmloom.registry.errors import ConfigError, Mark, Problem, Refusals, UserError
from vlmloom.registry.hints import REQUIRED, signature
from vlmloom.registry.marked import Node, load, mark_all
from vlmloom.registry.overrides import apply_set, read_axis

BASE = "base"
"""The name of the design that all others are changes of."""


@dataclass(kw_only=True)
class Ablation:
    """What an ablation's YAML holds.

    Attributes:
        base: the experiment that is changed: a name, a path, or a mapping that extends one.
        axes: key of the base -> values. A mapping is laid over what stands there, a component is swapped in;
            the base's own value may stand among them and is not trained twice.
        arms: name -> several changes at once, key -> value, each as in `axes`.
        grid: every combination of the axes' values, and not one change at a time.
        budget: of each arm and seed; None is the base's own.
        seeds: trainings of each arm.
        items: how many are asked of a category.
        probes: pictures that the tower of each arm is shown afterwards, in place of questions.
    """

    base: str | dict[str, Any]
    axes: dict[str, list[Any]] = field(default_factory=dict)
    arms: dict[str, dict[str, Any]] = field(default_factory=dict)
    grid: bool = False
    budget: Budget | None = None
    seeds: int = 2
    items: Items = field(default_factory=Items)
    probes: Probes | None = None

    @property
    def exam(self) -> Exam:
        """What every arm is asked afterwards."""
        return self.probes or self.items

    def __post_init__(self) -> None:
        counts = {"seeds": self.seeds, "items.test": self.items.test, "items.other": self.items.other}
        refused = [
            f"{name}: found {count}; 1 or more would be right" for name, count in counts.items() if count < 1
        ]
        if refused:
            raise Refusals(refused)


@dataclass(frozen=True)
class Arm:
    """One change of the base, or several at once.

    Attributes:
        changes: key -> value.
        given: its name, where the file gives it one.
    """

    changes: dict[str, Node]
    given: str | None = None

    @property
    def name(self) -> str:
        """What it is called in the report and on the disk: the last word of each key with its value."""
        return self.given or "+".join(_spell(key, value) for key, value in self.changes.items())

    def tree(self, base: Node) -> Node:
        """The experiment."""
        made = base.copy()
        for key, value in self.changes.items():
            for path, leaf in _leaves(key, value):
                what = "swap" if leaf.names_component() else "set"
                changes = made.value.setdefault(what, Node({}, value.mark)).value
                # Last, so that it lies over whatever the base sets, there or below.
                changes.pop(path, None)
                changes[path] = leaf.copy()
        return made


def _leaves(key: str, value: Node) -> Iterator[tuple[str, Node]]:
    """A mapping as the dotted keys of what it holds: set whole, it would replace what the base sets there."""
    if not isinstance(value.value, dict) or not value.value or value.names_component():
        yield key, value
        return
    for name, child in value.value.items():
        yield from _leaves(f"{key}.{name}", child)


def _spell(key: str, value: Node) -> str:
    plain = value.plain()
    if isinstance(plain, dict):
        words = [str(entry).lower() for entry in plain.values() if not isinstance(entry, dict | list)]
    else:
        words = [key.rpartition(".")[2], str(plain).lower()]
    return re.sub(r"[^\w.]+", "-", "-".join(words)).strip("-.")


def read_ablation(source: str, axes: Sequence[str] = (), scale: str = "nano") -> Node:
    """An ablation's tree: its file, or an experiment as the base of the axes on the command line.

    Args:
        source: a path that ends in .yaml, or a name of either (`mmtp`, `native`, `nano/native`).
        axes: `key=v1,v2` from the command line; they come after the file's, and replace those of their keys.
        scale: of what is named without one.

    Raises:
        UserError: there is no such name, or an axis cannot be read.
    """
    path = _find(source, scale)
    root = load(path)
    if is_ablation(root):
        _anchor(root, path.resolve().parent)
    else:
        root = mark_all({"base": str(path.resolve())}, Mark(source))
    for text in axes:
        key, values = read_axis(text)
        root.value.setdefault("axes", Node({}, values.mark)).value[key] = values
    return root


def settings(root: Node, changes: Mapping[str, Any] | None = None) -> Ablation:
    """The ablation beside its arms: budget, seeds, items.

    Args:
        root: of `read_ablation`.
        changes: dotted key -> value, of the command line.

    Raises:
        ConfigError: a key or a value is wrong; all of them at once.
    """
    shown = root.copy()
    for key, value in (changes or {}).items():
        option = {"items.test": "items", "items.other": "other-items"}.get(key, key)
        apply_set(shown, key, Node(value, Mark(f"--{option} {value}")))
    # Values of axes and arms, and a base that is a mapping, are looked at as parts of experiments.
    if BASE in shown.value and isinstance(shown.value[BASE].value, dict):
        shown.value[BASE].value = ""
    axes = shown.value.get("axes")
    if axes is not None and isinstance(axes.value, dict):
        for values in axes.value.values():
            values.value = [] if isinstance(values.value, list) else values.value
    named = shown.value.get("arms")
    if named is not None and isinstance(named.value, dict):
        for several in named.value.values():
            several.value = {} if isinstance(several.value, dict) else several.value
    return build_as(shown, Ablation)


def is_ablation(root: Node) -> bool:
    """Whether a file is one, and no experiment."""
    return isinstance(root.value, dict) and not {"base", "axes", "arms"}.isdisjoint(root.value)


def _find(source: str, scale: str) -> Path:
    """The file that is meant: an ablation before an experiment, an experiment before an assembly."""
    if source.endswith((".yaml", ".yml")):
        return Path(source)
    for name in (source,) if "/" in source else (f"experiments/{source}", f"{scale}/{source}"):
        try:
            return find(name, scale)
        except UserError:
            continue
    return find(source, scale)


def _anchor(root: Node, folder: Path) -> None:
    """Let a base that is a path beside the file be found from anywhere."""
    base = root.value.get("base")
    extends = base.value.get("extends") if base is not None and isinstance(base.value, dict) else base
    if extends is not None and isinstance(extends.value, str) and extends.value.endswith((".yaml", ".yml")):
        extends.value = str((folder / extends.value).resolve())


def arms(
    root: Node,
    asked: Ablation,
    *,
    grid: bool = False,
    scale: str = "nano",
    sets: Sequence[str] = (),
    swaps: Sequence[str] = (),
    also: Callable[[Composed], Iterable[Problem]] = lambda composed: (),
) -> dict[str, Node]:
    """Every arm's experiment by its name, the base first, each composed and checked.

    Args:
        root: of `read_ablation`, checked.
        asked: its settings.
        grid: all combinations, whatever the settings say.
        scale: of what is named without one.
        sets: overrides of the base and so of every arm.
        swaps: the same.
        also: what else may be wrong with a composed arm.

    Raises:
        ConfigError: an arm is no experiment that could be trained; all arms are told at once.
        UserError: an axis changes nothing, or two arms are one.
    """
    compose = composer(asked.exam)
    written = root.value[BASE]
    base = written if isinstance(written.value, dict) else Node({"extends": written}, written.mark)
    axes = root.value["axes"].value if "axes" in root.value else {}
    named = root.value["arms"].value if "arms" in root.value else {}
    if not axes and not named:
        raise UserError(f"{root.mark.file}: no axes; --axis key=v1,v2 would be right")

    def checked(tree: Node) -> Composed:
        composed = compose(tree, sets=sets, swaps=swaps, scale=scale)
        if problems := [*also(composed)]:
            raise ConfigError(problems)
        return composed

    composed = checked(base)
    found, lines = {BASE: base}, []
    known: dict[str, Any] = {BASE: _written_out(composed.root.plain())}
    tried: set[str] = set()
    given = (Arm(changes.value, name) for name, changes in named.items() if changes.value)
    for arm in (*_changes(axes, grid or asked.grid), *given):
        name = arm.name
        mark = next(iter(arm.changes.values())).mark
        where = f"{mark}: {' and '.join(arm.changes)}"
        if not NAME.fullmatch(name):
            lines.append(f"{where}: names no folder by its value; a mapping of short values would be right")
            continue
        try:
            tree = arm.tree(base)
            composed = checked(tree)
        except UserError as error:
            lines.extend(line for line in error.lines if line not in lines)
            tried.update(arm.changes)
            continue
        now = _written_out(composed.root.plain())
        same = next((other for other, values in known.items() if values == now), None)
        if same is None and name in found:
            lines.append(f"{where}: two arms are called {name}; values that can be told apart would be right")
        elif same not in (None, BASE):
            lines.append(f"{where}: {name} is the same as {same}; each once would be right")
        elif same is None:
            found[name], known[name] = tree, now
            tried.update(arm.changes)
    for key, values in axes.items():
        if key not in tried and not lines:
            lines.append(
                f"{values.mark}: {key}: holds only the base's own value; another beside it would be right"
            )
    if lines:
        raise UserError(*lines)
    return found


def _written_out(plain: Any) -> Any:
    """The same with every component's defaults, so that writing one down makes no other model."""
    if isinstance(plain, list):
        return [_written_out(value) for value in plain]
    if not isinstance(plain, dict):
        return plain
    known = signature(catalog().resolve(plain["use"])).parameters if plain.get("use") else {}
    defaults = {key: one.default for key, one in known.items() if one.default is not REQUIRED}
    return defaults | {key: _written_out(value) for key, value in plain.items()}


def check_ablation(
    source: str, *, scale: str = "nano", sets: Sequence[str] = (), swaps: Sequence[str] = ()
) -> None:
    """See that an ablation can be run, the folders that its arms' `weights` name among it.

    Raises:
        UserError: it cannot; the arguments are those of `read_ablation` and `arms`.
    """
    from vlmloom.pipelines.loading import lost_weights

    root = read_ablation(source, scale=scale)
    asked = settings(root)
    arms(root, asked, scale=scale, sets=sets, swaps=swaps, also=lost_weights)


def _changes(axes: dict[str, Node], grid: bool) -> Iterator[Arm]:
    """One change at a time, axis by axis, or every combination."""
    if not grid or not axes:
        for key, values in axes.items():
            yield from (Arm({key: value}) for value in values.value)
        return
    for combination in itertools.product(*(values.value for values in axes.values())):
        yield Arm(dict(zip(axes, combination, strict=True)))
