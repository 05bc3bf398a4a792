"""Checkpoints that are never half-written and never run code when they are read."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from vlmloom.pipelines.files import write_atomically
from vlmloom.registry.errors import UserError


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
        write_atomically(Path(path), lambda part: torch.save(checkpoint, part))
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


def load_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """A training checkpoint, never unpickling code.

    Raises:
        UserError: it is missing or damaged, or it holds pickled code.
    """
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such checkpoint") from None
    except pickle.UnpicklingError as fault:
        reason = str(fault).splitlines()[0]
        raise UserError(f"{path}: refused, since it holds more than weights and numbers ({reason})") from None
    except (OSError, RuntimeError, EOFError, ValueError) as fault:
        reason = (str(fault) or "it is empty").splitlines()[0]
        raise UserError(f"{path}: is no readable checkpoint ({reason})") from None


def latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint with the most steps in a folder; files still being written have other names."""
    found = [path for path in folder.glob("step=*.ckpt") if path.stem.partition("=")[2].isdigit()]
    return max(found, key=lambda path: int(path.stem.partition("=")[2]), default=None)


def save_weights(module: torch.nn.Module, path: Path) -> None:
    """The weights as safetensors; tensors that are one in memory are stored once."""
    tensors: dict[str, torch.Tensor] = {}
    seen: dict[tuple[int, tuple[int, ...]], str] = {}
    for name, tensor in module.state_dict().items():
        if (tensor.data_ptr(), tuple(tensor.shape)) in seen and tensor.numel():
            continue
        seen[(tensor.data_ptr(), tuple(tensor.shape))] = name
        tensors[name] = tensor.detach().contiguous()
    write_atomically(path, lambda part: save_file(tensors, part))


def load_weights(module: torch.nn.Module, path: Path) -> None:
    """Read what `save_weights` wrote into a module of the same shape.

    Raises:
        UserError: the file is missing or damaged, or keys or shapes differ; all differences are listed.
    """
    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file of weights") from None
    except (OSError, SafetensorError) as fault:
        raise UserError(f"{path}: is no readable safetensors file ({fault})") from None
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
    module.load_state_dict(tensors, strict=False)
