"""Routed experts over tokens that are sorted by expert: `Experts`, `sort_by_expert`.

Shapes: T tokens, K experts a token, A = T * K assignments, E experts, D width, F hidden width of an expert.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor
from torch.nn import functional as F

from vlmloom.components.kernels import lowered, swiglu
from vlmloom.components.moe.exchange import Exchange

Backend = Literal["auto", "loop", "grouped_mm"]
FUSED = 256
"""Up to so many assignments a compiled program looks weights up, instead of sorting rows by expert."""
GroupedMM: Callable[..., Tensor] | None = getattr(F, "grouped_mm", getattr(torch, "_grouped_mm", None))


class Order(NamedTuple):
    """Assignments sorted by expert.

    Attributes:
        forth: `[A]` the assignment (token * K + choice) that stands at each sorted place.
        back: `[A]` the sorted place of each assignment.
        counts: `[E]` assignments of each expert.
    """

    forth: Tensor
    back: Tensor
    counts: Tensor


def sort_by_expert(chosen: Int[Tensor, "tokens choices"], experts: int) -> Order:
    """Sort assignments by expert, stably."""
    flat = chosen.flatten()
    forth = torch.argsort(flat, stable=True)
    back = torch.empty_like(forth).scatter_(0, forth, torch.arange(len(forth), device=forth.device))
    return Order(forth, back, torch.bincount(flat, minlength=experts))


class _Dispatch(torch.autograd.Function):
    """A row for every assignment, sorted by expert; the way back adds the K rows of a token in one pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, forth: Tensor, back: Tensor, choices: int) -> Tensor:
        ctx.save_for_backward(back)
        ctx.choices = choices
        return x.index_select(0, forth // choices)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (back,) = ctx.saved_tensors
        return F.embedding_bag(back.view(-1, ctx.choices), gradient, mode="sum"), None, None, None


class _Combine(torch.autograd.Function):
    """The sum over a token's rows of share * row, in one pass: a bag of weighted rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, shares: Tensor, forth: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(rows, shares, forth, back)
        return F.embedding_bag(back.view_as(shares), rows, mode="sum", per_sample_weights=shares)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, shares, forth, back = ctx.saved_tensors
        to_rows = gradient.index_select(0, forth // shares.shape[1])
        to_shares = torch.linalg.vecdot(to_rows, rows).index_select(0, back).view_as(shares)
        return to_rows.mul_(shares.flatten().index_select(0, forth)[:, None]), to_shares, None, None


class _LoopLinear(torch.autograd.Function):
    """`x @ weight[e].T` for the contiguous rows of each expert e, written into one allocation.

    An expert without tokens costs nothing and receives a gradient of zero.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, counts: list[int]) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.counts = counts
        out = x.new_empty(x.shape[0], weight.shape[1])
        for rows, result, matrix in zip(x.split(counts), out.split(counts), weight.unbind(), strict=True):
            if len(rows):
                torch.mm(rows, matrix.t(), out=result)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        parts = gradient.contiguous().split(ctx.counts)
        to_x = to_weight = None
        if ctx.needs_input_grad[0]:
            to_x = torch.empty_like(x)
            for got, own, matrix in zip(parts, to_x.split(ctx.counts), weight.unbind(), strict=True):
                if len(got):
                    torch.mm(got, matrix, out=own)
        if ctx.needs_input_grad[1]:
            to_weight = torch.empty_like(weight)
            for got, rows, matrix in zip(parts, x.split(ctx.counts), to_weight.unbind(), strict=True):
                if len(got):
                    torch.mm(got.t(), rows, out=matrix)
                else:
                    matrix.zero_()
        return to_x, to_weight, None


def _loop_linear(x: Tensor, weight: Tensor, counts: Tensor) -> Tensor:
    x, weight = lowered(x, weight)
    with torch.autocast(x.device.type, enabled=False):
        return _LoopLinear.apply(x, weight, counts.tolist())


def _grouped_linear(x: Tensor, weight: Tensor, counts: Tensor) -> Tensor:
    if GroupedMM is None:
        raise RuntimeError("moe: this torch has no grouped_mm; use backend: loop")
    x, weight = lowered(x, weight)
    return GroupedMM(x, weight.transpose(-2, -1), offs=counts.cumsum(0).to(torch.int32))


class Experts(nn.Module):
    """E gated experts in two batched parameters, `gate_up [E, 2F, D]` and `down [E, D, F]`.

    Args:
        experts: E.
        width: D.
        hidden: F.
        backend: `loop` is one product per expert on contiguous rows, `grouped_mm` one kernel for all, `auto`
            the loop on a CPU (ten times faster there in fp32) and grouped_mm on a GPU.
        init_std: of the weights.

    Attributes:
        picked: the backend of the last forward pass.
        picks: what `auto` has chosen, as `Attention.picks`.
    """

    def __init__(self, *, experts: int, width: int, hidden: int, backend: Backend, init_std: float) -> None:
        super().__init__()
        self.backend = backend
        self.picked: str | None = None
        self.picks: dict[str, str] = {}
        self.mesh: DeviceMesh | None = None
        self.gate_up = nn.Parameter(torch.empty(experts, 2 * hidden, width).normal_(std=init_std))
        self.down = nn.Parameter(torch.empty(experts, width, hidden).normal_(std=init_std))

    def place(self, mesh: DeviceMesh) -> list[nn.Parameter]:
        """Keep the own share of whole experts alone; tokens travel to the processes that hold theirs.

        Args:
            mesh: of one axis; every process has called this, with equal weights.

        Returns:
            The parameters, cut along the experts; what every process adds to their gradients is averaged, as
            the loss is.

        Raises:
            ValueError: the experts cannot be shared out evenly.
        """
        experts = len(self.gate_up)
        if experts % mesh.size():
            raise ValueError(
                f"{experts} experts cannot be shared out evenly to {mesh.size()} processes; "
                f"{mesh.size() * max(1, round(experts / mesh.size()))} experts would be right"
            )
        self.mesh = mesh
        for name in ("gate_up", "down"):
            whole = getattr(self, name)
            cut = distribute_tensor(whole.detach(), mesh, [Shard(0)], src_data_rank=None)
            setattr(self, name, nn.Parameter(cut, requires_grad=whole.requires_grad))
        return [self.gate_up, self.down]

    def _held(self, weight: Tensor) -> Tensor:
        """The experts that are held here; the loss is the mean over processes, and so is its gradient."""
        if not isinstance(weight, DTensor) or self.mesh is None:
            return weight
        own, processes = weight.to_local(), self.mesh.size()
        if own.requires_grad:
            own.register_hook(lambda gradient: gradient / processes)
        return own

    def pick(self, device: torch.device) -> str:
        """The backend that `auto` means on a device."""
        if self.backend != "auto":
            return self.backend
        return "grouped_mm" if device.type == "cuda" and GroupedMM is not None else "loop"

    def forward(
        self,
        x: Float[Tensor, "tokens width"],
        shares: Float[Tensor, "tokens choices"],
        order: Order,
        limit: float | None = None,
    ) -> Float[Tensor, "tokens width"]:
        """The sum over a token's experts of share * expert(token).

        Args:
            x: `[T, D]`.
            shares: `[T, K]` weights of the chosen experts.
            order: assignments sorted by expert.
            limit: clamp of gate and up (see `ffn/swiglu`).
        """
        self.picked = self.pick(x.device)
        if self.backend == "auto":
            self.picks[f"experts ({x.device.type})"] = self.picked
        choices = shares.shape[1]
        (x,) = lowered(x)  # before it is repeated for every choice
        rows = _Dispatch.apply(x, order.forth, order.back, choices)
        if self.mesh is None:
            result = self._run(rows, order.counts, limit)
        else:
            exchange = Exchange(order.counts, self.mesh.get_group())
            result = exchange.back(self._run(exchange.there(rows), exchange.counts, limit))
        return _Combine.apply(result, shares.to(result.dtype), order.forth, order.back)

    def _run(self, rows: Tensor, counts: Tensor, limit: float | None) -> Tensor:
        """The experts that are held here on rows that are sorted by expert."""
        # grouped_mm refuses to work on no rows at all; the loop gives the gradients of zero that are due.
        linear = _loop_linear if self.picked == "loop" or not len(rows) else _grouped_linear
        gate, up = linear(rows, self._held(self.gate_up), counts).chunk(2, dim=-1)
        return linear(swiglu(gate, up, limit), self._held(self.down), counts)

    def are_few(self, chosen: Int[Tensor, "tokens choices"]) -> bool:
        """Whether `of_few` is the faster way, as measured on a CPU.

        A compiled program reads chosen weights where they lie, up to `FUSED` assignments; without one they
        would be copied. Experts that lie on several processes are never looked up.
        """
        return torch.compiler.is_compiling() and self.mesh is None and chosen.numel() <= FUSED

    def of_few(
        self,
        x: Float[Tensor, "tokens width"],
        chosen: Int[Tensor, "tokens choices"],
        shares: Float[Tensor, "tokens choices"],
        limit: float | None = None,
    ) -> Float[Tensor, "tokens width"]:
        """The same sum as `forward`, by looking the weights of every assignment up.

        Assignments go in the order of experts: weights that several tokens chose are still in the cache.
        """
        expert, place = chosen.flatten().sort()
        token = place // chosen.shape[1]
        gate, up = (self.gate_up[expert] * x[token, None, :]).sum(-1).chunk(2, dim=-1)
        result = (self.down[expert] * swiglu(gate, up, limit)[:, None, :]).sum(-1)
        result = result * shares.flatten()[place, None].to(result.dtype)
        return torch.zeros_like(x).index_add(0, token, result)
