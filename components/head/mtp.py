"""`head/mtp`: multi-token prediction, a decoder block that reads a hidden state and the token after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vlmloom.components.contracts.cache import Cache
from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.head import Head
from vlmloom.components.contracts.language import Language
from vlmloom.components.contracts.packed import Packed, shift
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.head.cross_entropy import supervised_loss
from vlmloom.components.head.drafting import MTPDrafter
from vlmloom.components.head.lm import LMHead
from vlmloom.components.kernels import Linear, RMSNorm, linear
from vlmloom.registry import register
from vlmloom.registry.depth import MOST


class MTPModule(nn.Module):
    """One step ahead: `norm(block(eh_proj([enorm(embedding), hnorm(hidden)])))`.

    Args:
        width: D.
        block: a decoder block of the backbone's kind.
        norm_eps: of the three norms.
        init_std: of the projection and the tables.
        tables: the vocabulary of an embedding and an output matrix of its own, or None.

    Reference: arXiv 2412.19437, 2.2; transformers, modeling_layers.py (MtpLayer).
    """

    embed: nn.Embedding | None
    unembed: nn.Linear | None

    def __init__(
        self, *, width: int, block: nn.Module, norm_eps: float, init_std: float, tables: int | None = None
    ) -> None:
        super().__init__()
        self.enorm = RMSNorm(width, eps=norm_eps)
        self.hnorm = RMSNorm(width, eps=norm_eps)
        self.eh_proj = Linear(2 * width, width, bias=False)
        self.block = block
        self.post_norm = RMSNorm(width, eps=norm_eps)
        nn.init.normal_(self.eh_proj.weight, std=init_std)
        self.embed = self.unembed = None
        if tables is not None:
            self.embed = nn.Embedding(tables, width)
            self.unembed = nn.Linear(width, tables, bias=False)
            for table in (self.embed, self.unembed):
                nn.init.normal_(table.weight, std=init_std)

    def forward(
        self,
        embedding: Tensor,
        hidden: Tensor,
        positions: Tensor,
        lengths: Sequence[int],
        language: Language,
        cache: Cache | None = None,
    ) -> tuple[Tensor, Metrics]:
        """Both `[T, D]` -> `[T, D]`, normed; the next depth reads the same."""
        joined = self.eh_proj(torch.cat([self.enorm(embedding), self.hnorm(hidden)], dim=-1))
        out, metrics = language.run_block(self.block, joined, positions, lengths, cache=cache)
        return self.post_norm(out), metrics


@register("head/mtp")
class MTPHead(Head):
    """Multi-token prediction: depth k predicts the token k + 1 further on than the next-token head.

    At depth k (from 0) the hidden state of token t and the embedding of token t + 1 + k predict token
    t + 2 + k; depth k + 1 reads the normed output of depth k. Embedding and output matrix belong to the
    language part and the `lm` head and are used by reference, unless the modules have tables of their own.
    Nothing crosses the end of a sample.

    Args:
        width: D.
        vocab: V.
        depth: how many tokens further are predicted.
        shared: one module for all depths (GLM-5, GLM-OCR), or one each (DeepSeek-V3).
        own_tables: each module has an embedding and an output matrix of its own, as released checkpoints
            store them (copies of the trunk's when training ended).
        loss_weight: factor on the mean of the depths' losses (GLM-4.5: 0.3, later 0.1).
        norm_eps: of the norms.
        init_std: of the projection and the tables.

    Raises:
        ValueError: a size is not positive.

    Reference: arXiv 2412.19437, 2508.06471, 2602.15763; transformers, modeling_layers.py (MtpModel).
    """

    skip_visual = False
    leaves_visual_out = False

    def __init__(
        self,
        *,
        width: int,
        vocab: int,
        depth: int = 1,
        shared: bool = False,
        own_tables: bool = False,
        loss_weight: float = 0.3,
        norm_eps: float = 1e-5,
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        for name, value in (("width", width), ("vocab", vocab), ("depth", depth)):
            if value < 1:
                raise ValueError(f"{self.registered_name}: {name} is {value}; it must be at least 1")
        if depth > MOST:
            raise ValueError(f"{self.registered_name}: depth is {depth}; up to {MOST} would be right")
        self.width, self.vocab, self.depth, self.shared = width, vocab, depth, shared
        self.own_tables = own_tables
        self.loss_weight, self.norm_eps, self.init_std = loss_weight, norm_eps, init_std
        self.steps = nn.ModuleList()
        self._bound: tuple[Language, LMHead] | None = None

    def bind(self, language: Language, lm: Head | None = None) -> None:
        """Take the language part and the `lm` head, and make the modules out of its kind of block.

        Raises:
            ValueError: the width is another, or there is no `lm` head.
        """
        if not isinstance(lm, LMHead):
            raise ValueError(
                f"{self.registered_name}: it predicts with the matrix of a head/lm, but there is no such head"
            )
        if language.width != self.width:
            raise ValueError(
                f"{self.registered_name}: width {self.width}, but the language's is {language.width}"
            )
        self._bound = (language, lm)
        if not len(self.steps):
            for _ in range(1 if self.shared else self.depth):
                module = MTPModule(
                    width=self.width,
                    block=language.make_block(),
                    norm_eps=self.norm_eps,
                    init_std=self.init_std,
                    tables=self.vocab if self.own_tables else None,
                )
                self.steps.append(module)

    @property
    def bound(self) -> tuple[Language, LMHead]:
        """The language part and the `lm` head.

        Raises:
            RuntimeError: nothing was bound yet.
        """
        if self._bound is None:
            raise RuntimeError(f"{self.registered_name}: bind(language, lm) comes before the first use")
        return self._bound

    def step(
        self,
        embed_next: Float[Tensor, "tokens width"],
        hidden: Float[Tensor, "tokens width"],
        positions: Int[Tensor, "3 tokens"],
        lengths: Sequence[int],
        depth: int = 0,
        cache: Cache | None = None,
    ) -> tuple[Float[Tensor, "tokens width"], Metrics]:
        """One depth: hidden states `[T, D]` from which `head/lm` reads the token after the next.

        Args:
            embed_next: embedding of the token `depth + 1` after each place.
            hidden: of the trunk, or of the depth before.
            positions: of the tokens that `embed_next` embeds.
            lengths: of the samples.
            depth: which module.
            cache: what this depth has read of these sequences; it is extended.
        """
        language, _ = self.bound
        return self._module(depth)(embed_next, hidden, positions, lengths, language, cache)

    def units(self) -> list[nn.Module]:
        """See `Component.units`: the modules' blocks; their own tables are read from outside."""
        return [cast(MTPModule, step).block for step in self.steps]

    def _module(self, depth: int) -> MTPModule:
        return cast(MTPModule, self.steps[0 if self.shared else depth])

    def embed(self, ids: Int[Tensor, "tokens"], depth: int = 0) -> Float[Tensor, "tokens width"]:
        """The embeddings that a depth reads: the language part's, or the module's own."""
        language, _ = self.bound
        own = self._module(depth).embed
        return language.embed(ids) if own is None else own(ids)

    def output(self, depth: int = 0) -> Float[Tensor, "vocab width"]:
        """The output matrix that a depth predicts with: the `lm` head's, or the module's own."""
        _, lm = self.bound
        own = self._module(depth).unembed
        return lm.weight if own is None else own.weight

    def logits(
        self, hidden: Float[Tensor, "*tokens width"], depth: int = 0
    ) -> Float[Tensor, "*tokens vocab"]:
        """What a depth predicts from its own states."""
        return linear(hidden, self.output(depth))

    def forward(self, hidden: Float[Tensor, "tokens width"], batch: Packed) -> tuple[Tensor, Metrics]:
        """The mean loss of the depths times `loss_weight`.

        Returns:
            The loss; `loss` (mean over depths, before the factor), `loss_k` and `accuracy_k` of the kth
            depth, from 1, and what the blocks report.
        """
        losses: list[Tensor] = []
        visual, metrics = self.visual_tokens(batch)
        for depth in range(self.depth):
            hidden, parts = self.advance(hidden, batch, depth, visual)
            loss, accuracy = supervised_loss(hidden, batch, 2 + depth, self.output(depth), self.skip_visual)
            losses.append(loss)
            metrics[f"loss_{depth + 1}"], metrics[f"accuracy_{depth + 1}"] = loss.detach(), accuracy
            for name, value in parts.items():
                share = value if name.startswith("loss/") else value / self.depth
                metrics[name] = metrics[name] + share if name in metrics else share
        loss = torch.stack(losses).mean()
        return self.loss_weight * loss, {"loss": loss.detach(), **metrics}

    def visual_tokens(self, batch: Packed) -> tuple[Float[Tensor, "visual width"] | None, Metrics]:
        """What stands at visual slots at this head's input; None is the embedding of the placeholder."""
        return None, {}

    def advance(
        self, hidden: Float[Tensor, "tokens width"], batch: Packed, depth: int, visual: Tensor | None = None
    ) -> tuple[Float[Tensor, "tokens width"], Metrics]:
        """The hidden states after one depth, from those of the depth before (the trunk's at depth 0).

        Args:
            hidden: `[T, width]`.
            batch: the pack.
            depth: from 0.
            visual: `[V, width]`, from `visual_tokens`.
        """
        ahead = places_ahead(batch, 1 + depth)
        inputs = self.inputs(batch, visual, depth).index_select(0, ahead)
        return self.step(inputs, hidden, batch.positions.index_select(1, ahead), batch.lengths, depth)

    def inputs(self, batch: Packed, visual: Tensor | None, depth: int = 0) -> Float[Tensor, "tokens width"]:
        """What stands for each token at a depth: its embedding, or at visual slots what `visual` holds."""
        embedded = self.embed(batch.ids, depth)
        return embedded if visual is None else embedded.index_copy(0, batch.visual_slots, visual.to(embedded))

    def reach(self, drafts: int) -> int:
        """See `Head.reach`; shared modules draft further than they were trained to, others one token each."""
        return drafts if self.shared else min(drafts, self.depth)

    def drafter(self, *, batch: int, capacity: int, depth: int) -> MTPDrafter:
        """See `Head.drafter`.

        Raises:
            ValueError: there are fewer modules of their own.
        """
        if not 1 <= depth <= self.reach(depth):
            raise ValueError(
                f"{self.registered_name}: {depth} drafts were asked for; "
                + ("1 or more" if self.shared else f"1 to {self.depth}, a module each,")
                + " would be right"
            )
        return MTPDrafter(self, batch=batch, capacity=capacity, depth=depth)

    def flops(self, lengths: Sequence[int], targets: int) -> int:
        """Forward FLOPs: projection, block and output matrix of every depth."""
        _, lm = self.bound
        block = self.steps[0].block.flops(lengths)  # type: ignore[union-attr, operator]
        return self.depth * (4 * sum(lengths) * self.width**2 + block + lm.flops(lengths, targets))

    def shapes(self, spec: Spec) -> Spec:
        """Hidden states of `width` in, logits out."""
        spec.need(self.registered_name, "hidden", self.width)
        return Spec("logits", self.vocab)


def places_ahead(batch: Packed, by: int) -> Tensor:
    """`[T]` the place `by` tokens later in the same sample; the last places of a sample stay where they are.

    What a place reads beyond its sample's end is trained on by nobody and seen by nobody before it.
    """
    own = torch.arange(len(batch.ids), device=batch.ids.device)
    ahead = shift(own, batch.boundaries, by, -1)
    return torch.where(ahead < 0, own, ahead)
