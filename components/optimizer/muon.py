"""One optimizer with two kinds of parameter groups: Muon for matrices, AdamW for the rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from vlmloom.components.optimizer.shards import cut_as, gather, is_cut, local

Precision = Literal["auto", "float32", "bfloat16"]

AT_ONCE = 2**24
"""How many elements are orthogonalised together: whole matrices, where a process holds shards of them."""

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of a Newton-Schulz step, steep at zero (Keller Jordan, kellerjordan.github.io/posts/muon)."""


def newton_schulz(matrices: Tensor, steps: int = 5, eps: float = 1e-7) -> Tensor:
    """Push all singular values of each matrix towards one.

    After five steps they lie between about 0.7 and 1.2; a zero matrix stays zero.

    Args:
        matrices: `[N, rows, columns]` with rows <= columns, in the precision of the products.
        steps: of the quintic iteration.
        eps: least norm that is divided by.
    """
    a, b, c = QUINTIC
    x = matrices / torch.linalg.vector_norm(matrices, dim=(-2, -1), keepdim=True).clamp(min=eps)
    for _ in range(steps):
        gram = torch.bmm(x, x.mT)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


def matrices_of(value: Tensor, splits: Sequence[int] | None = None) -> list[Tensor]:
    """The matrices of a parameter, `[N, rows, columns]` each.

    A fused one gives a stack for each part; experts `[E, rows, columns]` give a stack of E, each split
    alike; a kernel of four or more axes is one flattened matrix. All are views, but for a flattened kernel
    whose memory is not contiguous.

    Args:
        value: the parameter, or a tensor of its shape.
        splits: sizes of its parts along the rows; None is whole.
    """
    if value.ndim == 2:
        value = value.unsqueeze(0)
    elif value.ndim > 3:
        value = value.reshape(1, value.shape[0], -1)
    return [value] if splits is None else list(value.split(tuple(splits), dim=1))


def splits_of(name: str, parameter: Tensor, halves: Sequence[str]) -> tuple[int, ...] | None:
    """The parts of a fused parameter along its rows.

    They are what `parameter.muon_splits` declares, else two halves where a part of the dotted name is one of
    `halves`, else None.

    Raises:
        ValueError: the declared sizes do not sum to the rows.
    """
    rows = parameter.shape[1 if parameter.ndim == 3 else 0]
    declared = getattr(parameter, "muon_splits", None)
    if declared is None:
        fused = parameter.ndim <= 3 and rows % 2 == 0 and not set(halves).isdisjoint(name.split("."))
        return (rows // 2, rows // 2) if fused else None
    if sum(declared) != rows or parameter.ndim > 3:
        raise ValueError(
            f"optimizer/muon_adamw: {name} {list(parameter.shape)} declares muon_splits {tuple(declared)}; "
            f"a matrix or a stack of matrices with sizes that sum to its {rows} rows would be right"
        )
    return tuple(declared)


def native_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 products are faster than fp32 ones here."""
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return device.type == "cuda"


def runs(sizes: Iterable[int], most: int) -> Iterator[slice]:
    """Neighbours whose sizes add up to no more than `most`, unless one alone has more.

    >>> list(runs([3, 3, 9, 1], 6))
    [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)]
    """
    start = total = stop = 0
    for stop, size in enumerate(sizes):
        if stop > start and total + size > most:
            yield slice(start, stop)
            start, total = stop, 0
        total += size
    yield slice(start, stop + 1)


class MuonAdamWOptimizer(torch.optim.Optimizer):
    """Muon and AdamW in one optimizer; a group's `kind` says which.

    Matrices of one shape, whichever parameter they belong to, are orthogonalised in one batch. The update of
    a matrix has the root mean square of 0.2 that AdamW's typically has, so both kinds share a learning rate.
    Parameters may be sharded: a matrix that is cut is gathered, and a process keeps its share of the update.

    Reference: arXiv 2502.16982 (Moonlight), arXiv 2508.06471 (GLM-4.5).
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        steps: int = 5,
        precision: Precision = "auto",
        halves: Sequence[str] = ("gate_up",),
    ) -> None:
        """Make the optimizer.

        Args:
            groups: with `params` (pairs of name and parameter), `kind` (muon or adamw), `lr`, `weight_decay`.
            momentum: of Muon, Nesterov's.
            betas: of AdamW.
            eps: of AdamW.
            steps: of the Newton-Schulz iteration.
            precision: of the Newton-Schulz products; auto is bfloat16 where the machine has it natively.
            halves: names of fused parameters that are two matrices of equal size.
        """
        groups = [{**group, "initial_lr": group["lr"]} for group in groups]
        self.splits = {
            parameter: splits_of(name, parameter, halves)
            for group in groups
            if group["kind"] == "muon"
            for name, parameter in group["params"]
        }
        super().__init__(groups, {"momentum": momentum, "betas": tuple(betas), "eps": eps, "steps": steps})
        self.precision = precision

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if parameters:
                (self._muon if group["kind"] == "muon" else self._adamw)(group, parameters)
        return loss

    def _adamw(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {
                    "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        states = [self.state[parameter] for parameter in parameters]
        adamw(
            parameters,
            [parameter.grad for parameter in parameters],  # type: ignore[misc]
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            foreach=False,
            fused=True,
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )

    def _muon(self, group: dict[str, Any], parameters: list[Tensor]) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {"momentum_buffer": torch.zeros_like(parameter)}
        buffers = [local(self.state[parameter]["momentum_buffer"]) for parameter in parameters]
        gradients = [local(parameter.grad) for parameter in parameters]  # type: ignore[arg-type]
        torch._foreach_lerp_(buffers, gradients, 1 - group["momentum"])
        updates = torch._foreach_lerp(gradients, buffers, group["momentum"])
        torch._foreach_mul_(
            [local(parameter) for parameter in parameters], 1 - group["lr"] * group["weight_decay"]
        )
        for some in runs([parameter.numel() for parameter in parameters], AT_ONCE):
            self._move(group, parameters[some], updates[some])

    def _move(self, group: dict[str, Any], parameters: Sequence[Tensor], updates: Sequence[Tensor]) -> None:
        """Move parameters by their orthogonalised updates, matrices of one shape together."""
        # The changes of parameters whose matrices lie on several processes, whole.
        changes: list[tuple[Tensor, Tensor]] = []
        # (rows, columns), rows the fewer -> where the update goes, its matrices, whether they were turned
        batches: dict[tuple[Any, ...], list[tuple[Tensor, Tensor, bool]]] = defaultdict(list)
        for parameter, update in zip(parameters, updates, strict=True):
            splits = self.splits[parameter]
            if is_cut(parameter):
                update = gather(update, parameter)
                goal = torch.zeros_like(update)
                changes.append((parameter, goal))
            else:
                goal = local(parameter)
            targets = [goal] if parameter.ndim > 3 else matrices_of(goal, splits)
            for target, matrices in zip(targets, matrices_of(update, splits), strict=True):
                turned = matrices.shape[1] > matrices.shape[2]
                matrices = matrices.mT if turned else matrices
                batches[(matrices.shape[1:], matrices.device, matrices.dtype)].append(
                    (target, matrices, turned)
                )
        for (shape, device, dtype), items in batches.items():
            low = self.precision == "bfloat16" or (self.precision == "auto" and native_bfloat16(device))
            stacked = torch.cat([matrices for _, matrices, _ in items])
            orthogonal = newton_schulz(stacked.to(torch.bfloat16) if low else stacked, group["steps"]).to(
                dtype
            )
            orthogonal *= -0.2 * max(shape) ** 0.5 * group["lr"]
            parts = orthogonal.split([len(matrices) for _, matrices, _ in items])
            for (target, _, turned), part in zip(items, parts, strict=True):
                target.add_((part.mT if turned else part).reshape(target.shape))
        for parameter, change in changes:
            local(parameter).add_(local(cut_as(change, parameter)))

    def describe(self) -> str:
        """Which parameter goes where: one line each, with its group's rate and decay."""
        lines = []
        for group in self.param_groups:
            for name, parameter in zip(group["param_names"], group["params"], strict=True):
                shape = "x".join(map(str, parameter.shape)) or "scalar"
                splits = self.splits.get(parameter)
                fused = f" as {' + '.join(map(str, splits))} rows" if splits else ""
                rate = f"lr {group['initial_lr']:g} decay {group['weight_decay']:g}"
                lines.append(f"{group['kind']:<6}{rate:<24} {name} [{shape}]{fused}")
        return "\n".join(lines)
