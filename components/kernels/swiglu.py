"""`swiglu`: the gate of gated linear units, clamped where a model asks for it."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def swiglu(
    gate: Float[Tensor, "*batch hidden"], up: Float[Tensor, "*batch hidden"], limit: float | None = None
) -> Float[Tensor, "*batch hidden"]:
    """`silu(gate) * up`; a limit clamps the gate from above and its partner from both sides.

    Reference: arXiv 2002.05202 (SwiGLU); the clamp is GLM-5.3-Flash's (transformers, models/glm5_next).
    """
    if limit is not None:
        gate, up = gate.clamp(max=limit), up.clamp(-limit, limit)
    return F.silu(gate) * up
