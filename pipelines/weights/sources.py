"""Our own checkpoints as tensors by name, whatever they lie in: `open_ours`.

A finished run or an import (safetensors), a training checkpoint (`step=N.ckpt`, `stages/N-NAME.ckpt`), or the
folder that a sharded training writes (torch.distributed.checkpoint).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from torch import Tensor

from vlmloom.pipelines.checkpoints import load_checkpoint
from vlmloom.pipelines.folders import INDEX, WEIGHTS, assembly_file
from vlmloom.pipelines.weights.distributed import METADATA, Distributed
from vlmloom.pipelines.weights.folder import open_shards
from vlmloom.pipelines.weights.shards import NAMES
from vlmloom.pipelines.weights.writing import bytes_of
from vlmloom.registry.errors import UserError

PREFIXES = ("state_dict.assembly.", "model.assembly.", "assembly.", "state_dict.", "model.")
"""Of names in a sharded folder: those of Lightning's ModelParallelStrategy and FSDPStrategy, or of none."""


class Source(Protocol):
    """Tensors by name."""

    def __iter__(self) -> Iterator[str]:
        """The names."""

    def __contains__(self, name: str) -> bool:
        """Whether there is such a tensor."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor."""

    def dtype(self, name: str) -> str:
        """Of a tensor, as safetensors names it."""

    def tensor(self, name: str) -> Tensor:
        """A whole tensor."""

    def chunks(self, name: str, start: int = 0, stop: int | None = None) -> Iterator[memoryview]:
        """The bytes of a range of its elements in flat order."""


class Mapped:
    """Tensors that are mapped from a file."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor."""
        return tuple(self.tensors[name].shape)

    def dtype(self, name: str) -> str:
        """Of a tensor; `torch.int64` and the like where safetensors' weights have no such type."""
        return NAMES.get(self.tensors[name].dtype, str(self.tensors[name].dtype))

    def tensor(self, name: str) -> Tensor:
        """A whole tensor."""
        return self.tensors[name]

    def chunks(self, name: str, start: int = 0, stop: int | None = None) -> Iterator[memoryview]:
        """The bytes of a range of its elements in flat order."""
        yield from bytes_of(self.tensors[name].reshape(-1)[start:stop])


class Within:
    """The tensors of another source below a name: those of a part that was trained alone."""

    def __init__(self, source: Source, part: str) -> None:
        self.source, self.prefix = source, f"{part}."

    def __iter__(self) -> Iterator[str]:
        return (self.prefix + name for name in self.source)

    def __contains__(self, name: str) -> bool:
        return name.startswith(self.prefix) and name.removeprefix(self.prefix) in self.source

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor."""
        return self.source.shape(name.removeprefix(self.prefix))

    def dtype(self, name: str) -> str:
        """Of a tensor, as safetensors names it."""
        return self.source.dtype(name.removeprefix(self.prefix))

    def tensor(self, name: str) -> Tensor:
        """A whole tensor."""
        return self.source.tensor(name.removeprefix(self.prefix))

    def chunks(self, name: str, start: int = 0, stop: int | None = None) -> Iterator[memoryview]:
        """The bytes of a range of its elements in flat order."""
        return self.source.chunks(name.removeprefix(self.prefix), start, stop)


def open_ours(path: Path) -> tuple[Source, Path]:
    """The weights of a checkpoint of ours, and the folder of its run or import.

    Raises:
        UserError: it is no checkpoint of ours, is damaged or unfinished.
    """
    if (path / METADATA).is_file():
        return Distributed(path, PREFIXES), owner_of(path)
    if path.is_dir() or path.suffix == ".safetensors":
        folder = owner_of(path)
        return open_shards(folder), folder
    state = load_checkpoint(path, mapped=True).get("state_dict")
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise UserError(f"{path}: holds no state_dict of tensors; a run's folder would be right")
    return Mapped({name.removeprefix("assembly."): value for name, value in state.items()}), owner_of(path)


def need_weights(path: Path) -> None:
    """See that there is a model of ours with weights, without opening them.

    Raises:
        UserError: there is none.
    """
    folder = owner_of(path)
    assembly_file(folder)
    if path == folder and not any((folder / name).is_file() for name in (WEIGHTS, INDEX)):
        raise UserError(
            f"{folder}: holds no weights yet; a finished run, an import or a checkpoint would be right"
        )


def owner_of(path: Path) -> Path:
    """The folder of the run or import that a checkpoint of ours belongs to.

    Raises:
        UserError: it is not there, or belongs to none.
    """
    if not path.exists():
        raise UserError(
            f"{path}: there is no such checkpoint; the folder of a run or of an import would be right"
        )
    if path.is_dir() and not (path / METADATA).is_file():
        return path
    return path.parent if path.suffix == ".safetensors" else _owner(path)


def _owner(path: Path) -> Path:
    """The run that a training checkpoint belongs to: the nearest folder above it with a config.yaml."""
    for folder in path.absolute().parents:
        if (folder / "config.yaml").is_file():
            return folder
    raise UserError(f"{path}: belongs to no run: no folder above it has a config.yaml")
