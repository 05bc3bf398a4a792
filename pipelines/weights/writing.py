"""Writing safetensors shards with an index and checksums, a piece at a time: `write_shards`."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vlmloom.pipelines.folders import INDEX
from vlmloom.pipelines.weights.shards import ITEM

SHARD_BYTES = 5_000_000_000
"""The size at which a new file begins."""


@dataclass(frozen=True)
class Item:
    """A tensor to be written.

    Attributes:
        name: of the tensor.
        dtype: as safetensors names it.
        shape: of the tensor.
        chunks: its bytes, a piece at a time.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    chunks: Callable[[], Iterator[memoryview]]

    @property
    def bytes(self) -> int:
        """How many it takes."""
        return math.prod(self.shape) * ITEM[self.dtype]


def bytes_of(tensor: Tensor) -> Iterator[memoryview]:
    """The bytes of a tensor in memory."""
    if tensor.numel():
        flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        yield memoryview(flat.numpy())  # type: ignore[arg-type]


def write_shards(folder: Path, items: Sequence[Item], limit: int = SHARD_BYTES) -> None:
    """Write tensors as `model-00001-of-00003.safetensors`, ..., and the index beside them.

    The index holds the SHA-256 of every file in its metadata.

    Args:
        folder: exists, and is empty of such files.
        items: in order.
        limit: bytes of a file; a tensor that is larger has a file of its own.
    """
    shards: list[list[Item]] = [[]]
    size = 0
    for item in items:
        if shards[-1] and size + item.bytes > limit:
            shards.append([])
            size = 0
        shards[-1].append(item)
        size += item.bytes
    placed: dict[str, str] = {}
    digests: dict[str, str] = {}
    for number, shard in enumerate(shards, 1):
        name = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        digests[name] = _write(folder / name, shard)
        placed |= {item.name: name for item in shard}
    total = sum(item.bytes for item in items)
    index = {"metadata": {"total_size": total, "sha256": digests}, "weight_map": placed}
    (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def _write(path: Path, items: Sequence[Item]) -> str:
    """One file; its checksum, taken as the bytes pass."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    for item in items:
        entries[item.name] = {
            "dtype": item.dtype,
            "shape": list(item.shape),
            "data_offsets": [place, place + item.bytes],
        }
        place += item.bytes
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for chunk in (len(header).to_bytes(8, "little"), header):
            file.write(chunk)
            digest.update(chunk)
        for item in items:
            written = 0
            for piece in item.chunks():
                file.write(piece)
                digest.update(piece)
                written += len(piece)
            assert written == item.bytes, f"{item.name}: {written} bytes for {item.bytes}"
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()
