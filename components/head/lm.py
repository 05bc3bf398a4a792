"""`head/lm`: next-token prediction."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.head import Head
from vlmloom.components.contracts.language import Language
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.head.cross_entropy import supervised_loss
from vlmloom.components.kernels import linear
from vlmloom.registry import register


@register("head/lm")
class LMHead(Head):
    """Next-token head: logits over the vocabulary, by a matrix of its own or the tied embedding.

    Args:
        width: D, of the hidden states.
        vocab: V.
        tied: use the language part's output matrix, which is its embedding but in `language/hf`, by reference
            (see `bind`).
        init_std: of the matrix.

    Raises:
        ValueError: a size is not positive.
    """

    unembed: nn.Linear | None

    def __init__(self, *, width: int, vocab: int, tied: bool = False, init_std: float = 0.02) -> None:
        super().__init__()
        for name, value in (("width", width), ("vocab", vocab)):
            if value < 1:
                raise ValueError(f"head/lm: {name} is {value}; it must be at least 1")
        self.width, self.vocab, self.tied = width, vocab, tied
        self.unembed = None if tied else nn.Linear(width, vocab, bias=False)
        if self.unembed is not None:
            nn.init.normal_(self.unembed.weight, std=init_std)
        # In a tuple, a module is no child: its parameters are not counted twice.
        self._bound: tuple[Language, ...] = ()

    def bind(self, language: Language, lm: Head | None = None) -> None:
        """Take the language part whose embedding is shared where weights are tied.

        Raises:
            ValueError: its width or vocabulary is another, or its own output matrix would lie idle.
        """
        if (language.width, language.vocab) != (self.width, self.vocab):
            raise ValueError(
                f"head/lm: width {self.width} and vocab {self.vocab}, but the language part has width "
                f"{language.width} and vocab {language.vocab}"
            )
        if not self.tied and language.output_matrix is not language.embed.weight:
            raise ValueError(
                f"head/lm: {language.registered_name} brings an output matrix of its own; tied: true uses it"
            )
        self._bound = (language,)

    @property
    def weight(self) -> Tensor:
        """The output matrix `[V, D]`.

        Raises:
            RuntimeError: weights are tied, but no language part was bound.
        """
        if self.unembed is not None:
            return self.unembed.weight
        if not self._bound:
            raise RuntimeError("head/lm: tied weights need bind(language) first")
        return self._bound[0].output_matrix

    def forward(self, hidden: Float[Tensor, "tokens width"], batch: Packed) -> tuple[Tensor, Metrics]:
        """The next-token loss over the batch, divided by its normaliser; `loss` and `accuracy`."""
        loss, accuracy = supervised_loss(hidden, batch, 1, self.weight)
        return loss, {"loss": loss.detach(), "accuracy": accuracy}

    def logits(self, hidden: Float[Tensor, "*tokens width"]) -> Float[Tensor, "*tokens vocab"]:
        """Logits at every place that is handed in."""
        return linear(hidden, self.weight)

    def logprobs(
        self, hidden: Float[Tensor, "tokens width"], ids: Int[Tensor, "tokens"], chunk: int = 1024
    ) -> Float[Tensor, "tokens"]:
        """Log-probability of `ids[t]` under the logits of `hidden[t]` (the caller shifts).

        Logits exist for `chunk` tokens at a time; with gradients they are computed again on the way back.
        """

        def some(part: Tensor, targets: Tensor) -> Tensor:
            return -F.cross_entropy(self.logits(part).float(), targets, reduction="none")

        pieces = []
        for part, targets in zip(hidden.split(chunk), ids.split(chunk), strict=True):
            if torch.is_grad_enabled() and len(hidden) > chunk:
                pieces.append(checkpoint(some, part, targets, use_reentrant=False))
            else:
                pieces.append(some(part, targets))
        return torch.cat(pieces)

    def flops(self, lengths: Sequence[int], targets: int) -> int:
        """Forward FLOPs: the output matrix at supervised places."""
        return 2 * targets * self.width * self.vocab

    def shapes(self, spec: Spec) -> Spec:
        """Hidden states of `width` in, logits out."""
        spec.need("head/lm", "hidden", self.width)
        return Spec("logits", self.vocab)
