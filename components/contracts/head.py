"""The contract of the kind `head`: hidden states to a loss, and to guesses ahead."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from vlmloom.components.contracts.component import Component, Metrics
from vlmloom.components.contracts.drafter import Drafter
from vlmloom.components.contracts.language import Language
from vlmloom.components.contracts.packed import Packed


class Head(Component):
    """Hidden states and the batch to a loss; bound to the language part by reference (`bind`)."""

    def bind(self, language: Language, lm: Head | None = None) -> None:
        """Take the language part (and the `lm` head) whose embedding and unembedding are shared.

        References are kept outside the module tree, so that no parameter is counted twice.
        """

    @abstractmethod
    def forward(self, hidden: Float[Tensor, "tokens width"], batch: Packed) -> tuple[Tensor, Metrics]:
        """The loss over the batch, already divided by `batch.normaliser`, and named parts."""

    def reach(self, drafts: int) -> int:
        """How many of so many tokens its drafter can guess ahead; 0 where it does not draft."""
        return 0

    @property
    def drafts(self) -> bool:
        """Whether it has a drafter, which guesses tokens ahead of the language part."""
        return self.reach(1) > 0

    def drafter(self, *, batch: int, capacity: int, depth: int) -> Drafter:
        """A drafter for `batch` sequences of at most `capacity` tokens that guesses `depth` tokens ahead.

        Raises:
            ValueError: it cannot guess so far.
        """
        raise NotImplementedError(f"{type(self).__name__} does not draft")

    @abstractmethod
    def flops(self, lengths: Sequence[int], targets: int) -> int:
        """Forward FLOPs for samples of these lengths with so many supervised tokens."""
