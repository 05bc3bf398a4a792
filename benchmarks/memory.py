"""Bytes of activations that a training step keeps for its way back, with and without recompute."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.batches import Ragged, pack
from benchmarks.models import Shape, build_ours
from vlmloom.assemblies.recompute import Policy, compute_again

POLICIES: dict[str, dict[str, Policy]] = {
    "none": {},
    "vision": {"vision": "full"},
    "projector": {"projector": "full"},
    "selective": {"vision": "selective", "projector": "selective", "language": "selective"},
    "full": {"vision": "full", "projector": "full", "language": "full"},
}
"""What is measured, by name."""


class Living(TorchDispatchMode):
    """Counts the bytes of the storages that operations make, for as long as anything holds them.

    Args:
        known: tensors that are there already and do not count.

    Attributes:
        now: bytes.
        peak: the most at any time.
    """

    def __init__(self, known: Iterable[Tensor]) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known = weakref.WeakSet(tensor.untyped_storage() for tensor in known)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._see(tensor.untyped_storage())
        return out

    def _see(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, size)

    def _forget(self, size: int) -> None:
        self.now -= size


def measure(shape: Shape, ragged: Ragged, policies: Mapping[str, Policy]) -> dict[str, int]:
    """Bytes between forward and backward, and at the most, gradients of weights included."""
    model = build_ours(shape).train()
    compute_again(model, policies)
    batch = pack(ragged, shape, model)
    # Tables that are kept from step to step are made by the first.
    step(model, batch, lambda: None)
    known = [*model.parameters(), *model.buffers(), batch.ids, batch.positions]
    kept = 0

    def between() -> None:
        nonlocal kept
        kept = living.now

    with Living(known) as living:
        step(model, batch, between)
    return {"kept": kept, "peak": living.peak}


def step(model: Any, batch: Any, between: Callable[[], None]) -> None:
    """Forward and backward."""
    loss, metrics = model.loss(batch)
    del metrics
    batch.extras.clear()
    between()
    loss.backward()
    model.zero_grad(set_to_none=True)


def run(
    shape: Shape, _: int, tokens: tuple[int, int] = (40, 300), count: int = 8, sides: tuple[int, int] = (2, 8)
) -> dict[str, Any]:
    """Measure on the batch of the training benchmark."""
    ragged = Ragged.draw(shape, count, tokens, pictures=(1, 3), sides=sides)
    return {
        "tokens": ragged.tokens(shape)[0],
        "bytes": {name: measure(shape, ragged, policies) for name, policies in POLICIES.items()},
    }


def notes(found: dict[str, Any]) -> list[str]:
    whole = found["bytes"]["none"]
    lines = [
        f"Activations of {found['tokens']} tokens between forward and backward, and at the most, gradients "
        f"included: {whole['kept'] / 2**20:.1f} and {whole['peak'] / 2**20:.1f} MiB.",
    ]
    for name, policies in POLICIES.items():
        if policies:
            less = found["bytes"][name]
            said = ", ".join(f"{part}: {policy}" for part, policy in policies.items())
            lines.append(
                f"The same with recompute {{{said}}}: {less['kept'] / 2**20:.1f} "
                f"({less['kept'] / whole['kept']:.0%}) and {less['peak'] / 2**20:.1f} MiB "
                f"({less['peak'] / whole['peak']:.0%})."
            )
    return lines
