"""Reading ragged prompts into a cache, up to the logits of each next token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.batches import Ragged, pack, pad
from benchmarks.models import Shape, build_ours, build_theirs, experts_for
from benchmarks.timing import contests, precision
from vlmloom.assemblies.native.native import Native

GOALS = {"fp32": 1.3}
ROOM = 64
"""Tokens that the cache has room for after the longest prompt."""


def ours_logits(model: Native, shape: Shape, ragged: Ragged) -> Any:
    """Our side: packed prompts, a preallocated cache."""
    batch, model = pack(ragged, shape, model), model.eval()
    last = batch.boundaries[1:].long() - 1

    def read() -> Tensor:
        with precision("fp32", autocast=False), torch.inference_mode():
            cache = model.language.cache(len(batch.lengths), max(batch.lengths) + ROOM)
            hidden, _ = model.hidden(batch, cache)
            batch.extras.clear()
            return model.logits(hidden[last])

    return read


def theirs_logits(model: Any, shape: Shape, ragged: Ragged, experts: str) -> Any:
    """Their side, padded on the left, as `generate` wants it."""
    batch, model = pad(ragged, shape, model, left=True), model.eval()
    steps = batch["attention_mask"].cumsum(1).sub_(1).clamp_(min=0)
    batch["position_ids"] = steps.expand(3, -1, -1)

    def read() -> Tensor:
        model.set_experts_implementation(experts)
        with precision("fp32", autocast=False), torch.inference_mode():
            return model(**batch, use_cache=True, logits_to_keep=1).logits[:, 0]

    return read


def run(shape: Shape, repeats: int, count: int = 8, tokens: tuple[int, int] = (40, 300)) -> dict[str, Any]:
    """Time both sides on text, where all weights are equal."""
    ours = build_ours(shape)
    theirs = build_theirs(shape, ours)
    ragged = Ragged.draw(shape, count, tokens)
    real, padded = ragged.tokens(shape)
    own = ours_logits(ours, shape, ragged)
    peers = {
        f"{experts}, fp32": theirs_logits(theirs, shape, ragged, experts)
        for experts in experts_for(shape, padded)
    }
    apart = float((own() - peers["eager, fp32"]()).abs().max())
    return {
        "tokens": {"real": real, "padded": padded, "padding": 1 - real / padded},
        "apart": apart,
        "contests": contests(
            f"prefill, {count} ragged prompts",
            {"fp32": own},
            peers,
            repeats=repeats,
            count=real,
            goals=GOALS,
        ),
    }


def notes(found: dict[str, Any]) -> list[str]:
    tokens = found["tokens"]
    return [
        f"{tokens['real']} real tokens; the peer computes {tokens['padded']}, {tokens['padding']:.0%} of "
        f"them padding. Weights are equal: logits of the next tokens differ by {found['apart']:.0e} at most.",
    ]
