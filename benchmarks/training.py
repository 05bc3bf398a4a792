"""A training step on a ragged batch: forward, backward, fused AdamW, on both sides."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from benchmarks.batches import Ragged, pack, pad
from benchmarks.models import Shape, build_ours, build_theirs, experts_for, parameters
from benchmarks.timing import PRECISIONS, interleave, median, precision, quickest, trial
from vlmloom.assemblies.native.native import Native
from vlmloom.components.contracts.packed import Packed


def adamw(model: nn.Module) -> AdamW:
    return AdamW(model.parameters(), lr=1e-4, fused=True)


class Ours:
    """Our side of the step."""

    def __init__(self, model: Native, batch: Packed, cast: str, optimizer: AdamW | None = None) -> None:
        self.model, self.batch, self.cast = model.train(), batch, cast
        self.optimizer = optimizer or adamw(model)

    def __call__(self) -> Tensor:
        with precision(self.cast, autocast=True):
            loss, _ = self.model.loss(self.batch)
            loss.backward()
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.model.after_step()
        self.batch.extras.clear()
        return loss.detach()


class Theirs:
    """Their side of the step."""

    def __init__(
        self, model: Any, batch: dict[str, Tensor], experts: str, cast: str, optimizer: AdamW | None = None
    ) -> None:
        self.model, self.batch, self.experts, self.cast = model.train(), batch, experts, cast
        self.optimizer = optimizer or adamw(model)

    def __call__(self) -> Tensor:
        self.model.set_experts_implementation(self.experts)
        with precision(self.cast, autocast=True):
            loss = self.model(**self.batch, use_cache=False).loss
            loss.backward()
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss.detach()


def first_losses(shape: Shape, ragged: Ragged, ours: Native, theirs: Any) -> tuple[float, float]:
    """Losses of both sides in fp32 before any step."""
    with torch.no_grad(), precision("fp32", autocast=False):
        own, _ = ours.loss(pack(ragged, shape, ours))
        return float(own), float(theirs(**pad(ragged, shape, theirs, left=False), use_cache=False).loss)


def run(
    shape: Shape,
    repeats: int,
    tokens: tuple[int, int] = (40, 300),
    count: int = 8,
    sides: tuple[int, int] = (2, 8),
) -> dict[str, Any]:
    """Time both sides, each in its own best precision, the peer with its best experts."""
    ragged = Ragged.draw(shape, count, tokens, pictures=(1, 3), sides=sides)
    ours = build_ours(shape)
    theirs = build_theirs(shape, ours)
    real, padded = ragged.tokens(shape)
    text_losses = first_losses(shape, ragged.without_pictures(), ours, theirs)
    losses = first_losses(shape, ragged, ours, theirs)
    batch, padded_batch = pack(ragged, shape, ours), pad(ragged, shape, theirs, left=False)
    # Trials train copies, so that the timed models start from the weights that were compared.
    tried, peer_tried = copy.deepcopy(ours), copy.deepcopy(theirs)
    optimizer, peer_optimizer = adamw(tried), adamw(peer_tried)
    own_trials = trial({cast: Ours(tried, batch, cast, optimizer) for cast in PRECISIONS})
    peer_trials = trial(
        {
            f"{experts}, {cast}": Theirs(peer_tried, padded_batch, experts, cast, peer_optimizer)
            for experts in experts_for(shape, padded)
            for cast in PRECISIONS
        }
    )
    del tried, peer_tried, optimizer, peer_optimizer
    own_best, peer_best = quickest(own_trials), quickest(peer_trials)
    experts, cast = peer_best.split(", ")
    taken = interleave(
        {"ours": Ours(ours, batch, own_best), "theirs": Theirs(theirs, padded_batch, experts, cast)}, repeats
    )
    mine, other = median(taken["ours"]), median(taken["theirs"])
    return {
        "parameters": {"ours": parameters(ours), "theirs": parameters(theirs)},
        "tokens": {"real": real, "padded": padded, "padding": 1 - real / padded},
        "losses": {"ours": losses[0], "theirs": losses[1]},
        "text_losses": {"ours": text_losses[0], "theirs": text_losses[1]},
        "best": {"ours": own_best, "theirs": peer_best},
        "trials": {"ours": own_trials, "theirs": peer_trials},
        "seconds": taken,
        "tokens_per_second": {"ours": real / mine, "theirs": real / other, "theirs_padded": padded / other},
        "ratio": other / mine,
        "ratio_padding_counted": (real / mine) / (padded / other),
    }
