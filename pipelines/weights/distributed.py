"""The folder of a sharded training, read without running code: `Distributed`.

`torch.distributed.checkpoint` keeps what it knows of the files in a pickle. Only the classes that such a
pickle is made of are let through.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Iterator, Sequence
from enum import Enum, EnumMeta
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta, TensorStorageMetadata

from vlmloom.pipelines.weights.shards import CHUNK, NAMES, need_finite
from vlmloom.pipelines.weights.writing import bytes_of
from vlmloom.registry.errors import UserError, one_line

METADATA = ".metadata"
ALLOWED = re.compile(
    r"torch\.distributed\.checkpoint\.metadata\.\w+|torch\.distributed\.checkpoint\.filesystem\._StorageInfo|"
    r"torch\.(Size|u?int\d+|float\d+\w*|bfloat16|bool|complex\d+)|torch\.serialization\._get_layout|"
    r"pathlib(\._local)?\.(Pure)?(Posix|Windows)Path|collections\.OrderedDict"
)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("builtins", "getattr"):
            return _member
        if not ALLOWED.fullmatch(f"{module}.{name}"):
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def _member(kind: Any, name: str) -> Enum:
    """A member of an enumeration, which Python 3.11.0 to 3.11.3 pickle as `getattr(kind, name)`."""
    if isinstance(kind, EnumMeta) and name in kind.__members__:
        return cast(Enum, kind[name])
    raise pickle.UnpicklingError("it asks for builtins.getattr")


class _Reader(dcp.FileSystemReader):
    """Reads with metadata that has been read and checked before."""

    def __init__(self, folder: Path, metadata: Metadata) -> None:
        super().__init__(folder)
        self.metadata = metadata

    def read_metadata(self, *args: Any, **kwargs: Any) -> Metadata:
        if self.metadata.storage_meta is None:
            self.metadata.storage_meta = StorageMeta()
        self.metadata.storage_meta.load_id = self.load_id
        return self.metadata


class Distributed:
    """The tensors of such a folder, put together from the ranks' pieces one at a time."""

    def __init__(self, folder: Path, prefixes: Sequence[str]) -> None:
        """Read the metadata.

        Args:
            folder: holds `.metadata` and the ranks' files.
            prefixes: of the names that are wanted; the first that any name has is taken off.

        Raises:
            UserError: it is damaged, incomplete, or would run code.
        """
        self.folder = folder
        try:
            with open(folder / METADATA, "rb") as file:
                metadata = _Unpickler(file).load()
            if not isinstance(metadata, Metadata):
                raise pickle.UnpicklingError("it holds something else")
            files: dict[str, int] = {}
            for info in metadata.storage_data.values():
                end = info.offset + info.length
                files[info.relative_path] = max(files.get(info.relative_path, 0), end)
        except Exception as fault:  # A damaged pickle raises whatever it likes.
            reason = one_line(fault)
            raise UserError(f"{folder / METADATA}: refused: is no sound metadata ({reason})") from None
        if unsafe := [name for name in files if not re.fullmatch(r"[\w.-]+\.distcp", str(name))]:
            raise UserError(f"{folder / METADATA}: refused: it names {unsafe[0]!r} as a file of its folder")
        if lost := sorted(name for name in files if not (folder / name).is_file()):
            raise UserError(f"{folder}: {len(lost)} of {len(files)} files missing: {', '.join(lost)}")
        for name, end in files.items():
            if (size := (folder / name).stat().st_size) < end:
                raise UserError(
                    f"{folder / name}: is cut off: {size:,} bytes, where the metadata speaks of {end:,}"
                )
        names = [
            name
            for name, one in metadata.state_dict_metadata.items()
            if isinstance(one, TensorStorageMetadata)
        ]
        prefix = next((one for one in prefixes if any(name.startswith(one) for name in names)), None)
        if prefix is None:
            raise UserError(f"{folder}: holds no tensors of an assembly")
        self.names = {name.removeprefix(prefix): name for name in names if name.startswith(prefix)}
        self.metadata = metadata
        self._last: tuple[str, Tensor] | None = None

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor."""
        return tuple(self._of(name).size)

    def dtype(self, name: str) -> str:
        """Of a tensor."""
        found = self._of(name).properties.dtype
        return NAMES.get(found, str(found))

    def tensor(self, name: str) -> Tensor:
        """A whole tensor; the last one is kept, since its ranges are asked for one after another.

        Raises:
            UserError: a file is damaged, or a number is not finite.
        """
        if self._last is not None and self._last[0] == name:
            return self._last[1]
        self._last = None
        one = self._of(name)
        state = {self.names[name]: torch.empty(one.size, dtype=one.properties.dtype)}
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings(
                    "ignore", "torch.distributed is disabled"
                )  # Which is what is asked for.
                dcp.load(state, storage_reader=_Reader(self.folder, self.metadata), no_dist=True)
        except (Exception, CheckpointException) as fault:  # The latter is no Exception, and wraps them.
            cause = (
                next(iter(fault.failures.values()))[0] if isinstance(fault, CheckpointException) else fault
            )
            reason = one_line(cause).partition(". ")[0][:160]
            raise UserError(f"{self.folder}: {name} cannot be read ({reason})") from None
        for part in state[self.names[name]].reshape(-1).split(CHUNK // 4):
            need_finite(part, name, self.folder)
        self._last = name, state[self.names[name]]
        return self._last[1]

    def chunks(self, name: str, start: int = 0, stop: int | None = None) -> Iterator[memoryview]:
        """The bytes of a range of its elements in flat order."""
        yield from bytes_of(self.tensor(name).reshape(-1)[start:stop])

    def _of(self, name: str) -> TensorStorageMetadata:
        return cast(TensorStorageMetadata, self.metadata.state_dict_metadata[self.names[name]])
