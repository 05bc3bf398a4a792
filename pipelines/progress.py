"""The progress bar of a stage: how much of the budget is spent, pace, and when it will be done."""

from __future__ import annotations

import sys
from typing import Any, cast

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from torch import nn

from vlmloom.pipelines.loom import Loom

REFRESH_STEPS = 5
PLAIN_LINES = 10
"""Where no terminal watches, a stage prints this many lines instead of a bar."""


class BudgetBar(ProgressBar):
    """A bar over the stage's share of the budget, with loss, tokens/s, visual share, expert load and ETA."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self.console = console or Console(file=sys.stderr)
        self._bar: Progress | None = None
        self._task: Any = None
        self._told = 0
        self._tells = True

    def disable(self) -> None:
        """See `ProgressBar.disable`."""
        self._enabled = False

    def enable(self) -> None:
        """See `ProgressBar.enable`."""
        self._enabled = True

    _enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar."""
        loom = cast(Loom, pl_module)
        self._told = int(loom.progress * PLAIN_LINES)
        self._tells = True
        if not self._enabled or not self.console.is_terminal:
            return
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[told]}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=self.console,
        )
        self._bar.start()
        self._task = self._bar.add_task(loom.stage.name, total=1.0, told="")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar."""
        loom = cast(Loom, pl_module)
        progress = loom.progress
        if self._tells and self._enabled:
            self._tells = False
            for case, picked in sorted(picks(loom.model).items()):
                self.console.print(f"  {case}: {picked}", soft_wrap=True, highlight=False)
        if self._bar is not None and (batch_idx % REFRESH_STEPS == 0 or progress >= 1.0):
            self._bar.update(self._task, completed=progress, told=self.line(loom))
        elif self._bar is None and self._enabled and int(progress * PLAIN_LINES) > self._told:
            self._told = int(progress * PLAIN_LINES)
            self.console.print(
                f"{loom.stage.name} {progress:4.0%} {self.line(loom)}", soft_wrap=True, highlight=False
            )

    def line(self, loom: Loom) -> str:
        """Loss, tokens/s, visual share and, with experts, the busiest expert's load over the mean."""
        pace = loom.pace
        words = [
            f"step {loom.ledger.steps}",
            f"loss {loom.kept_loss or 0.0:.3f}",
            f"{pace.get('tokens_per_second', 0):,.0f} tokens/s",
            f"visual {pace.get('visual_share', 0):.0%}",
        ]
        if loom.load is not None:
            words.append(f"expert load {loom.load:.1f}x")
        return "  ".join(words)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the bar."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def picks(module: nn.Module) -> dict[str, str]:
    """What parts of a model have chosen by themselves (`auto`)."""
    return {case: picked for part in module.modules() for case, picked in getattr(part, "picks", {}).items()}
