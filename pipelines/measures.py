"""What a trained model's parts say of themselves on test items: losses, drafts that stand, costs.

No part is known by name. A metric counts whose own name begins with `loss` or `accuracy`; drafts are measured
where a head drafts; `figures` are what a part states without any data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from vlmloom.components.contracts.component import Component, scores
from vlmloom.pipelines.answering import Answerer

BATCHES = 16
"""Each holds an item of every task."""
DRAFTS = 3
"""Asked of every head; one that cannot draft so far drafts as far as it can."""


@dataclass
class Measured:
    """What was measured.

    Attributes:
        values: name -> its value on each batch, None where it has none.
        histograms: name -> value -> how often.
    """

    values: dict[str, list[float | None]] = field(default_factory=dict)
    histograms: dict[str, dict[str, int]] = field(default_factory=dict)


def declared(parts: Mapping[str, nn.Module]) -> dict[str, float]:
    """What parts state of themselves, by `PART/NAME`."""
    return {
        f"{name}/{key}": value
        for name, part in parts.items()
        if isinstance(part, Component)
        for key, value in part.figures().items()
    }


@torch.inference_mode()
def measure(answerer: Answerer, batches: int = BATCHES) -> Measured:
    """Losses by part and accepted drafts on test items, along the route on which the design answers.

    Batch i holds item i of every task, whatever the design is, so that two designs are compared batch by
    batch.

    Args:
        answerer: of a trained run.
        batches: how many.
    """
    measured, drafting = Measured(), _drafting(answerer.assembly)
    for index in range(batches):
        samples = [task.plan("test", index) for task in answerer.data.suite.tasks.values()]
        _, metrics = answerer.assembly.loss(answerer.taught(samples))
        for name, part in scores(metrics).items():
            measured.values.setdefault(name, []).append(float(part))
        for name, drafts in drafting.items():
            acceptance = answerer.acceptance(samples, drafts)
            mean = acceptance.mean if acceptance.gained else None
            measured.values.setdefault(name, []).append(mean)
            counts = measured.histograms.setdefault(name, {})
            for gained, times in acceptance.gained.items():
                counts[str(gained)] = counts.get(str(gained), 0) + times
    return measured


def _drafting(assembly: Any) -> dict[str, int]:
    """The name of the measure and the number of drafts, for the head that drafts in `assembly.stream`."""
    for name, head in getattr(assembly, "heads", dict)().items():
        if drafts := head.reach(DRAFTS):
            return {f"{name}/tokens a forward pass with {drafts} drafts": drafts}
    return {}
