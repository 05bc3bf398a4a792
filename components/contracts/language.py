"""The contract of the kind `language`: embedded tokens to hidden states."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from vlmloom.components.contracts.cache import Cache
from vlmloom.components.contracts.component import Component, Metrics
from vlmloom.components.contracts.mask import Mask
from vlmloom.components.contracts.packed import Layout


class Language(Component):
    """Hidden states in, final-normed hidden states out. Owns the embedding and the rotary positions.

    Attributes:
        width: of the hidden states.
        vocab: the number of token ids.
        embed: ids to `[T, width]`.
        max_positions: the longest context that the positions allow; None allows any.
        tapped: the outputs of the layers that the last `forward` was asked for.
    """

    width: int
    vocab: int
    embed: nn.Module
    max_positions: int | None = None
    tapped: dict[int, Tensor]

    @abstractmethod
    def forward(
        self,
        hidden: Float[Tensor, "tokens width"],
        positions: Tensor | None,
        lengths: Sequence[int],
        mask: Mask | None = None,
        inject: dict[int, Tensor] | None = None,
        visual_slots: Tensor | None = None,
        cache: Cache | None = None,
        taps: Sequence[int] = (),
    ) -> tuple[Float[Tensor, "tokens width"], Metrics]:
        """Run the blocks over packed samples.

        Args:
            hidden: `[T, width]` token and visual embeddings.
            positions: `[3, T]`; None with a cache, where text goes on.
            lengths: of the samples; with a cache, of the new tokens of each sequence.
            mask: None is causal.
            inject: layer -> `[V, width]`, added at `visual_slots` after that layer (DeepStack).
            visual_slots: `[V]`.
            cache: what has been read before; it is extended.
            taps: layers whose outputs are wanted, found in `self.tapped` afterwards.
        """

    @property
    def output_matrix(self) -> Tensor:
        """The matrix `[vocab, width]` that `head/lm` uses where its weights are tied: the embedding's."""
        return self.embed.weight  # type: ignore[return-value]

    @abstractmethod
    def positions(self, layout: Layout) -> np.ndarray:
        """Rotary positions `[3, length]` of one sample. Pure and tensor-free."""

    @abstractmethod
    def cache(self, batch: int, capacity: int) -> Cache:
        """An empty cache for `batch` sequences of at most `capacity` tokens."""

    def make_block(self) -> nn.Module:
        """A fresh block like this part's last one, for a head that predicts with a block of its own.

        The block has `flops(lengths)` and `active_parameters()`; `run_block` runs it.
        """
        raise NotImplementedError(f"{type(self).__name__} offers no block to a multi-token head")

    def run_block(
        self,
        block: nn.Module,
        hidden: Tensor,
        positions: Tensor,
        lengths: Sequence[int],
        mask: Mask | None = None,
        cache: Cache | None = None,
    ) -> tuple[Tensor, Metrics]:
        """Run such a block over `[T, width]` with this part's rotary positions and attention.

        Args:
            block: from `make_block`.
            hidden: `[T, width]`.
            positions: `[3, T]`.
            lengths: of the samples; with a cache, of the new tokens of each sequence.
            mask: None is causal.
            cache: from `block_cache`; it is extended.
        """
        raise NotImplementedError(f"{type(self).__name__} offers no block to a multi-token head")

    def block_cache(self, batch: int, capacity: int) -> Cache:
        """An empty cache of one such block."""
        raise NotImplementedError(f"{type(self).__name__} offers no block to a multi-token head")

    def become_tower(self) -> None:
        """Give up the words: what is left are the blocks and the last norm, for patches of pictures.

        The embedding goes; of `[3, T]` positions rows and columns alone turn queries and keys, each half of
        what is rotated; `flops` counts full attention, which `forward` takes by `mask=Bidirectional()`.

        Raises:
            ValueError: it cannot.
        """
        raise ValueError(
            f"{self.registered_name}: its attention stays causal, so it becomes no tower; language/glm would "
            "be right"
        )

    @abstractmethod
    def flops(self, lengths: Sequence[int]) -> int:
        """Forward FLOPs for samples of these lengths; causal attention counts half."""
