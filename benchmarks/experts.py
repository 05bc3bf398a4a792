"""One block of experts, forward and backward, beside glm4v_moe's and beside its bare matrix products."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from benchmarks.models import Shape, build_ours, build_theirs, experts_for
from benchmarks.timing import PRECISIONS, Run, contests, median, precision
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.moe import SigmoidBias

GOALS = {"fp32": 1.1, "best": 1.5}


def build(shape: Shape) -> tuple[SigmoidBias, Any, Any]:
    """The first block of experts of both models, with equal weights, and the peer's whole model."""
    ours = build_ours(shape)
    theirs = build_theirs(shape, ours)
    block = cast(SigmoidBias, ours.language.get_submodule("blocks.1.ffn"))
    return block.train(), theirs.model.language_model.layers[1].mlp.train(), theirs


def ours_step(block: SigmoidBias, x: Tensor, slope: Tensor, cast: str) -> Run:
    lengths = [len(x)]

    def run() -> None:
        with precision(cast, autocast=True):
            out, _ = block(x, lengths)
        out.backward(slope.to(out.dtype))
        block.zero_grad(set_to_none=True)
        x.grad = None

    return run


def theirs_step(mlp: Any, model: Any, x: Tensor, slope: Tensor, experts: str, cast: str) -> Run:
    def run() -> None:
        model.set_experts_implementation(experts)
        with precision(cast, autocast=True):
            out = mlp(x[None])[0]
        out.backward(slope.to(out.dtype))
        mlp.zero_grad(set_to_none=True)
        x.grad = None

    return run


class Bare:
    """The matrix products of a block alone, on rows that are sorted already, in memory that is there already.

    Every linear map takes three: forth, back to its input, and back to its weight.
    """

    def __init__(self, block: SigmoidBias, x: Tensor) -> None:
        with torch.no_grad():
            _, chosen, _ = block.route(x)
        counts = torch.bincount(chosen.flatten(), minlength=len(block.router)).tolist()
        shared = cast(SwiGLU, block.shared)
        self.products: list[tuple[Tensor, Tensor, Tensor]] = []
        maps = [
            (block.experts.gate_up.detach().unbind(), counts),
            (block.experts.down.detach().unbind(), counts),
            ([shared.gate_up.weight.detach()], [len(x)]),
            ([shared.down.weight.detach()], [len(x)]),
            ([block.router.detach()], [len(x)]),
        ]
        for weights, rows in maps:
            wide, narrow = weights[0].shape
            given, gone = torch.randn(sum(rows), narrow), torch.randn(sum(rows), wide)
            forth, back = torch.empty_like(gone), torch.empty_like(given)
            for weight, *parts in zip(
                weights, *(all_.split(rows) for all_ in (given, gone, forth, back)), strict=True
            ):
                own, slope, out, to_own = parts
                if len(own):
                    self.products += [
                        (own, weight.t(), out),
                        (slope, weight, to_own),
                        (slope.t(), own, torch.empty_like(weight)),
                    ]

    @property
    def flops(self) -> int:
        return sum(2 * one.shape[0] * one.shape[1] * other.shape[1] for one, other, _ in self.products)

    def __call__(self) -> None:
        for one, other, out in self.products:
            torch.mm(one, other, out=out)


def run(shape: Shape, repeats: int, tokens: int = 2048) -> dict[str, Any]:
    """Time both sides and the bare products, by turns."""
    block, mlp, model = build(shape)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(tokens, shape.width, generator=generator)
    slope = torch.randn(tokens, shape.width, generator=generator)
    with torch.no_grad(), precision("fp32", autocast=False):
        apart = float((block(x, [tokens])[0] - mlp(x[None])[0]).abs().max())
    x.requires_grad_()
    bare = Bare(block, x)
    found = contests(
        "experts",
        {cast: ours_step(block, x, slope, cast) for cast in PRECISIONS},
        {
            f"{experts}, {cast}": theirs_step(mlp, model, x, slope, experts, cast)
            for experts in experts_for(shape, tokens)
            for cast in PRECISIONS
        },
        repeats=repeats,
        count=tokens,
        goals=GOALS,
        beside={"bare": bare},
    )
    for contest in found:
        products = median(contest["seconds"]["bare"])
        contest["over_bare"] = {
            side: median(contest["seconds"][side]) / products for side in ("ours", "theirs")
        }
    return {"apart": apart, "gflop": bare.flops / 1e9, "contests": found}


def notes(found: dict[str, Any]) -> list[str]:
    first = found["contests"][0]
    products, over = median(first["seconds"]["bare"]), first["over_bare"]
    return [
        f"The bare matrix products, without dispatch, in fp32: {products:.3f} s, "
        f"{found['gflop'] / products:.0f} GFLOP/s. Ours takes {over['ours']:.2f} times as long, the peer "
        f"{over['theirs']:.2f} times, which is all the ratio could come to. Weights are equal: outputs "
        f"differ by {found['apart']:.0e} at most.",
    ]
