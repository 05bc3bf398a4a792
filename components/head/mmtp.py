"""`head/mmtp`: multi-token prediction over sequences with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.head import Head
from vlmloom.components.contracts.language import Language
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.head.boundary import Crossing, boundary_bytes
from vlmloom.components.head.mtp import MTPHead, places_ahead
from vlmloom.components.head.shared_set import Assign, SharedSet
from vlmloom.registry import register

GLM5_WIDTH = 6144
"""Of the published backbone that this head was made for (arXiv 2602.15763)."""

VisualInput = Literal["shared_token", "visual_embedding", "masked", "shared_set"]


@register("head/mmtp")
class MMTPHead(MTPHead):
    """Multimodal multi-token prediction (GLM-5V-Turbo): what the head reads where the next token is visual.

    - `shared_token`: the embedding of `<|image|>`, one learnable token for all (the published choice);
    - `visual_embedding`: the projected visual tokens that the language part read;
    - `masked`: nothing; such places leave the block's sequence, the others keep their positions, and a place
      that leaves carries its hidden state on unchanged;
    - `shared_set`: one of `set_tokens` learned tokens, by the slot's place in its picture or by a router (see
      `SharedSet`).

    Only text is predicted: targets that are visual are ignored.

    Args:
        width: D.
        vocab: V.
        visual_input: see above.
        set_tokens: m, of a shared set; None where there is none.
        assign: how a slot comes to its token of a shared set, by `position` or by `router`.
        balance_loss: coefficient of the router's balance loss.
        depth: how many tokens further are predicted.
        shared: one module for all depths, or one each.
        own_tables: an embedding and an output matrix for each module, as in `head/mtp`.
        loss_weight: factor on the mean of the depths' losses.
        norm_eps: of the norms.
        init_std: of the projection, the tables and the shared set.

    Raises:
        ValueError: a size is not positive, there is no such visual input, or it has no shared set.

    Reference: arXiv 2604.26752, 2.2; the shared set is ours.
    """

    skip_visual = True

    def __init__(
        self,
        *,
        width: int,
        vocab: int,
        visual_input: VisualInput = "shared_token",
        set_tokens: int | None = None,
        assign: Assign = "position",
        balance_loss: float = 0.01,
        depth: int = 1,
        shared: bool = True,
        own_tables: bool = False,
        loss_weight: float = 0.3,
        norm_eps: float = 1e-5,
        init_std: float = 0.02,
    ) -> None:
        super().__init__(
            width=width,
            vocab=vocab,
            depth=depth,
            shared=shared,
            own_tables=own_tables,
            loss_weight=loss_weight,
            norm_eps=norm_eps,
            init_std=init_std,
        )
        choices = ("shared_token", "visual_embedding", "masked", "shared_set")
        if visual_input not in choices:
            raise ValueError(f"head/mmtp: visual_input is {visual_input!r}; one of {', '.join(choices)}")
        if (set_tokens is None) == (visual_input == "shared_set"):
            found = "none" if set_tokens is None else str(set_tokens)
            raise ValueError(
                f"head/mmtp: visual_input {visual_input} with set_tokens {found}; "
                "shared_set has set_tokens, such as 4 or 16, and no other input has"
            )
        self.visual_input = visual_input
        self.leaves_visual_out = visual_input == "masked"
        self.visual_set = None
        if set_tokens is not None:
            self.visual_set = SharedSet(
                width=width, tokens=set_tokens, assign=assign, balance_loss=balance_loss, init_std=init_std
            )

    def bind(self, language: Language, lm: Head | None = None) -> None:
        """See `MTPHead.bind`.

        Raises:
            ValueError: as there; or slots are to be told by positions that do not hold rows and columns.
        """
        super().bind(language, lm)
        if self.visual_set is not None:
            self.visual_set.check(language)

    def visual_tokens(self, batch: Packed) -> tuple[Float[Tensor, "visual width"] | None, Metrics]:
        """What stands at visual slots at this head's input (`masked` leaves these out later).

        None is the embedding of the placeholder, whose id every visual slot holds: the shared token.
        """
        if self.visual_set is not None:
            return self.visual_set(batch)
        if self.visual_input != "visual_embedding":
            return None, {}
        if "inputs_embeds" not in batch.extras:
            raise ValueError(
                "head/mmtp: visual_input visual_embedding reads batch.extras['inputs_embeds'], "
                "[T, width], which is not there"
            )
        return batch.extras["inputs_embeds"].index_select(0, batch.visual_slots), {}

    def advance(
        self, hidden: Float[Tensor, "tokens width"], batch: Packed, depth: int, visual: Tensor | None = None
    ) -> tuple[Float[Tensor, "tokens width"], Metrics]:
        """See `MTPHead.advance`; where visual inputs are masked, on the places whose input is text."""
        if self.visual_input != "masked":
            return super().advance(hidden, batch, depth, visual)
        ahead = places_ahead(batch, 1 + depth)
        text = batch.modality.index_select(0, ahead) == 0
        kept = text.nonzero().squeeze(1)
        sample = torch.repeat_interleave(
            torch.arange(len(batch.lengths), device=kept.device),
            torch.tensor(batch.lengths, dtype=torch.long, device=kept.device),
            output_size=len(text),
        )
        lengths = torch.bincount(sample[kept], minlength=len(batch.lengths)).tolist()
        from_here = ahead.index_select(0, kept)
        out, metrics = self.step(
            self.inputs(batch, visual, depth).index_select(0, from_here),
            hidden.index_select(0, kept),
            batch.positions.index_select(1, from_here),
            lengths,
            depth,
        )
        return hidden.index_copy(0, kept, out.to(hidden.dtype)), metrics

    def flops(self, lengths: Sequence[int], targets: int) -> int:
        """See `MTPHead.flops`; a router's two products are charged as if every token were visual."""
        chosen = self.visual_set
        routed = 0 if chosen is None or chosen.router is None else 4 * sum(lengths) * chosen.router.numel()
        return super().flops(lengths, targets) + routed

    def figures(self) -> dict[str, float]:
        """Bytes that a visual slot sends over a pipeline boundary in a model of GLM-5's width."""
        crossing = self.boundary_bytes(slots=1, width=GLM5_WIDTH)
        return {
            f"boundary bytes a visual slot at width {GLM5_WIDTH}, {way}": float(size)
            for way, size in crossing._asdict().items()
        }

    def boundary_bytes(self, *, slots: int, width: int | None = None, number: int = 2) -> Crossing:
        """Bytes that this head's input sends over a pipeline boundary (see `boundary_bytes`).

        Args:
            slots: visual slots of the sequence.
            width: of a language part of another size; None is this head's own.
            number: bytes of a real number.
        """
        chosen = self.visual_set
        return boundary_bytes(
            self.visual_input,
            width=width or self.width,
            slots=slots,
            set_tokens=1 if chosen is None else chosen.tokens,
            assign="position" if chosen is None else chosen.assign,
            number=number,
        )
