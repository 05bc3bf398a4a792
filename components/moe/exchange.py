"""Tokens to the processes that hold their experts, and back: expert parallelism.

Every process holds E / N whole experts of each mixture, by their order, and its own tokens. With two
processes and four experts, rows of process 0 for experts `[0, 0, 1 | 2, 3]` meet those of process 1 for
`[1 | 2, 2]`: process 0 then holds `[0, 0, 1, 1]` and process 1 `[2, 2, 2, 3]`, each sorted by expert.

Shapes: A rows before, B rows after the exchange, D width, E experts, N processes.

Reference: arXiv 2006.16668 (GShard), arXiv 2401.06066 (DeepSeekMoE).
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, distributed


class _AllToAll(torch.autograd.Function):
    """Rows in pieces of uneven size, one to and one from each process; gradients travel the same way back."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, sent: list[int], received: list[int], group: Any) -> Tensor:
        ctx.way = sent, received, group
        arrived = rows.new_empty(sum(received), *rows.shape[1:])
        distributed.all_to_all_single(arrived, rows.contiguous(), received, sent, group)
        return arrived

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        sent, received, group = ctx.way
        returned = gradient.new_empty(sum(sent), *gradient.shape[1:])
        distributed.all_to_all_single(returned, gradient.contiguous(), sent, received, group)
        return returned, None, None, None


class Exchange:
    """One forward pass' way of rows to the holders of their experts; all processes have to take it.

    Args:
        counts: `[E]` this process's rows of each expert.
        group: of the processes.

    Attributes:
        counts: `[E / N]` rows that arrive here for each expert that is held here.
    """

    def __init__(self, counts: Int[Tensor, "experts"], group: Any) -> None:
        self.group = group
        each = counts.view(distributed.get_world_size(group), -1)
        arriving = torch.empty_like(each)
        distributed.all_to_all_single(arriving, each.contiguous(), group=group)
        self.counts = arriving.sum(0)
        self.sent: list[int] = each.sum(1).tolist()
        self.received: list[int] = arriving.sum(1).tolist()
        local = torch.arange(each.shape[1], device=counts.device).repeat(len(each))
        expert = local.repeat_interleave(arriving.flatten(), output_size=sum(self.received))
        self._sorted = torch.argsort(expert, stable=True)
        self._back = torch.empty_like(self._sorted)
        self._back[self._sorted] = torch.arange(len(expert), device=counts.device)

    def there(self, rows: Float[Tensor, "before width"]) -> Float[Tensor, "after width"]:
        """Rows sorted by expert to the holders of the experts, sorted by expert again."""
        return _AllToAll.apply(rows, self.sent, self.received, self.group).index_select(0, self._sorted)

    def back(self, rows: Float[Tensor, "after width"]) -> Float[Tensor, "before width"]:
        """What was made of each row to where it came from, in the order of before."""
        return _AllToAll.apply(rows.index_select(0, self._back), self.received, self.sent, self.group)
