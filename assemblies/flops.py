"""The one account of floating-point operations.

Every component declares the forward FLOPs of its own arithmetic (a multiply-add counts two); this file adds
them up. Routed experts count their top k and causal attention counts half, on every backend alike, so that
two designs are charged for what their mathematics needs and not for how a backend happens to compute it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

from vlmloom.assemblies.assembly import Assembly
from vlmloom.components.contracts.visuals import Grid


def forward_flops(assembly: Assembly, lengths: Sequence[int], grids: Sequence[Grid], targets: int) -> int:
    """FLOPs of one forward pass.

    Args:
        assembly: the model.
        lengths: of the packed samples, visual tokens included.
        grids: the patch grids of all pictures.
        targets: how many tokens are supervised (each costs one row of logits).
    """
    return sum(assembly.forward_flops(lengths, grids, targets).values())


def training_flops(forward: Mapping[str, int], trainable: Set[str]) -> int:
    """FLOPs of forward and backward.

    A trained part costs twice its forward again (gradients of its inputs and of its weights). A frozen part
    behind a trained one costs its forward once again, since gradients pass through it; a frozen part in front
    of all trained ones costs nothing more.

    Args:
        forward: forward FLOPs by part, in the order of the flow.
        trainable: the parts with at least one trained parameter.
    """
    total, reached = 0, False
    for part, flops in forward.items():
        reached = reached or part in trainable
        total += flops * (3 if part in trainable else 2 if reached else 1)
    return total
