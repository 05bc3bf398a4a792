"""`head/mmtp`: multi-token prediction over sequences with pictures."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.head.mtp import MTPHead, places_ahead
from vlmloom.registry import register

VisualInput = Literal["shared_token", "visual_embedding", "masked"]


@register("head/mmtp")
class MMTPHead(MTPHead):
    """Multimodal multi-token prediction (GLM-5V-Turbo): what the head reads where the next token is visual.

    - `shared_token`: the embedding of `<|image|>`, one learnable token for all (the published choice);
    - `visual_embedding`: the projected visual tokens that the language part read;
    - `masked`: nothing; such places leave the block's sequence, the others keep their positions, and a place
      that leaves carries its hidden state on unchanged.

    Only text is predicted: targets that are visual are ignored.

    Args:
        width: D.
        vocab: V.
        visual_input: see above.
        depth: how many tokens further are predicted.
        shared: one module for all depths, or one each.
        loss_weight: factor on the mean of the depths' losses.
        norm_eps: of the norms.
        init_std: of the projection.

    Raises:
        ValueError: a size is not positive, or there is no such visual input.

    Reference: arXiv 2604.26752, 2.2.
    """

    skip_visual = True

    def __init__(
        self,
        *,
        width: int,
        vocab: int,
        visual_input: VisualInput = "shared_token",
        depth: int = 1,
        shared: bool = True,
        loss_weight: float = 0.3,
        norm_eps: float = 1e-5,
        init_std: float = 0.02,
    ) -> None:
        super().__init__(
            width=width,
            vocab=vocab,
            depth=depth,
            shared=shared,
            loss_weight=loss_weight,
            norm_eps=norm_eps,
            init_std=init_std,
        )
        choices = ("shared_token", "visual_embedding", "masked")
        if visual_input not in choices:
            raise ValueError(f"head/mmtp: visual_input is {visual_input!r}; one of {', '.join(choices)}")
        self.visual_input = visual_input

    def _advance(self, hidden: Tensor, batch: Packed, depth: int) -> tuple[Tensor, Metrics]:
        if self.visual_input == "shared_token":
            # Visual slots hold the placeholder's id, so its embedding is the shared token.
            return super()._advance(hidden, batch, depth)
        ahead = places_ahead(batch, 1 + depth)
        positions = batch.positions.index_select(1, ahead)
        if self.visual_input == "visual_embedding":
            if "inputs_embeds" not in batch.extras:
                raise ValueError(
                    "head/mmtp: visual_input visual_embedding reads batch.extras['inputs_embeds'], "
                    "[T, width], which is not there"
                )
            embedding = batch.extras["inputs_embeds"].index_select(0, ahead)
            return self.step(embedding, hidden, positions, batch.lengths, depth)
        text = batch.modality.index_select(0, ahead) == 0
        kept = text.nonzero().squeeze(1)
        sample = torch.repeat_interleave(
            torch.arange(len(batch.lengths), device=kept.device),
            torch.tensor(batch.lengths, dtype=torch.long, device=kept.device),
            output_size=len(text),
        )
        lengths = torch.bincount(sample[kept], minlength=len(batch.lengths)).tolist()
        embedding = self._parts()[0].embed(batch.ids.index_select(0, ahead[kept]))
        out, metrics = self.step(
            embedding, hidden.index_select(0, kept), positions.index_select(1, kept), lengths, depth
        )
        return hidden.index_copy(0, kept, out.to(hidden.dtype)), metrics
