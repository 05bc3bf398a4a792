"""`precision: auto`: what this machine multiplies fastest, measured."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import torch

FILE = "precision.json"
"""In the folder of a run: what was measured when it began, so that it goes on in the same."""
WORTH = 1.1
"""A lower precision is taken only where it is this much faster."""
TURNS = 16
"""How often each precision is timed; the first turn warms up."""


@dataclass(frozen=True)
class Precision:
    """What to train in.

    Attributes:
        trainer: Lightning's `precision` flag.
        matmul: the argument of `torch.set_float32_matmul_precision`.
        why: one line with the measurement.
    """

    trainer: str
    matmul: str
    why: str

    def apply(self) -> None:
        """Set the process's precision of fp32 matrix products."""
        torch.set_float32_matmul_precision(self.matmul)


def choose(wanted: str, width: int = 256, folder: Path | None = None) -> Precision:
    """Resolve `auto`, or take what the user says.

    On a GPU that has bf16, autocast to bf16. On a CPU, fp32, with its matrix products in bf16 passes
    (`medium`) where that is measured to be faster at this width; whole nano steps under bf16 autocast were
    slower than fp32, since casts outweigh such small products.

    Args:
        wanted: `auto`, or one of Lightning's precisions.
        width: of the matrices to measure with.
        folder: of the run; where it has measured before, that is kept to.
    """
    if wanted != "auto":
        return Precision(wanted, torch.get_float32_matmul_precision(), f"precision {wanted}, as asked")
    if torch.cuda.is_available() and torch.cuda.is_bf16_supported():
        return Precision("bf16-mixed", "high", "precision bf16-mixed: this GPU has bf16")
    if folder is not None and (folder / FILE).exists():
        matmul = json.loads((folder / FILE).read_text(encoding="utf-8"))["matmul"]
        return Precision("32-true", matmul, f"precision 32-true, matmul {matmul}: as it began")
    seconds = _seconds(width)
    gain = seconds["highest"] / seconds["medium"]
    matmul = "medium" if gain > WORTH else "highest"
    return Precision(
        "32-true",
        matmul,
        f"precision 32-true, matmul {matmul}: medium is {gain:.1f} x at width {width} on this CPU",
    )


def _seconds(width: int) -> dict[str, float]:
    """Least seconds of an fp32 product by precision, in turns: other work on the machine only adds."""
    before = torch.get_float32_matmul_precision()
    left, right = torch.ones(2048, width), torch.ones(width, width)
    times: dict[str, list[float]] = {"highest": [], "medium": []}
    try:
        for turn in range(TURNS):
            for matmul, taken in times.items():
                torch.set_float32_matmul_precision(matmul)
                start = time.perf_counter()
                left @ right
                if turn:
                    taken.append(time.perf_counter() - start)
    finally:
        torch.set_float32_matmul_precision(before)
    return {matmul: min(taken) for matmul, taken in times.items()}
