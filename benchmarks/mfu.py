"""What share of the machine's matrix products a stack of width 1024 reaches, forward and backward."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.timing import Run, interleave, median, precision
from vlmloom.components.contracts.packed import Span
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.language import GLM, Layer

GOAL = 0.6
LENGTHS = (160, 96, 224, 64, 192, 32, 128, 128)


def build(width: int, depth: int) -> GLM:
    """Dense layers four times as wide inside, heads of 64, four queries to a key."""
    torch.manual_seed(0)
    heads = max(4, width // 64)
    layers: list[Layer] = [{"ffn": partial(SwiGLU, hidden=4 * width)} for _ in range(depth)]
    return GLM(vocab=8, width=width, depth=depth, heads=heads, kv_heads=heads // 4, layers=layers)


def product(rows: int, inner: int, columns: int) -> tuple[Run, int]:
    """A bare fp32 matrix product and its FLOPs."""
    one, other, out = torch.randn(rows, inner), torch.randn(inner, columns), torch.empty(rows, columns)
    return lambda: torch.mm(one, other, out=out), 2 * rows * inner * columns


def run(_: Any, repeats: int, width: int = 1024, depth: int = 2) -> dict[str, Any]:
    """Time the stack and several products by turns; the peak is the best product's median."""
    model = build(width, depth)
    tokens = sum(LENGTHS)
    positions = torch.from_numpy(np.concatenate([model.positions([Span(n)]) for n in LENGTHS], axis=1))
    hidden = torch.randn(tokens, width).requires_grad_()
    slope = torch.randn(tokens, width)

    def step() -> None:
        out, _ = model(hidden, positions, LENGTHS)
        out.backward(slope)
        model.zero_grad(set_to_none=True)
        hidden.grad = None

    products = {
        f"{rows} x {inner} x {columns}": product(rows, inner, columns)
        for rows, inner, columns in (
            (tokens, width, width),
            (tokens, width, 4 * width),
            (2 * width, 2 * width, 2 * width),
        )
    }
    with precision("fp32", autocast=False):
        taken = interleave({"stack": step, **{name: each for name, (each, _) in products.items()}}, repeats)
    peaks = {name: flops / median(taken[name]) for name, (_, flops) in products.items()}
    # Back to the input and back to the weights each cost what forth costs.
    flops = 3 * model.flops(LENGTHS)
    reached = flops / median(taken["stack"])
    return {
        "width": width,
        "depth": depth,
        "tokens": tokens,
        "model_flops": flops,
        "flops_per_second": reached,
        "peaks": peaks,
        "share": reached / max(peaks.values()),
        "goal": GOAL,
        "seconds": taken,
    }


def notes(found: dict[str, Any]) -> list[str]:
    peaks = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in found["peaks"].items())
    return [
        f"Width {found['width']}, {found['depth']} dense layers, {found['tokens']} tokens in {len(LENGTHS)} "
        f"samples: {found['flops_per_second'] / 1e9:.0f} GFLOP/s in model FLOPs, forward and backward, "
        f"{found['share']:.0%} of the best fp32 matrix product of this run (goal {found['goal']:.0%}). "
        f"Products: {peaks} GFLOP/s.",
    ]
