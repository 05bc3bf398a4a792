"""`SharedSet`: a few learned tokens that stand for all visual tokens at the input of a multi-token head."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.language import Language
from vlmloom.components.contracts.packed import Packed, Span
from vlmloom.registry import name_of

Assign = Literal["position", "router"]


class SharedSet(nn.Module):
    """m learned tokens; each visual slot takes one of them.

    - `position`: tokens are tiles. With m = a * b, a the largest divisor of m that is no larger than its
      root, the slot at row r and column c of its picture takes token `(r mod a) * b + (c mod b)`; m = 4 is

          0 1 0 1
          2 3 2 3
          0 1 0 1

      Rows and columns are read from the rotary positions, so that every stage of a pipeline knows them.
    - `router`: `argmax(softmax(W x))` of the projected visual token x. The choice has no slope, so the
      gradient goes straight through to the softmax: what the loss would gain from each of the m tokens,
      `gradient @ tokens.T`, is the gradient of its m shares. Forward, the number of a token is all that has
      to be sent: one byte a slot for m <= 256.

    Args:
        width: D.
        tokens: m.
        assign: see above.
        balance_loss: coefficient of the router's balance loss, `m * sum_e f_e P_e` over the slots of a batch:
            f_e is the share of slots that take token e, P_e the mean of its softmax share; 1 at balance.
        init_std: of the tokens and the router.

    Raises:
        ValueError: there are fewer than two tokens.

    Reference: straight-through gradient, arXiv 1308.3432; balance loss, arXiv 2101.03961, eq. 4.
    """

    def __init__(
        self, *, width: int, tokens: int, assign: Assign, balance_loss: float, init_std: float
    ) -> None:
        super().__init__()
        if tokens < 2:
            raise ValueError(f"head/mmtp: set_tokens is {tokens}; a shared set has at least 2")
        if assign not in ("position", "router"):
            raise ValueError(f"head/mmtp: assign is {assign!r}; one of position, router")
        self.tokens, self.assign, self.balance_loss = tokens, assign, balance_loss
        # Named as embedding and router, since optimizers tell these from other matrices by their names.
        self.embed = nn.Parameter(torch.empty(tokens, width).normal_(std=init_std))
        self.router = (
            nn.Parameter(torch.empty(tokens, width).normal_(std=init_std)) if assign == "router" else None
        )
        self.rows, self.columns = tile(tokens)

    def check(self, language: Language) -> None:
        """See that a language part's positions tell where in its picture a slot stands.

        Raises:
            ValueError: they do not.
        """
        if self.assign != "position":
            return
        row, column = _places(torch.from_numpy(language.positions([Span(4, (1, 2, 2))])))
        if row.tolist() != [0, 0, 1, 1] or column.tolist() != [0, 1, 0, 1]:
            raise ValueError(
                "head/mmtp: assign position reads rows and columns from rotary positions, and those of "
                f"{name_of(language)} do not hold them; "
                "assign router would be right"
            )

    def forward(self, batch: Packed) -> tuple[Float[Tensor, "visual width"], Metrics]:
        """The token of each visual slot.

        Returns:
            `[V, D]` in the order of `batch.visual_slots`; with a router `loss/set_balance`, to be added to
            the loss, and `set_used`, the number of tokens in use (the exponential of the entropy of f).
        """
        if self.router is None:
            return self.embed.index_select(
                0, self.at(batch.positions.index_select(1, batch.visual_slots))
            ), {}
        if "inputs_embeds" not in batch.extras:
            raise ValueError(
                "head/mmtp: assign router reads the projected visual tokens from "
                "batch.extras['inputs_embeds'], [T, width], which is not there"
            )
        seen = batch.extras["inputs_embeds"].index_select(0, batch.visual_slots)
        with torch.autocast(seen.device.type, enabled=False):
            shares = F.linear(seen.float(), self.router.float()).softmax(-1)
        chosen = shares.argmax(-1)
        # Its value is exactly zero; its gradient is that of the shares.
        through = (shares - shares.detach()).to(self.embed.dtype) @ self.embed.detach()
        taken = torch.bincount(chosen, minlength=self.tokens) / max(len(chosen), 1)
        metrics = {"set_used": torch.special.entr(taken).sum().exp()}
        if self.balance_loss:
            mean = shares.sum(0) / max(len(shares), 1)
            metrics["loss/set_balance"] = self.balance_loss * self.tokens * (taken * mean).sum()
        return self.embed.index_select(0, chosen) + through, metrics

    def at(self, positions: Int[Tensor, "3 visual"]) -> Int[Tensor, "visual"]:
        """The token of slots at these rotary positions, by row and column."""
        row, column = _places(positions)
        return row % self.rows * self.columns + column % self.columns


def tile(tokens: int) -> tuple[int, int]:
    """Rows and columns of the tile that so many tokens make.

    >>> tile(4), tile(16), tile(6), tile(5)
    ((2, 2), (4, 4), (2, 3), (1, 5))
    """
    rows = next(rows for rows in range(int(tokens**0.5), 0, -1) if tokens % rows == 0)
    return rows, tokens // rows


def _places(positions: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column in its picture of slots at rotary positions (time, row, column).

    A picture that starts at s has time s, row s + r and column s + c (`Language.positions`).
    """
    time, row, column = positions
    return row - time, column - time
