"""`Embedding`: token ids to hidden states, with a plain word about ids that are not in the vocabulary."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vlmloom.registry.errors import BadInput


class Embedding(nn.Embedding):
    """`torch.nn.Embedding`; on a CPU an id outside the vocabulary is named (a GPU's kernel asserts).

    Args:
        vocab: number of rows.
        width: of a row.
        init_std: of the weights.
        who: the language part, for the message.
    """

    def __init__(self, vocab: int, width: int, *, init_std: float, who: str) -> None:
        super().__init__(vocab, width)
        self.who = who
        nn.init.normal_(self.weight, std=init_std)

    def forward(self, ids: Tensor) -> Tensor:
        """Look up.

        Raises:
            BadInput: an id is outside the vocabulary.
        """
        try:
            return super().forward(ids)
        except IndexError:
            raise outside(ids, self.num_embeddings, self.who) from None


def outside(ids: Tensor, vocab: int, who: str) -> BadInput:
    """The error for the first id outside the vocabulary."""
    place = int(torch.nonzero((ids < 0) | (ids >= vocab))[0, -1])
    return BadInput(
        f"{who}: id {int(ids.flatten()[place])} at place {place} is outside the vocabulary of {vocab}; "
        f"ids are 0 to {vocab - 1}"
    )
