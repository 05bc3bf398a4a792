"""`Loom`: the root LightningModule, which trains one stage of an experiment.

Only the root logs and has hooks. It descends the stage's objective, keeps the ledger of what was spent, sets
the learning rate by the progress through the stage's share of the budget, and stops when that share is spent.
"""

from __future__ import annotations

import math
import sys
import time
from dataclasses import replace
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from vlmloom.components.contracts.component import Component, Metrics, scores
from vlmloom.components.contracts.factors import Factors
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.contracts.visuals import Pictures
from vlmloom.pipelines import ranks
from vlmloom.pipelines.account import Account
from vlmloom.pipelines.experiment import Budget, Stage
from vlmloom.pipelines.freeze import freeze
from vlmloom.pipelines.ledger import Ledger
from vlmloom.pipelines.sharded import clip_norm, shard, sharded_copy
from vlmloom.registry.errors import UserError

EMPTY = 20
"""After so many batches in a row whose pictures are all corrupt, a stage stops."""
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
        self._micro: list[tuple[float, Metrics]] = []
        self._lost, self._empty = 0.0, 0
        self._stepped = False
        self._factor = 1.0
        self.kept_loss: float | None = None
        self.kept_parts: dict[str, Tensor] = {}
        self.load: float | None = None
        self.capacity = 0

    @property
    def progress(self) -> float:
        """How much of the stage's share is spent, 0 to 1."""
        return min(1.0, (self.ledger.spent(self.unit) - self.start) / self.limit)

    def configure_model(self) -> None:
        """Where the strategy shards, train a copy in shards; see `pipelines.sharded`."""
        if self.device_mesh is not None:
            self.model = sharded_copy(self.model, self.objective)
            apart = getattr(self.trainer.strategy, "expert_parallel", False)
            shard(self, self.device_mesh["data_parallel"], expert_parallel=apart)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One optimizer; learning rates, weight decays and courses by part, as the stage says."""
        groups: dict[Factors, list[tuple[str, torch.nn.Parameter]]] = {}
        for name, parameter in self.model.named_parameters():
            if parameter.requires_grad:
                groups.setdefault(self.stage.factors(name), []).append((name, parameter))
        own = [(f"objective.{name}", parameter) for name, parameter in self.objective.named_parameters()]
        groups.setdefault(Factors(), []).extend(own)
        return self.stage.optimizer.build([(named, factors) for factors, named in groups.items()])

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

    def forward(self, batch: Packed | Pictures) -> tuple[Tensor, Metrics]:
        """The objective's loss and its parts; the root's own shards are gathered around this call."""
        return self.objective(self.model, batch)

    def training_step(self, batch: Packed | Pictures, batch_idx: int) -> Tensor:
        """The objective's loss; a loss that is not finite stops the run, on all processes at once."""
        if not self._micro:
            self._factor = self.stage.optimizer.schedule(
                self.optimizers(use_pl_optimizer=False),  # type: ignore[arg-type]
                self.progress,
            )
        if isinstance(batch, Packed):
            self.weigh(batch)
        loss, metrics = self(batch)
        own = Account.of(batch, float(loss.detach()), self.model, self.stage, self.trained_parts)
        account = Account.total(ranks.gathered(own))
        if not math.isfinite(account.loss):
            raise self._not_finite(account)
        self._micro.append((account.loss, scores(metrics)))
        self._charge(account)
        # The steps of which Lightning writes a row.
        if (self.global_step + 1) % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            scalars = {f"train/{name}": part for name, part in metrics.items() if part.numel() == 1}
            self.log_dict(scalars | {"train/loss": account.loss, "train/lr": self._factor}, batch_size=1)
            self.log_dict({f"pace/{name}": part for name, part in self.pace.items()}, batch_size=1)
        return loss

    def weigh(self, batch: Packed) -> None:
        """Take the weights of corrupt pictures out of the normaliser: the sum is then of what is there.

        Those of all processes count, and those of earlier micro-batches of the same optimizer step. With one
        micro-batch a step this is exact; with several, an earlier one was descended before a later one was
        drawn, and its loss is too small by the share of the step that is lost after it.
        """
        if not self._micro:
            self._lost = 0.0
        self._lost += sum(ranks.gathered(batch.extras.get("lost_weight", 0.0)))
        if self._lost:
            packs = self.trainer.world_size * self.trainer.accumulate_grad_batches
            batch.normaliser = max(batch.normaliser * packs - self._lost, 1.0) / packs

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm over all shards where there are any."""
        if self.device_mesh is None or gradient_clip_algorithm == "value" or not gradient_clip_val:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        else:
            clip_norm(self.parameters(), gradient_clip_val)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, and let objective and parts do what they do after one (a router's selection bias).

        Not before: what is computed again on the way back has to be routed as on the way forth.
        """
        super().optimizer_step(*args, **kwargs)
        self.objective.after_step(self.model, self.progress)
        loads = [value for name, value in self.model.after_step().items() if name.endswith("/load")]
        # None where no expert had a token to learn from: there are none, or they are frozen.
        self.load = float(max(loads, default=0.0)) or None
        self._stepped = True

    def close_batch(self) -> None:
        """Take the time, keep a point of the curve, stop at the end of the share.

        Called by `Bookkeeping`, since a module's own hook runs after the callbacks', and a checkpoint that is
        saved among those has to hold the ledger of the batch that has just ended.
        """
        now = time.perf_counter()
        spent = max(ranks.gathered(now - (self._clock or now) - self._paused))
        self._clock, self._paused = now, 0.0
        ledger = self.ledger
        ledger.seconds += spent
        tokens, visual, flops = self._last
        self.pace = {
            "tokens_per_second": tokens / max(spent, 1e-9),
            "visual_share": visual / max(tokens, 1),
            "fill": tokens / self.capacity if self.capacity else 1.0,
            "gflops_per_second": flops / max(spent, 1e-9) / 1e9,
        }
        if self._stepped:
            self._close_step()

    def _close_step(self) -> None:
        """Keep what the micro-batches of an optimizer step have told; a point of the curve; stop in time."""
        ledger, self._stepped = self.ledger, False
        ledger.steps += 1
        loss = sum(value for value, _ in self._micro) / len(self._micro)
        self.kept_loss = loss if self.kept_loss is None else 0.98 * self.kept_loss + 0.02 * loss
        for name in self._micro[0][1]:
            part = torch.stack([parts[name] for _, parts in self._micro]).mean()
            kept = self.kept_parts.get(name)
            self.kept_parts[name] = part if kept is None else part.lerp(kept, 0.98)
        self._micro = []
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
        """The mean over processes of what they have kept."""
        each = ranks.gathered({name: float(part) for name, part in self.kept_parts.items()})
        return {name: sum(parts[name] for parts in each) / len(each) for name in each[0]}

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
            "micro_batches": self.trainer.accumulate_grad_batches,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on from a checkpoint of this stage, written by as many processes as may be."""
        self.ledger = Ledger.from_state(checkpoint["ledger"])
        self.start = checkpoint["stage"]["start"]
        self.kept_loss = checkpoint["stage"]["kept_loss"]
        self._align(checkpoint)
        kept = checkpoint["stage"].get("kept_parts", {})
        self.kept_parts = {name: torch.tensor(value, device=self.device) for name, value in kept.items()}

    def _align(self, checkpoint: dict[str, Any]) -> None:
        """Count batches as this Trainer does: an optimizer step may have had another number of them."""
        before = checkpoint["stage"].get("micro_batches", 1)
        now = self.trainer.accumulate_grad_batches
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        for counts in (progress["total"], progress["current"]):
            for name, count in counts.items():
                counts[name] = count * now // before

    def _charge(self, account: Account) -> None:
        """Charge the batches of all processes to the ledger as they are trained on."""
        ledger = self.ledger
        for fault in account.corrupt:
            if fault not in ledger.corrupt and ranks.first():
                print(f"left out: {fault}", file=sys.stderr)
            ledger.corrupt[fault] += 1
        ledger.labels += account.labels
        ledger.flops += account.flops
        ledger.samples += account.samples
        ledger.tokens += account.tokens
        ledger.visual += account.visual
        self._empty = self._empty + 1 if account.corrupt and not account.samples else 0
        if self._empty == EMPTY:
            raise UserError(
                f"{self.stage.name}: not one picture of the last {EMPTY} steps could be decoded, the last of "
                f"them {account.corrupt[-1]}"
            )
        self._last = (account.tokens, account.visual, account.flops)

    def _pace_of_unit(self) -> float:
        """What a step of this stage spends on average, in the budget's unit."""
        steps = self.ledger.steps - sum(stage["steps"] for stage in self.ledger.stages)
        return (self.ledger.spent(self.unit) - self.start) / max(steps, 1)

    def _not_finite(self, account: Account) -> UserError:
        items = account.items
        where = ", ".join(items[:4])
        more = f" and {len(items) - 4} more" if len(items) > 4 else ""
        folder = self.trainer.checkpoint_callback and self.trainer.checkpoint_callback.best_model_path  # type: ignore[attr-defined]
        last = f"the last good checkpoint is {folder}" if folder else "no checkpoint was written yet"
        return UserError(
            f"{self.stage.name}: the loss is {account.loss} at step {self.global_step}, on {where}{more}; "
            f"{last}. A lower learning rate or a check of these items would be right"
        )


class Bookkeeping(Callback):
    """Closes each batch in the root's ledger before any other callback looks at it."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """See `Loom.close_batch`."""
        cast(Loom, pl_module).close_batch()
