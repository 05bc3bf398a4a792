"""`moe/megablocks`: GLM's mixture of experts by MegaBlocks' kernels, and weights in both layouts."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh

from vlmloom.components.contracts.ffn import FFN
from vlmloom.components.kernels import swiglu
from vlmloom.components.moe.experts import Order
from vlmloom.components.moe.sigmoid_bias import SigmoidBias
from vlmloom.registry import register
from vlmloom.registry.errors import UserError

ONE_FORM, OTHER_FORM = ("gate_up", "down"), ("w1", "v1", "w2")


class MegaBlocksExperts(nn.Module):
    """E gated experts as MegaBlocks keeps them: `w1`, `v1` and `w2`, each `[E * F, D]`.

    Rows of expert e stand at `e * F`; w1 is the gate, v1 goes up, w2 is the transposed way down.

    Args:
        experts: E.
        width: D.
        hidden: F.
        init_std: of the weights.
    """

    w1: nn.Parameter
    v1: nn.Parameter
    w2: nn.Parameter

    def __init__(self, *, experts: int, width: int, hidden: int, init_std: float) -> None:
        super().__init__()
        self.experts = experts
        for name in OTHER_FORM:
            weight = nn.Parameter(torch.empty(experts * hidden, width).normal_(std=init_std))
            weight.muon_splits = (hidden,) * experts  # type: ignore[attr-defined]
            self.register_parameter(name, weight)

    def place(self, mesh: DeviceMesh) -> list[nn.Parameter]:
        """MegaBlocks' kernels work on all experts.

        Raises:
            ValueError: always.
        """
        raise ValueError("moe/megablocks keeps all experts; moe/sigmoid_bias would be right")

    def forward(
        self,
        x: Float[Tensor, "tokens width"],
        shares: Float[Tensor, "tokens choices"],
        order: Order,
        limit: float | None = None,
    ) -> Float[Tensor, "tokens width"]:
        """The sum over a token's experts of share * expert(token) (see `moe.experts.Experts.forward`).

        Raises:
            UserError: MegaBlocks or CUDA is not there.
        """
        lacking = MegaBlocks.available()
        if lacking is not None:
            raise UserError(lacking)
        if not len(order.forth):
            # No kernel runs on no rows, and gradients of zero are due.
            return x + 0.0 * sum(weight.sum() for weight in self.parameters())
        from megablocks import grouped_gemm_util, ops

        choices = shares.shape[1]
        # The kernels know bfloat16 alone.
        w1, v1, w2 = (
            weight.to(torch.bfloat16).view(self.experts, -1, weight.shape[1])
            for weight in (self.w1, self.v1, self.w2)
        )
        places = order.forth.int()
        ends = order.counts.cumsum(0).int()
        bins = torch.arange(self.experts, device=x.device, dtype=torch.int32)
        bins = bins.repeat_interleave(order.counts, output_size=len(places))
        sizes = order.counts.cpu().long()
        rows = ops.gather(x.to(torch.bfloat16), places, bins, ends, choices)
        multiply = grouped_gemm_util.ops.gmm
        gate = multiply(rows, w1, sizes, trans_b=True)
        up = multiply(rows, v1, sizes, trans_b=True)
        result = multiply(swiglu(gate, up, limit), w2, sizes)
        weights = shares.to(result.dtype).flatten()
        return ops.scatter(result, places, bins, weights, ends, choices)


@register("moe/megablocks")
class MegaBlocks(SigmoidBias):
    """GLM-4.5's experts (as `moe/sigmoid_bias`) by MegaBlocks' dropless grouped kernels, on CUDA in bfloat16.

    Weights are kept as MegaBlocks keeps them; `to_megablocks` and `from_megablocks` convert a state dict from
    that of `moe/sigmoid_bias` and back.

    Args:
        width: D.
        hidden: the inner width of one expert.
        experts: E.
        top_k: experts a token is routed to.
        shared: template of the expert that every token passes (`ffn/swiglu`), or None.
        groups: groups of experts of which only `top_groups` are open to a token; 1 opens all.
        top_groups: the number of open groups.
        routed_scale: factor on the routed part.
        normalise: whether the weights of the chosen experts are renormalised to sum to 1 before the factor.
        balance_loss: coefficient of the sequence-level balance loss (metric `loss/expert_balance`).
        limit: clamp of gate and up, as in `ffn/swiglu`.
        init_std: of the weights.

    Raises:
        ValueError: numbers of experts, groups and choices do not fit together.

    Reference: arXiv 2211.15841 (MegaBlocks); megablocks/layers/dmoe.py (ParallelDroplessMLP),
    megablocks/layers/glu.py (GroupedGLU).
    """

    def __init__(
        self,
        *,
        width: int,
        hidden: int,
        experts: int,
        top_k: int,
        shared: Callable[..., FFN] | None = None,
        groups: int = 1,
        top_groups: int = 1,
        routed_scale: float = 1.0,
        normalise: bool = True,
        balance_loss: float = 1e-4,
        limit: float | None = None,
        init_std: float = 0.02,
    ) -> None:
        super().__init__(
            width=width,
            hidden=hidden,
            experts=experts,
            top_k=top_k,
            shared=shared,
            groups=groups,
            top_groups=top_groups,
            routed_scale=routed_scale,
            normalise=normalise,
            balance_loss=balance_loss,
            limit=limit,
            init_std=init_std,
        )

    def make_experts(self, *, experts: int, init_std: float) -> nn.Module:
        """See `SigmoidBias.make_experts`."""
        return MegaBlocksExperts(experts=experts, width=self.width, hidden=self.hidden, init_std=init_std)

    @classmethod
    def available(cls) -> str | None:
        """None where it runs on this machine; else one line that says what is lacking and how to get it."""
        for package in ("megablocks", "grouped_gemm"):
            if importlib.util.find_spec(package) is None:
                return (
                    f"moe/megablocks: {package} is not installed; pip install "
                    '"vlmloom[megablocks]" on a machine with a GPU, or moe/sigmoid_bias, would be right'
                )
        if not torch.cuda.is_available():
            return "moe/megablocks: runs on CUDA alone, and this machine has no CUDA device"
        return None


def to_megablocks(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the experts of `moe/sigmoid_bias` as those of `moe/megablocks`; all else as it is.

    Raises:
        ValueError: one of an expert's tensors is not there.
    """
    found, converted = _split(state, ONE_FORM)
    for prefix, (gate_up, down) in found.items():
        gate, up = gate_up.chunk(2, dim=1)
        parts = (gate, up, down.transpose(1, 2))
        for name, part in zip(OTHER_FORM, parts, strict=True):
            converted[f"{prefix}{name}"] = part.flatten(0, 1).contiguous()
    return converted


def from_megablocks(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict with the experts of `moe/megablocks` as those of `moe/sigmoid_bias`; all else as it is.

    The number of experts is read from the selection bias beside them.

    Raises:
        ValueError: one of an expert's tensors, or the selection bias, is not there.
    """
    found, converted = _split(state, OTHER_FORM)
    for prefix, parts in found.items():
        bias = f"{prefix.removesuffix('experts.')}selection_bias"
        if bias not in state:
            raise ValueError(f"moe/megablocks: found {prefix}w1 but no {bias}, which tells how many experts")
        w1, v1, w2 = (part.unflatten(0, (len(state[bias]), -1)) for part in parts)
        converted[f"{prefix}gate_up"] = torch.cat([w1, v1], dim=1)
        converted[f"{prefix}down"] = w2.transpose(1, 2).contiguous()
    return converted


def _split(
    state: Mapping[str, Tensor], names: tuple[str, ...]
) -> tuple[dict[str, list[Tensor]], dict[str, Tensor]]:
    """The experts' tensors by their prefix (which ends in `experts.`), and all others."""
    prefixes = {
        key.removesuffix(name): None for key in state for name in names if key.endswith(f"experts.{name}")
    }
    lacking = [f"{prefix}{name}" for prefix in prefixes for name in names if f"{prefix}{name}" not in state]
    if lacking:
        raise ValueError(f"moe/megablocks: the state dict lacks {', '.join(lacking)}")
    found = {prefix: [state[f"{prefix}{name}"] for name in names] for prefix in prefixes}
    taken = {f"{prefix}{name}" for prefix in prefixes for name in names}
    return found, {key: value for key, value in state.items() if key not in taken}
