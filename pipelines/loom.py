"""`Loom`: the root LightningModule, which trains one stage of an experiment.

Only the root logs and has hooks. It descends the stage's objective, keeps the ledger of what was spent, sets
the learning rate by the progress through the stage's share of the budget, and stops when that share is spent.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import replace
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from vlmloom.assemblies.flops import training_flops
from vlmloom.components.contracts.component import Component, scores
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.contracts.visuals import Pictures
from vlmloom.pipelines.experiment import Budget, Stage
from vlmloom.pipelines.ledger import Ledger
from vlmloom.pipelines.patterns import matches, part_names, unmatched
from vlmloom.registry.errors import UserError

CURVE_POINTS = 200
"""About how many points of its learning curve a stage keeps."""


class Loom(LightningModule):
    """One stage: a model, an objective, an optimizer recipe and a share of the budget."""

    def __init__(
        self, model: Component, stage: Stage, budget: Budget, *, limit: float, ledger: Ledger | None = None
    ) -> None:
        """Freeze what the stage does not train.

        Args:
            model: an assembly, or a component that trains alone.
            stage: what to do with it.
            budget: of the whole experiment; only its unit matters here.
            limit: what the stage may spend, in the budget's unit.
            ledger: what earlier stages have spent.
        """
        super().__init__()
        self.model, self.stage, self.unit, self.limit = model, stage, budget.unit, limit
        # An objective's own parameters train along, and stand in every checkpoint.
        self.objective = stage.objective
        self.ledger = ledger or Ledger()
        self.start = self.ledger.spent(self.unit)
        self.pace: dict[str, float] = {}
        self.trained = freeze(model, stage.train, stage.name)
        own = sum(parameter.numel() for parameter in self.objective.parameters())
        if own:
            self.trained["objective"] = (own, own)
        self.trained_parts = {name for name, (trains, _) in self.trained.items() if trains}
        self._clock: float | None = None
        self._paused = 0.0
        self.kept_loss: float | None = None
        self.kept_parts: dict[str, Tensor] = {}
        self.load: float | None = None
        self.capacity = 0

    @property
    def progress(self) -> float:
        """How much of the stage's share is spent, 0 to 1."""
        return min(1.0, (self.ledger.spent(self.unit) - self.start) / self.limit)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One optimizer; the stage's factors on the learning rate by part."""
        groups: dict[float, list[tuple[str, torch.nn.Parameter]]] = {}
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                factor = next(
                    (value for part, value in self.stage.learning_rates.items() if matches(name, part)), 1.0
                )
                groups.setdefault(factor, []).append((name, parameter))
        own = [(f"objective.{name}", parameter) for name, parameter in self.objective.named_parameters()]
        groups.setdefault(1.0, []).extend(own)
        return self.stage.optimizer.build([(named, factor) for factor, named in groups.items()])

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move what is a tensor; Lightning's own walk refuses the frozen parts of a batch."""
        if isinstance(batch, Pictures):
            return replace(batch, frames=[frame.to(device) for frame in batch.frames])
        return batch.to(device)

    def on_fit_start(self) -> None:
        """Frozen parts keep still: no dropout, no running statistics."""
        for name, part in self.model.parts().items():
            part.train(name in self.trained_parts)

    def on_train_start(self) -> None:
        """Start the clock."""
        self._clock = time.perf_counter()

    def training_step(self, batch: Packed | Pictures, batch_idx: int) -> Tensor:
        """The objective's loss; a loss that is not finite stops the run."""
        factor = self.stage.optimizer.schedule(self.optimizers(use_pl_optimizer=False), self.progress)  # type: ignore[arg-type]
        loss, metrics = self.objective(self.model, batch)
        value = float(loss.detach())
        if value != value or value in (float("inf"), float("-inf")):
            raise self._not_finite(value, batch)
        self.kept_loss = value if self.kept_loss is None else 0.98 * self.kept_loss + 0.02 * value
        for name, part in scores(metrics).items():
            self.kept_parts[name] = (
                part.lerp(self.kept_parts[name], 0.98) if name in self.kept_parts else part
            )
        self._account(batch, value)
        if self.global_step % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            scalars = {f"train/{name}": part for name, part in metrics.items() if part.numel() == 1}
            self.log_dict(scalars | {"train/loss": loss.detach(), "train/lr": factor}, batch_size=1)
            self.log_dict({f"pace/{name}": part for name, part in self.pace.items()}, batch_size=1)
        return loss

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, and let parts do what they do after one (a router's selection bias).

        Not before: what is computed again on the way back has to be routed as on the way forth.
        """
        super().optimizer_step(*args, **kwargs)
        loads = [value for name, value in self.model.after_step().items() if name.endswith("/load")]
        self.load = float(max(loads)) if loads else None

    def close_batch(self) -> None:
        """Take the time, keep a point of the curve, stop at the end of the share.

        Called by `Bookkeeping`, since a module's own hook runs after the callbacks', and a checkpoint that is
        saved among those has to hold the ledger of the batch that has just ended.
        """
        now = time.perf_counter()
        spent = now - (self._clock or now) - self._paused
        self._clock, self._paused = now, 0.0
        ledger = self.ledger
        ledger.seconds += spent
        ledger.steps += 1
        tokens, visual, flops = self._last
        self.pace = {
            "tokens_per_second": tokens / max(spent, 1e-9),
            "visual_share": visual / max(tokens, 1),
            "fill": tokens / self.capacity if self.capacity else 1.0,
            "gflops_per_second": flops / max(spent, 1e-9) / 1e9,
        }
        every = max(1, int(self.limit / max(self._pace_of_unit(), 1e-30) / CURVE_POINTS))
        if ledger.steps % every == 0 or self.progress >= 1.0:
            ledger.curve.append(self.point() | {"parts": self._parts()})
        if self.progress >= 1.0:
            self.trainer.should_stop = True

    def point(self) -> dict[str, Any]:
        """Where the training stands, as a point of the learning curve."""
        ledger = self.ledger
        return {
            "stage": self.stage.name,
            "step": ledger.steps,
            "flops": ledger.flops,
            "seconds": round(ledger.seconds, 3),
            "samples": ledger.samples,
            "loss": self.kept_loss,
        }

    def _parts(self) -> dict[str, float]:
        return {name: float(part) for name, part in self.kept_parts.items()}

    def pause(self, seconds: float) -> None:
        """Leave this time out of the ledger: it was not spent on training."""
        self._paused += seconds

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The ledger goes along."""
        checkpoint["ledger"] = self.ledger.state_dict()
        checkpoint["stage"] = {
            "start": self.start,
            "kept_loss": self.kept_loss,
            "kept_parts": self._parts(),
            "name": self.stage.name,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from a checkpoint of this stage."""
        self.ledger = Ledger.from_state(checkpoint["ledger"])
        self.start = checkpoint["stage"]["start"]
        self.kept_loss = checkpoint["stage"]["kept_loss"]
        kept = checkpoint["stage"].get("kept_parts", {})
        self.kept_parts = {name: torch.tensor(value, device=self.device) for name, value in kept.items()}

    def _account(self, batch: Packed | Pictures, loss: float) -> None:
        """Charge a batch to the ledger as it is trained on."""
        ledger = self.ledger
        flops = training_flops(self.objective.flops(self.model, batch), self.trained_parts)
        if isinstance(batch, Packed):
            samples, visual = len(batch.lengths), int(batch.visual_slots.numel())
            tokens = int(batch.ids.numel())
            if not tokens and "vision" in batch.visuals:
                tokens = visual = len(batch.visuals["vision"].patches)
        else:
            samples = len(batch.tags)
            tokens = visual = sum(frame.shape[0] * frame.shape[1] // 256 for frame in batch.frames)
        for fault in batch.extras.get("corrupt", []) if isinstance(batch, Packed) else batch.corrupt:
            if fault not in ledger.corrupt:
                print(f"left out: {fault}", file=sys.stderr)
            ledger.corrupt[fault] += 1
        ledger.labels += labels(batch, self.stage)
        ledger.flops += flops
        ledger.samples += samples
        ledger.tokens += tokens
        ledger.visual += visual
        self._last = (tokens, visual, flops)

    def _pace_of_unit(self) -> float:
        """What a step of this stage spends on average, in the budget's unit."""
        steps = self.ledger.steps - sum(stage["steps"] for stage in self.ledger.stages)
        return (self.ledger.spent(self.unit) - self.start) / max(steps, 1)

    def _not_finite(self, value: float, batch: Packed | Pictures) -> UserError:
        where = ", ".join(f"{tag.task}#{tag.index}" for tag in batch.tags[:4])
        more = f" and {len(batch.tags) - 4} more" if len(batch.tags) > 4 else ""
        folder = self.trainer.checkpoint_callback and self.trainer.checkpoint_callback.best_model_path  # type: ignore[attr-defined]
        last = f"the last good checkpoint is {folder}" if folder else "no checkpoint was written yet"
        return UserError(
            f"{self.stage.name}: the loss is {value} at step {self.global_step}, on {where}{more}; {last}. "
            "A lower learning rate or a check of these items would be right"
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


class Bookkeeping(Callback):
    """Closes each batch in the root's ledger before any other callback looks at it."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """See `Loom.close_batch`."""
        cast(Loom, pl_module).close_batch()


def freeze(model: Component, patterns: list[str], stage: str) -> dict[str, tuple[int, int]]:
    """Let only the parameters that match train; part -> (trained, all) parameters.

    What a part has marked `untrainable`, because no loss of its reaches it, never trains.

    Raises:
        UserError: a pattern matches nothing, or nothing trains.
    """
    unused = unmatched(model, patterns)
    parts = model.parts()
    if unused or not patterns:
        raise UserError(
            f"stage {stage}: train: {', '.join(unused) or 'an empty list'} matches no parameter; "
            f"the parts are {part_names(model)}"
        )
    for name, parameter in model.named_parameters():
        trains = any(matches(name, pattern) for pattern in patterns)
        parameter.requires_grad_(trains and not getattr(parameter, "untrainable", False))
    counts = {}
    for name, part in parts.items():
        sizes = [(parameter.numel(), parameter.requires_grad) for parameter in part.parameters()]
        counts[name] = (sum(size for size, trains in sizes if trains), sum(size for size, _ in sizes))
    return counts
