"""A training step on a ragged batch: forward, backward, fused AdamW, on both sides."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from benchmarks.batches import Ragged, pack, pad
from benchmarks.models import Shape, build_ours, build_theirs, experts_for, parameters
from benchmarks.timing import PRECISIONS, contests, precision, trial
from vlmloom.assemblies.native.native import Native
from vlmloom.components.contracts.packed import Packed

GOALS = {"fp32": 1.6, "best": 2.0}


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
    optimizer, peer_optimizer = adamw(ours), adamw(theirs)
    own_runs = {cast: Ours(ours, batch, cast, optimizer) for cast in own_trials}
    peer_runs = {}
    for name in peer_trials:
        experts, cast = name.split(", ")
        peer_runs[name] = Theirs(theirs, padded_batch, experts, cast, peer_optimizer)
    found = contests(
        "training step",
        own_runs,
        peer_runs,
        repeats=repeats,
        count=real,
        goals=GOALS,
        trials=(own_trials, peer_trials),
    )
    for contest in found:
        contest["ratio_padding_counted"] = contest["ratio"] * real / padded
    return {
        "parameters": {"ours": parameters(ours), "theirs": parameters(theirs)},
        "tokens": {"real": real, "padded": padded, "padding": 1 - real / padded},
        "losses": {"ours": losses[0], "theirs": losses[1]},
        "text_losses": {"ours": text_losses[0], "theirs": text_losses[1]},
        "contests": found,
    }


def notes(found: dict[str, Any]) -> list[str]:
    tokens, losses, text = found["tokens"], found["losses"], found["text_losses"]
    sizes = {side: count / 1e6 for side, count in found["parameters"].items()}
    counted = ", ".join(f"{contest['ratio_padding_counted']:.2f}" for contest in found["contests"])
    return [
        f"{tokens['real']} real tokens; the peer computes {tokens['padded']}, {tokens['padding']:.0%} of "
        f"them padding. With its padding counted as work the ratio is {counted}.",
        f"Parameters: {sizes['ours']:.1f} M and {sizes['theirs']:.1f} M. Language weights are equal: the "
        f"first loss on the text alone is {text['ours']:.5f} and {text['theirs']:.5f}.",
        "Vision weights cannot be equal: CogViT norms queries and keys, the peer's tower norms its patches "
        "and adds learned positions. Widths and depths are equal; the first loss with pictures is "
        f"{losses['ours']:.5f} and {losses['theirs']:.5f}.",
    ]
