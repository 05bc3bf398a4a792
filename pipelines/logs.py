"""Logs that an interruption does not cut."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from vlmloom.pipelines import ranks


class ContinuedCSV(CSVLogger):
    """Lightning's `metrics.csv`, written row by row, that goes on where a run was interrupted.

    Lightning deletes the file of the run before, and holds back a hundred steps of this one.
    """

    def __init__(self, save_dir: Path, *, name: str, version: str) -> None:
        super().__init__(save_dir, name=name, version=version, flush_logs_every_n_steps=1)
        # Read now: the Trainer's first look at the logger deletes it. Only the first process writes rows.
        self._before: list[dict[str, Any]] | None = []
        file = Path(self.log_dir) / "metrics.csv"
        if ranks.first() and file.is_file():
            with file.open(newline="", encoding="utf-8", errors="replace") as held:
                self._before = [row for row in csv.DictReader(held) if (row.get("step") or "").isdigit()]

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:  # type: ignore[override]
        """Write a row; the first keeps those of an earlier attempt that stand before it."""
        if self._before is not None:
            before, self._before = self._before, None
            self.experiment.metrics = [row for row in before if step is None or int(row["step"]) < step]
        super().log_metrics(metrics, step)
