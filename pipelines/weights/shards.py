"""Reading safetensors without holding a file, or even a tensor, in memory: `Shards`, `read_header`.

A header is checked whole before a byte of data is read: what it names has to lie in the file without gaps
or overlaps, and the file has to end where the data ends. Data is checked as it passes: numbers have to be
finite. What that finds of a damaged file: anything cut off, nearly any change of a header, a changed number
that became infinite or no number. Any other changed number is found by a checksum alone, where there is one.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from vlmloom.registry.errors import UserError

CHUNK = 1 << 24
"""Bytes that are in memory at a time."""
MAX_HEADER = 100_000_000
"""The longest header that the format allows."""
ITEM = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "U64": 8, "I32": 4, "U32": 4, "I16": 2, "U16": 2,
    "I8": 1, "U8": 1, "BOOL": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1,
}  # fmt: skip
FLOATS = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
"""What weights may be; other types say that a checkpoint is quantised, or no weights at all."""
NAMES = {dtype: name for name, dtype in FLOATS.items()}


@dataclass(frozen=True)
class Stored:
    """One tensor of a file.

    Attributes:
        file: where it lies.
        dtype: as safetensors names it.
        shape: of the tensor.
        start: its first byte in the file.
    """

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int

    @property
    def bytes(self) -> int:
        """How many it takes."""
        return math.prod(self.shape) * ITEM[self.dtype]


def read_header(path: Path) -> dict[str, Stored]:
    """The tensors of a safetensors file, in the order of their data.

    Raises:
        UserError: the file cannot be read, is damaged or cut off.
    """
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            first = file.read(8)
            length = struct.unpack("<Q", first)[0] if len(first) == 8 else size
            if length > min(MAX_HEADER, size - 8):
                raise UserError(f"{path}: is cut off, or no safetensors file: it is shorter than its header")
            text = file.read(length)
    except OSError as fault:
        raise UserError(f"{path}: cannot be read ({fault.strerror})") from None
    try:
        found = json.loads(text, object_pairs_hook=_once)
        found.pop("__metadata__", None)
        stored = {name: _stored(path, name, entry, 8 + length) for name, entry in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise UserError(f"{path}: its header is damaged ({_short(fault)})") from None
    ordered = dict(sorted(stored.items(), key=lambda item: (item[1].start, item[1].bytes)))
    end = 8 + length
    for name, one in ordered.items():
        if one.start != end:
            raise UserError(
                f"{path}: its header is damaged (the data of {name} is not where it should begin)"
            )
        end += one.bytes
    if end != size:
        what = "is cut off" if end > size else "holds more than its header says"
        raise UserError(f"{path}: {what}: {size:,} bytes, where its header speaks of {end:,}")
    return ordered


def _stored(path: Path, name: str, entry: Mapping[str, Any], offset: int) -> Stored:
    if not name.isprintable():
        raise ValueError(f"a tensor is called {name!r}")
    if lost := [key for key in ("dtype", "shape", "data_offsets") if key not in entry]:
        raise ValueError(f"{name} has no {lost[0]}")
    start, stop = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if entry["dtype"] not in ITEM:
        raise ValueError(f"{name} is of type {entry['dtype']!r}")
    if not all(isinstance(size, int) and size >= 0 for size in (*shape, start, stop)):
        raise ValueError(f"{name} has a shape or a place that is no number")
    one = Stored(path, entry["dtype"], shape, offset + start)
    if one.bytes != stop - start:
        raise ValueError(f"{name} takes {stop - start} bytes, but {one.bytes} by its shape and type")
    return one


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys stand once each."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} stands twice")
        found[key] = value
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def need_finite(tensor: Tensor, name: str, where: Path | str) -> None:
    """Refuse numbers that no training wrote.

    Raises:
        UserError: one of them is not finite.
    """
    if not tensor.isfinite().all():
        raise UserError(f"{where}: {name} holds numbers that are not finite; the file is damaged")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        UserError: it cannot be read, is no object, or a key stands twice.
    """
    try:
        found = json.loads(path.read_bytes(), object_pairs_hook=_once, parse_constant=_no_number)
    except OSError as fault:
        raise UserError(f"{path}: cannot be read ({fault.strerror})") from None
    except (ValueError, RecursionError) as fault:
        raise UserError(f"{path}: is no sound JSON ({_short(fault)})") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: holds no JSON object")
    return found


def _short(fault: BaseException) -> str:
    text = " ".join((str(fault) or type(fault).__name__).split())
    return text if len(text) <= 160 else f"{text[:157]}..."


class Shards:
    """The tensors of several files as one mapping; reads ranges, and keeps one file open at a time.

    Attributes:
        stored: by name.
        unsealed: the files of which no checksum is known.
    """

    def __init__(self, stored: dict[str, Stored], unsealed: Sequence[str] = ()) -> None:
        self.stored, self.unsealed = stored, unsealed
        self._open: tuple[Path, BinaryIO] | None = None

    def __contains__(self, name: str) -> bool:
        return name in self.stored

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored)

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a tensor."""
        return self.stored[name].shape

    def dtype(self, name: str) -> str:
        """Of a tensor, as safetensors names it."""
        return self.stored[name].dtype

    def chunks(self, name: str, start: int = 0, stop: int | None = None) -> Iterator[memoryview]:
        """The bytes of a tensor, or of a range of its elements in flat order, a piece at a time.

        Raises:
            UserError: a number is not finite, or the file cannot be read.
        """
        one = self.stored[name]
        item = ITEM[one.dtype]
        stop = math.prod(one.shape) if stop is None else stop
        place, end = one.start + start * item, one.start + stop * item
        while place < end:
            buffer = bytearray(min(CHUNK, end - place))
            try:
                file = self._file(one.file)
                file.seek(place)
                read = file.readinto(buffer)  # type: ignore[attr-defined]
            except OSError as fault:
                raise UserError(f"{one.file}: cannot be read ({fault.strerror})") from None
            if read != len(buffer):
                raise UserError(f"{one.file}: is cut off at {name}")
            if one.dtype in FLOATS:
                need_finite(torch.frombuffer(buffer, dtype=FLOATS[one.dtype]), name, one.file)
            yield memoryview(buffer)
            place += len(buffer)

    def tensor(self, name: str) -> Tensor:
        """A whole tensor.

        Raises:
            UserError: see `chunks`.
        """
        one = self.stored[name]
        if not one.bytes:
            return torch.empty(one.shape, dtype=FLOATS[one.dtype])
        buffer = bytearray(one.bytes)
        place = 0
        for chunk in self.chunks(name):
            buffer[place : place + len(chunk)] = chunk
            place += len(chunk)
        return torch.frombuffer(buffer, dtype=FLOATS[one.dtype]).view(one.shape)

    def _file(self, path: Path) -> BinaryIO:
        if self._open is None or self._open[0] != path:
            self.close()
            self._open = (path, open(path, "rb", buffering=0))  # type: ignore[assignment]
        assert self._open is not None
        return self._open[1]

    def close(self) -> None:
        """Close the file that is open."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def __enter__(self) -> Shards:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def sha256(path: Path) -> str:
    """The checksum of a file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as fault:
        raise UserError(f"{path}: cannot be read ({fault.strerror})") from None
