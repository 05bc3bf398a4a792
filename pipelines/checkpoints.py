"""Checkpoints that are never half-written and never run code when they are read."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from safetensors.torch import load_file, save_file

from vlmloom.pipelines.files import write_atomically, write_text
from vlmloom.pipelines.weights.folder import verify
from vlmloom.pipelines.weights.shards import need_finite, read_header, sha256
from vlmloom.registry.errors import UserError, one_line


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoints, written atomically and read with `weights_only=True` alone.

    Args:
        took: told the seconds of each writing, which are not spent on training.
    """

    def __init__(self, took: Callable[[float], None] | None = None) -> None:
        super().__init__()
        self.took = took

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write a checkpoint; a crash leaves the file that was there before."""
        clock = time.perf_counter()
        save_state(checkpoint, Path(path))
        if self.took is not None:
            self.took(time.perf_counter() - clock)

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            UserError: it is damaged, or it holds pickled code.
        """
        return load_checkpoint(Path(path), map_location or "cpu")


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write tensors and plain numbers atomically, through a file of ours: torch's own hides why it fails."""

    def write(part: Path) -> None:
        with part.open("wb") as file:
            torch.save(state, file)

    write_atomically(path, write)


def load_checkpoint(path: Path, map_location: Any = "cpu", *, mapped: bool = False) -> dict[str, Any]:
    """A training checkpoint, never unpickling code; its checksums are compared, which torch leaves out.

    Args:
        path: of the file.
        map_location: where its tensors go.
        mapped: leave them in the file until they are read, and those that are not, such as an optimizer's.

    Raises:
        UserError: it is missing or damaged, or it holds pickled code.
    """
    try:
        with ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is None:
            found = torch.load(path, map_location=map_location, weights_only=True, mmap=mapped)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such checkpoint") from None
    except Exception as fault:  # A damaged archive or pickle raises whatever it likes.
        if asked := re.search(r"GLOBAL (\S+)", str(fault)):
            raise UserError(
                f"{path}: refused, since it holds more than weights and numbers ({asked[1]} could run code)"
            ) from None
        reason = one_line(fault).partition(". ")[0][:160]
        raise UserError(f"{path}: is no readable checkpoint ({reason})") from None
    if damaged is not None:
        raise UserError(f"{path}: is damaged: its {damaged.partition('/')[2]} is not what was written")
    if not isinstance(found, dict):
        raise UserError(
            f"{path}: holds a {type(found).__name__}; the checkpoint of a training would be right"
        )
    return found


def latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint with the most steps in a folder; files still being written have other names."""
    found = [path for path in folder.glob("step=*.ckpt") if path.stem.partition("=")[2].isdigit()]
    return max(found, key=lambda path: int(path.stem.partition("=")[2]), default=None)


def save_weights(weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """The weights as safetensors, and their checksum beside them; one tensor in memory is stored once."""
    tensors: dict[str, torch.Tensor] = {}
    seen: dict[tuple[int, tuple[int, ...]], str] = {}
    for name, tensor in weights.items():
        if (tensor.data_ptr(), tuple(tensor.shape)) in seen and tensor.numel():
            continue
        seen[(tensor.data_ptr(), tuple(tensor.shape))] = name
        tensors[name] = tensor.detach().contiguous()
    checksum = path.with_name(f"{path.name}.sha256")
    checksum.unlink(missing_ok=True)
    write_atomically(path, lambda part: save_file(tensors, part))
    write_text(checksum, f"{sha256(path)}  {path.name}\n")


def load_weights(module: torch.nn.Module, path: Path) -> None:
    """Read what `save_weights` wrote into a module of the same shape.

    Raises:
        UserError: the file is missing or damaged, or keys or shapes differ; all differences are listed.
    """
    read_header(path)
    verify(path.parent, path.name)
    tensors = load_file(path)
    own = module.state_dict()
    shared = {(tensor.data_ptr(), tuple(tensor.shape)) for name, tensor in own.items() if name in tensors}
    missing = [
        name
        for name, tensor in own.items()
        if name not in tensors and (tensor.data_ptr(), tuple(tensor.shape)) not in shared
    ]
    unknown = [name for name in tensors if name not in own]
    shapes = [
        f"{name} {list(tensor.shape)} for {list(own[name].shape)}"
        for name, tensor in tensors.items()
        if name in own and own[name].shape != tensor.shape
    ]
    kinds = (("missing", missing), ("unknown", unknown), ("misshapen", shapes))
    faults = [f"{len(names)} {what}: {', '.join(names)}" for what, names in kinds if names]
    if faults:
        raise UserError(f"{path}: does not fit this model; {'; '.join(faults)}")
    for name, _ in module.named_parameters():
        if name in tensors:
            need_finite(tensors[name], name, path)
    module.load_state_dict(tensors, strict=False)
