"""A model that starts from the weights of a folder, its swapped and new parts at random: `start_from`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from torch import nn

from vlmloom.components.contracts.frozen import Frozen
from vlmloom.pipelines.deferred import give
from vlmloom.pipelines.experiment import Training
from vlmloom.pipelines.files import write_text
from vlmloom.pipelines.patterns import matches
from vlmloom.pipelines.weights.filling import places_of
from vlmloom.pipelines.weights.shards import need_finite
from vlmloom.pipelines.weights.sources import Source
from vlmloom.registry.errors import UserError, one_line

STARTED = "started_from.json"
"""In a run's folder: which weights it has started from."""


@dataclass(frozen=True)
class Started:
    """What a model has taken from a folder, each a list of tensors, or of what holds them whole.

    Attributes:
        folder: whose weights they are.
        count: how many parameters were taken.
        taken: from the folder.
        new: at random.
        unused: in the folder, and not in the model or not to be taken.
    """

    folder: str
    count: int
    taken: list[str]
    new: list[str]
    unused: list[str]

    def lines(self) -> Iterator[str]:
        """For the terminal."""
        yield f"weights of {self.folder}: {self.count:,} parameters"
        for what, names in (("taken", self.taken), ("at random", self.new), ("unused", self.unused)):
            yield f"  {what:<12} {', '.join(names) or 'none'}"

    def declaration(self) -> str:
        """For a report."""
        rest = f"; at random: {', '.join(self.new)}" if self.new else ""
        return f"{self.folder}: {', '.join(self.taken)} ({self.count:,} parameters){rest}"

    def save(self, folder: Path) -> None:
        """Note it in a run's folder."""
        write_text(folder / STARTED, json.dumps(asdict(self), indent=1))


def pretrained(training: Training, folder: Path) -> list[str]:
    """All pretrained weights of a run: what its YAML and its components declare, what it started from.

    Raises:
        UserError: the note of the last is damaged.
    """
    roots = [training.subject, *(stage.objective for stage in training.stages)]
    carried = [line for root in roots for module in _all(root) for line in getattr(module, "pretrained", ())]
    return list(dict.fromkeys([*training.pretrained, *carried, *declarations(folder)]))


def _all(root: nn.Module) -> Iterator[nn.Module]:
    """Every module, and what is held frozen."""
    for module in root.modules():
        yield module
        if isinstance(module, Frozen):
            yield from _all(module.module)


def declarations(folder: Path) -> list[str]:
    """The weights that a run has started from, as a report declares them.

    Raises:
        UserError: the note is damaged.
    """
    file = folder / STARTED
    if not file.exists():
        return []
    try:
        return [Started(**json.loads(file.read_text(encoding="utf-8"))).declaration()]
    except (ValueError, TypeError) as fault:
        raise UserError(
            f"{file}: is damaged ({one_line(fault)}); a run from its beginning makes it"
        ) from None


def start_from(
    model: nn.Module, donor: nn.Module, source: Source, folder: str, take: Iterable[str]
) -> Started:
    """Give a model what it shares with another, one tensor at a time.

    A tensor is shared that has the same name in both, unless one of the components that it lies in is another
    in the model than in the donor.

    Args:
        model: with weights at random.
        donor: the folder's model, its parameters without memory.
        source: the folder's weights.
        folder: for messages.
        take: globs over names, as in a stage's `train`.

    Raises:
        UserError: a glob takes nothing, or tensors are misshapen or not finite.
    """
    state = model.state_dict(keep_vars=True)
    ours, theirs = _components(model), _components(donor)
    swapped = {path for path, name in ours.items() if theirs.get(path, name) != name}
    names = {one: names for names in places_of(model).values() for one in names}
    patterns, idle = list(take), set(take)
    shared: list[str] = []
    for name in state:
        if name in source and not swapped.intersection(_prefixes(name)):
            reached = [pattern for pattern in patterns if matches(name, pattern)]
            idle.difference_update(reached)
            shared += [name] if reached else []
    if idle:
        found = ", ".join(dict.fromkeys(name.partition(".")[0] for name in source))
        raise UserError(
            f"weights.take: {', '.join(sorted(idle))} matches nothing that the model shares with {folder}, "
            f"which holds {found}"
        )
    misshapen = [
        f"{name} {list(source.shape(name))} for {list(state[name].shape)}"
        for name in shared
        if source.shape(name) != tuple(state[name].shape)
    ]
    if misshapen:
        raise UserError(
            f"weights.folder: {folder}: {len(misshapen)} misshapen: {', '.join(misshapen)}; the same sizes, "
            "a swap of their component, or a `weights.take` without them would be right"
        )
    for name in shared:
        need_finite(source.tensor(name), name, folder)
        give(state[name], partial(source.tensor, name))
    filled = {alias for name in shared for alias in names[name]}
    given = {id(state[name]): state[name] for name in shared}.values()
    return Started(
        folder,
        sum(tensor.numel() for tensor in given if isinstance(tensor, nn.Parameter)),
        _whole(shared, set(source)),
        _whole([name for name in state if name not in filled], set(state)),
        _whole([name for name in source if name not in filled], set(source)),
    )


def _components(module: nn.Module) -> dict[str, str]:
    """Path -> the name of the component that stands there."""
    named = ((path, getattr(one, "registered_name", None)) for path, one in module.named_modules() if path)
    return {path: name for path, name in named if name is not None}


def _prefixes(name: str) -> list[str]:
    """`a.b.c` -> `a`, `a.b`, `a.b.c`."""
    words = name.split(".")
    return [".".join(words[:count]) for count in range(1, len(words) + 1)]


def _whole(names: Iterable[str], everything: set[str]) -> list[str]:
    """Names, or in their place what holds none but them.

    >>> _whole(["a.b", "a.c", "d.e"], {"a.b", "a.c", "d.e", "d.f"})
    ['a', 'd.e']
    """
    names = list(names)
    mixed = {prefix for name in everything.difference(names) for prefix in _prefixes(name)}
    return list(dict.fromkeys(next(one for one in _prefixes(name) if one not in mixed) for name in names))
