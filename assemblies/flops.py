"""The one account of floating-point operations.

Every component declares the forward FLOPs of its own arithmetic (a multiply-add counts two); this file adds
them up. Routed experts count their top k and causal attention counts half, on every backend alike, so that
two designs are charged for what their mathematics needs and not for how a backend happens to compute it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set

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


def training_flops(
    forward: Mapping[str, int], trainable: Set[str], reads: Mapping[str, Collection[str]] | None = None
) -> int:
    """FLOPs of forward and backward.

    A trained part costs twice its forward again (gradients of its inputs and of its weights). A frozen part
    that reads from a trained one, directly or through others, costs its forward once again, since gradients
    pass through it; any other frozen part costs nothing more.

    A part is counted as a whole, which differs from what is done in two places: the first product of a
    trained part that reads from no trained one needs no gradient of its input, and a multi-token head shares
    tables with other parts, which may be frozen where it trains, or train where it is frozen.

    >>> forward = {"vision": 10, "language": 100, "head.lm": 5, "head.mtp": 20}
    >>> training_flops(forward, {"head.lm"}, {"head.mtp": ["vision", "language"]})
    145

    Args:
        forward: forward FLOPs by part, in the order of the flow.
        trainable: the parts with at least one trained parameter.
        reads: part -> the parts whose output it reads; one that is not named reads all before it.
    """
    total = 0
    moved: dict[str, bool] = {}
    for part, flops in forward.items():
        sources = moved if reads is None or part not in reads else reads[part]
        trains = part in trainable
        passes = any(moved.get(source, False) for source in sources)
        moved[part] = trains or passes
        total += flops * (3 if trains else 2 if passes else 1)
    return total
