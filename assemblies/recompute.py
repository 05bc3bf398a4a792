"""Which activations a part keeps for its way back, and which it computes again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import nn
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from vlmloom.components.contracts.component import Component

Policy = Literal["none", "selective", "full"]
"""What is kept of a block: everything; its input and what its attention gives; its input alone."""

ATTENTION = (
    "_scaled_dot_product_flash_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_cudnn_attention",
    "_scaled_dot_product_fused_attention_overrideable",
    "_flash_attention_forward",
    "_efficient_attention_forward",
)
"""PyTorch's fused attention; what is made of other operations (`attention/products`) is computed again."""


def _keep(_: Any, operation: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    name = operation.name().partition("::")[2].partition(".")[0]
    return CheckpointPolicy.MUST_SAVE if name in ATTENTION else CheckpointPolicy.PREFER_RECOMPUTE


class Recomputed:
    """A module's `forward` whose activations are computed again on the way back.

    It stands in the module's own dictionary, so that names, hooks and state dict stay as they are.

    Args:
        forward: the module's own.
        policy: selective or full.
    """

    def __init__(self, forward: Callable[..., Any], policy: Policy) -> None:
        self.forward, self.policy = forward, policy

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it; without gradients there is no way back, and nothing is done about it."""
        if not torch.is_grad_enabled():
            return self.forward(*args, **kwargs)
        how: dict[str, Any] = {"use_reentrant": False}
        if self.policy == "selective":
            how["context_fn"] = partial(create_selective_checkpoint_contexts, _keep)
        return checkpoint(self.forward, *args, **how, **kwargs)


def compute_again(assembly: nn.Module, policies: Mapping[str, Policy] | None) -> None:
    """Let parts of an assembly compute their activations again, a unit (`Component.units`) at a time.

    Values, gradients, names and the state dict stay what they are.

    Args:
        assembly: its direct children are the parts; `head` stands for all heads.
        policies: part -> policy; a part that is left out keeps everything.

    Raises:
        ValueError: there is no such part or policy, or the part has no units.
    """
    parts = dict(assembly.named_children())
    for name, policy in (policies or {}).items():
        units = list(_units(parts[name])) if name in parts else []
        if not units:
            able = ", ".join(part for part, module in parts.items() if list(_units(module)))
            raise ValueError(
                f"recompute.{name}: found "
                + ("a part without units that could be computed again" if name in parts else "no such part")
                + f"; {able} would be right"
            )
        if policy not in get_args(Policy):
            raise ValueError(f"recompute.{name}: found {policy!r}; none, selective or full would be right")
        if policy == "none":
            continue
        for unit in units:
            unit.forward = Recomputed(unit.forward, policy)


def _units(part: nn.Module) -> Iterator[nn.Module]:
    for module in part.children() if isinstance(part, nn.ModuleDict) else [part]:
        if isinstance(module, Component):
            yield from module.units()
