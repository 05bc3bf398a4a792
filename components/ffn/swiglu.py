"""`ffn/swiglu`: the gated feed-forward block of GLM."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.ffn import FFN
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.kernels import Linear, swiglu
from vlmloom.registry import register


@register("ffn/swiglu")
class SwiGLU(FFN):
    """Gated feed-forward block: `down(silu(gate(x)) * up(x))`, gate and up in one matrix.

    Args:
        width: D, of the tokens.
        hidden: the inner width.
        bias: whether the matrices have biases (GLM's vision tower has, its language has not).
        limit: GLM-5.3-Flash's clamp, `gate <= limit` and `|up| <= limit`; None leaves both free.
        init_std: of the weights.

    Raises:
        ValueError: a size is not positive.

    Reference: arXiv 2002.05202; transformers, models/glm4v/modeling_glm4v.py (Glm4vTextMLP).
    """

    def __init__(
        self,
        *,
        width: int,
        hidden: int,
        bias: bool = False,
        limit: float | None = None,
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        for name, value in (("width", width), ("hidden", hidden), ("limit", limit)):
            if value is not None and value <= 0:
                raise ValueError(f"ffn/swiglu: {name} is {value}; it must be positive")
        self.width = width
        self.hidden = hidden
        self.limit = limit
        self.gate_up = Linear(width, 2 * hidden, bias=bias)
        self.down = Linear(hidden, width, bias=bias)
        for matrix in (self.gate_up, self.down):
            nn.init.normal_(matrix.weight, std=init_std)
            if bias:
                nn.init.zeros_(matrix.bias)

    def forward(
        self, x: Float[Tensor, "tokens width"], lengths: Sequence[int]
    ) -> tuple[Float[Tensor, "tokens width"], Metrics]:
        """Transform every token alone, `[T, D] -> [T, D]`; `lengths` are not needed."""
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(swiglu(gate, up, self.limit)), {}

    def flops(self, tokens: int) -> int:
        """Forward FLOPs: three matrices of `width * hidden`."""
        return 6 * tokens * self.width * self.hidden

    def shapes(self, spec: Spec) -> Spec:
        """Hidden states of `width` in and out."""
        spec.need("ffn/swiglu", "hidden", self.width)
        return spec
