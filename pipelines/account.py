"""What one batch costs and holds, as it is charged to the ledger."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from vlmloom.assemblies.flops import training_flops
from vlmloom.components.contracts.component import Component
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.contracts.visuals import Pictures
from vlmloom.pipelines.experiment import Stage


@dataclass
class Account:
    """A batch, or the batches of all processes together.

    Attributes:
        loss: the mean over processes.
        flops: of forward and backward.
        samples: in the batch.
        tokens: visual ones included.
        visual: visual tokens among them.
        labels: by kind (see `labels`).
        corrupt: pictures that could not be decoded, by their message.
        items: the first samples where the loss is not finite, by name.
    """

    loss: float
    flops: float
    samples: int
    tokens: int
    visual: int
    labels: Counter[str]
    corrupt: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, batch: Packed | Pictures, loss: float, model: Component, stage: Stage, trained: set[str]
    ) -> Account:
        """The account of one batch."""
        flops = training_flops(stage.objective.flops(model, batch), trained, model.reads())
        if isinstance(batch, Packed):
            samples, visual = len(batch.lengths), int(batch.visual_slots.numel())
            tokens = int(batch.ids.numel())
            if not tokens and "vision" in batch.visuals:
                tokens = visual = len(batch.visuals["vision"].patches)
            corrupt = batch.extras.get("corrupt", [])
        else:
            samples, corrupt = len(batch.tags), batch.corrupt
            tokens = visual = sum(frame.shape[0] * frame.shape[1] // 256 for frame in batch.frames)
        items = [] if math.isfinite(loss) else [f"{tag.task}#{tag.index}" for tag in batch.tags]
        return cls(loss, flops, samples, tokens, visual, labels(batch, stage), list(corrupt), items)

    @classmethod
    def total(cls, accounts: list[Account]) -> Account:
        """The batches of all processes as one: the mean of their losses, the sum of all else."""
        return cls(
            sum(one.loss for one in accounts) / len(accounts),
            sum(one.flops for one in accounts),
            sum(one.samples for one in accounts),
            sum(one.tokens for one in accounts),
            sum(one.visual for one in accounts),
            sum((one.labels for one in accounts), Counter()),
            [fault for one in accounts for fault in one.corrupt],
            [item for one in accounts for item in one.items],
        )


def labels(batch: Packed | Pictures, stage: Stage) -> Counter[str]:
    """How many labels of each kind a batch trains on.

    Answers count under their task, captions as `caption`, answers to a scene told in words as `answer from
    words`; what a specialist is trained on counts under the task that asks for the same (box, name, colour,
    read). Writing has a name too (`word`, `cell`); that a thing has no colour is no label.
    """
    if not stage.objective.supervised:
        return Counter()
    if isinstance(batch, Packed):
        aside = {"captions": "caption", "described": "answer from words"}.get(stage.view)
        return Counter(aside or tag.task for tag in batch.tags)
    things = [thing for frame in batch.things for thing in frame]
    kinds = {
        "box": len(things),
        "name": len(things),
        "colour": sum(bool(thing.colour) for thing in things),
        "read": sum(bool(thing.text) for thing in things),
    }
    taught = {"detector": ("box",), "tagger": ("name", "colour"), "reader": ("read",)}
    part = str(getattr(stage.objective, "part", None))
    return Counter({kind: kinds[kind] for kind in taught.get(part, tuple(kinds)) if kinds[kind]})
