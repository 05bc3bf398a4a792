"""`moe/sigmoid_bias`: GLM-4.5's mixture of experts, balanced by a selection bias instead of a strong loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.ffn import FFN
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.moe.experts import Backend, Experts, sort_by_expert
from vlmloom.registry import register
from vlmloom.registry.errors import below_one, refuse


@register("moe/sigmoid_bias")
class SigmoidBias(FFN):
    """GLM-4.5's experts: a sigmoid router whose selection bias moves against the load, a shared expert.

    The bias takes part in selection only; weights are the unbiased scores of the chosen experts, normalised
    to sum to `routed_scale`. It is a buffer, moved once an optimizer step by `update_selection_bias`.

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
        backend: `auto`, `loop` or `grouped_mm`; what was picked stands in `experts.picked`.
        init_std: of the weights.

    Raises:
        ValueError: numbers of experts, groups and choices do not fit together.

    Reference: arXiv 2508.06471, 2408.15664 (the bias), 2412.19437 (the loss, eq. 17 to 20); transformers,
    models/glm4v_moe/modeling_glm4v_moe.py (Glm4vMoeTextTopkRouter, Glm4vMoeTextMoE).
    """

    selection_bias: Tensor
    load: Tensor

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
        backend: Backend = "auto",
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        refused = below_one(width=width, hidden=hidden, experts=experts, groups=groups)
        if backend not in ("auto", "loop", "grouped_mm"):
            refused.append(f"backend is {backend!r}; one of auto, loop, grouped_mm")
        if groups > 0 and experts > 0:
            reachable = experts // groups * top_groups
            if experts % groups:
                refused.append(f"groups {groups} do not divide experts {experts}")
            elif groups > 1 and experts // groups < 2:
                refused.append(f"groups {groups} of experts {experts} hold fewer than 2 experts each")
            if not 1 <= top_groups <= groups:
                refused.append(f"top_groups is {top_groups}; it must be from 1 to groups {groups}")
            elif not 1 <= top_k <= reachable:
                refused.append(f"top_k is {top_k}; it must be from 1 to the {reachable} open experts")
        refuse("moe/sigmoid_bias", refused)
        self.width, self.hidden, self.top_k = width, hidden, top_k
        self.groups, self.top_groups = groups, top_groups
        self.routed_scale, self.normalise, self.balance_loss, self.limit = (
            routed_scale,
            normalise,
            balance_loss,
            limit,
        )
        self.router = nn.Parameter(torch.empty(experts, width).normal_(std=init_std))
        self.backend: Backend = backend
        self.experts = self.make_experts(experts=experts, init_std=init_std)
        self.shared = None if shared is None else shared(width=width)
        self.register_buffer("selection_bias", torch.zeros(experts, dtype=torch.float32))
        self.register_buffer("load", torch.zeros(experts, dtype=torch.float32))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        # A cast of the model to bf16 must not touch the bias, whose steps of 1e-3 would vanish, nor the load.
        kept = {name: getattr(self, name) for name in ("selection_bias", "load")}
        super()._apply(fn, recurse)
        for name, value in kept.items():
            moved = getattr(self, name)
            if moved.dtype != torch.float32:
                setattr(self, name, moved.float() if value.is_meta else value.to(moved.device))
        return self

    def make_experts(self, *, experts: int, init_std: float) -> nn.Module:
        """The routed experts; called once, when sizes and backend are known."""
        return Experts(
            experts=experts, width=self.width, hidden=self.hidden, backend=self.backend, init_std=init_std
        )

    def route(
        self, x: Float[Tensor, "tokens width"]
    ) -> tuple[
        Float[Tensor, "tokens experts"], Int[Tensor, "tokens choices"], Float[Tensor, "tokens choices"]
    ]:
        """Choose experts.

        Returns:
            The sigmoid scores, the chosen experts and their weights, at least in fp32 where they are real.
        """
        with torch.autocast(x.device.type, enabled=False):
            dtype = torch.promote_types(x.dtype, torch.float32)
            scores = F.linear(x.to(dtype), self.router.to(dtype)).sigmoid()
            with torch.no_grad():
                biased = scores + self.selection_bias
                if self.groups > 1:
                    grouped = biased.unflatten(-1, (self.groups, -1))
                    strength = grouped.topk(2, dim=-1).values.sum(-1)
                    open_groups = torch.zeros_like(strength, dtype=torch.bool)
                    open_groups.scatter_(1, strength.topk(self.top_groups, dim=-1).indices, True)
                    biased = grouped.masked_fill(~open_groups[..., None], -torch.inf).flatten(1)
                chosen = biased.topk(self.top_k, dim=-1, sorted=False).indices
            shares = scores.gather(1, chosen)
            if self.normalise:
                shares = shares / (shares.sum(-1, keepdim=True) + 1e-20)
            return scores, chosen, shares * self.routed_scale

    def forward(
        self, x: Float[Tensor, "tokens width"], lengths: Sequence[int]
    ) -> tuple[Float[Tensor, "tokens width"], Metrics]:
        """Route, transform, add the shared expert.

        Returns:
            `[T, D]`; `loss/expert_balance` (with its coefficient, to be added to the loss) and `expert_load`,
            the load of the busiest expert over the mean load (1 is balance).
        """
        scores, chosen, shares = self.route(x)
        order = sort_by_expert(chosen, len(self.router))
        out = self.experts(x, shares, order, self.limit).to(x.dtype)
        if self.shared is not None:
            out = out + self.shared(x, lengths)[0]
        load = order.counts.to(self.load.dtype)
        self._count(load)
        metrics = {"expert_load": load.max() * len(load) / load.sum().clamp(min=1)}
        if self.balance_loss:
            metrics["loss/expert_balance"] = self.balance_loss * self._imbalance(scores, chosen, lengths)
        return out, metrics

    def infer(self, x: Float[Tensor, "tokens width"]) -> Float[Tensor, "tokens width"]:
        """See `FFN.infer`; a compiled program looks the experts of a few tokens up, and sorts nothing."""
        _, chosen, shares = self.route(x)
        if isinstance(self.experts, Experts) and self.experts.are_few(chosen):
            out = self.experts.of_few(x, chosen, shares, self.limit)
        else:
            out = self.experts(x, shares, sort_by_expert(chosen, len(self.router)), self.limit).to(x.dtype)
        return out if self.shared is None else out + self.shared.infer(x)

    def _imbalance(self, scores: Tensor, chosen: Tensor, lengths: Sequence[int]) -> Tensor:
        """Mean over samples of sum_e f_e * P_e: 1 at balance, up to E / K where K experts take everything.

        f_e is the share of a sample's assignments that go to expert e, times E, and P_e the mean of its
        normalised scores.
        """
        experts = scores.shape[1]
        device = scores.device
        held = [length for length in lengths if length]
        if not held:
            return scores.sum() * 0.0
        sizes = torch.tensor(held, device=device)
        sample = torch.repeat_interleave(
            torch.arange(len(held), device=device), sizes, output_size=len(scores)
        )
        with torch.no_grad():
            place = (sample[:, None] * experts + chosen).flatten()
            counts = torch.bincount(place, minlength=len(held) * experts).view(-1, experts)
            frequency = counts * experts / (self.top_k * sizes[:, None])
            # The mean of P over a sample, weighted by f, is a sum over its tokens.
            weight = (frequency / (sizes[:, None] * len(held))).index_select(0, sample)
        return (scores / scores.sum(-1, keepdim=True) * weight).sum()

    @torch.no_grad()
    def _count(self, load: Tensor) -> None:
        # A forward pass inside a backward pass is activation recompute: its tokens have been counted.
        if self.training and torch._C._current_graph_task_id() == -1:
            self.load += load

    @torch.no_grad()
    def update_selection_bias(self, rate: float = 1e-3) -> Metrics:
        """Move the bias of every expert by `rate` against its load, and start counting anew.

        The root calls it once an optimizer step, on every rank: loads are summed over ranks and micro-steps.

        Returns:
            `load`: of the busiest expert over the mean load, of the whole step; 0 where there was no token.
        """
        load = self.load
        if distributed.is_available() and distributed.is_initialized():
            distributed.all_reduce(load)
        self.selection_bias += rate * torch.sign(load.mean() - load)
        busiest = load.max() * len(load) / load.sum().clamp(min=1)
        load.zero_()
        return {"load": busiest}

    def flops(self, tokens: int) -> int:
        """Forward FLOPs: router, the top k experts and their weighted sum, the shared expert."""
        routed = tokens * self.top_k * self.width * (6 * self.hidden + 2)
        shared = 0 if self.shared is None else self.shared.flops(tokens)
        return routed + shared + 2 * tokens * self.width * len(self.router)

    def active_parameters(self) -> int:
        """The parameters that one token uses."""
        shared = 0 if self.shared is None else self.shared.active_parameters()
        return self.router.numel() + 3 * self.top_k * self.width * self.hidden + shared

    def shapes(self, spec: Spec) -> Spec:
        """Hidden states of `width` in and out."""
        spec.need("moe/sigmoid_bias", "hidden", self.width)
        return spec
