"""The contract of the kind `ffn`: what every token goes through by itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from vlmloom.components.contracts.component import Component, Metrics


class FFN(Component):
    """`[T, D] -> [T, D]`: a dense feed-forward block or a mixture of experts; a slot `ffn` takes either."""

    width: int

    @abstractmethod
    def forward(self, x: Float[Tensor, "tokens width"], lengths: Sequence[int]) -> tuple[Tensor, Metrics]:
        """Transform every token; `lengths` are the samples, for losses that are taken per sequence."""

    def infer(self, x: Float[Tensor, "tokens width"]) -> Float[Tensor, "tokens width"]:
        """What `forward` gives, without its metrics: one call for each new token of an answer."""
        return self(x, [len(x)])[0]

    @abstractmethod
    def flops(self, tokens: int) -> int:
        """Forward FLOPs for so many tokens; routed experts count the top k."""

    def active_parameters(self) -> int:
        """The parameters that one token uses."""
        return sum(parameter.numel() for parameter in self.parameters())
