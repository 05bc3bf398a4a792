"""Accuracy on the validation split while a design trains, for its learning curve."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from vlmloom.pipelines.answering import Answerer
from vlmloom.pipelines.evaluate import judged
from vlmloom.pipelines.experiment import Experiment

POINTS = 4
"""How often in a stage that trains on questions."""
ITEMS = 12
"""Items a category at each point."""


class ValidationCurve(Callback):
    """Points of accuracy on the curve; their time is not charged to the design."""

    def __init__(self, experiment: Experiment, points: int = POINTS, items: int = ITEMS) -> None:
        self.experiment, self.points, self.items = experiment, points, items

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure when another part of the stage is done."""
        loom: Any = pl_module
        last = loom.stage is self.experiment.stages[-1]
        if not last or loom.stage.view == "scenes":
            return
        measured = sum(
            "accuracy" in point and point["stage"] == loom.stage.name for point in loom.ledger.curve
        )
        if loom.progress * self.points < measured + 1:
            return
        ledger, clock = loom.ledger, time.perf_counter()
        accuracy = self.accuracy(loom)
        loom.pause(time.perf_counter() - clock)
        ledger.curve.append(loom.point() | {"accuracy": accuracy})

    def accuracy(self, loom: Any) -> float:
        """Mean over the visual categories."""
        modes = {name: part.training for name, part in loom.model.parts().items()}
        loom.model.eval()
        answerer = Answerer(self.experiment)
        suite = self.experiment.data.suite
        means = []
        for task in suite.tasks.values():
            if task.visual:
                samples = [task.plan("validation", index) for index in range(self.items)]
                values = [judged(task, sample, answer) for sample, answer, _ in answerer.stream(samples)]
                means.append(sum(values) / len(values))
        for name, part in loom.model.parts().items():
            part.train(modes[name])
        return sum(means) / max(len(means), 1)
