"""Damage to the files of a checkpoint."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

INDEX = "model.safetensors.index.json"


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change a JSON file."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def put(config: dict[str, Any], place: str, value: Any) -> None:
    """Set the value at a dotted place."""
    *path, last = place.split(".")
    for key in path:
        config = config[key]
    config[last] = value


def shard_of(folder: Path, tensor: str) -> Path:
    """The shard that a tensor lies in."""
    return folder / json.loads((folder / INDEX).read_text())["weight_map"][tensor]


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the tensors of a shard."""
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {"format": "pt"})


def reheader(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the header of a shard, and leave its data."""
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    text = json.dumps(change(json.loads(raw[8 : 8 + size]))).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + size :])


def flip(path: Path, place: int) -> None:
    """Flip the lowest bit of a byte."""
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1
    path.write_bytes(raw)
