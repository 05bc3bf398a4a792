"""One of several processes that train an experiment together, one way after another.

Arguments: a folder, and `WAY` or `WAY:RUN` for each training; it leaves the run's folder there, and beside it
`WAY.json` with what every process has found: the losses of its optimizer steps, or the lines of an error.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from lightning.pytorch import Callback, Trainer
from processes import together
from rich.console import Console

from vlmloom.pipelines import ranks
from vlmloom.pipelines.loading import build_experiment, compose_experiment
from vlmloom.pipelines.quiet import quiet
from vlmloom.pipelines.run import train
from vlmloom.registry.errors import UserError

TINY = Path(__file__).parents[1] / "pipelines" / "tiny.yaml"
LATE = TINY.with_name("siglip2.yaml")
FSDP2 = {"accelerator": "cpu", "devices": 2, "strategy": "fsdp2"}
EXPERTS = FSDP2 | {"strategy": "fsdp2_expert_parallel"}
DDP = FSDP2 | {"strategy": "ddp"}
ONE = {"accelerator": "cpu", "accumulate_grad_batches": 2}
"""As many packs a step as two processes have."""
EXACT = "stages.0.optimizer.precision=float32"
"""In bfloat16, Muon's products round what differs in the last bit to what differs in the third digit."""
SHORT = ("data.pack_tokens=36", "budget.samples=40", "seed=1")
"""So few tokens that some packs have no picture."""
AGAIN = "assembly.recompute={language: full, head: selective}"
DENSE = "assembly.language.layers.1.ffn={use: ffn/swiglu, hidden: 16}"
NANO = "nano/native"
NANO_SHORT = (
    *("trainer.precision=32-true", "data.pack_tokens=1024"),
    *("budget.samples=400", "budget.flops=null", "checkpoint_every_n_steps=2"),
)
"""Eight optimizer steps of two packs."""
STOPPED = 5
"""Optimizer steps before a run that is to be gone on with is stopped."""


class Losses(Callback):
    """Notes the loss of every optimizer step, all micro-batches and processes together."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        values = [value for value, _ in pl_module._micro]
        self.found.append(sum(values) / len(values))


class Stop(Callback):
    """Ends the run as a mistake would."""

    def __init__(self, steps: int = STOPPED) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.steps:
            raise UserError("stopped")


class Poison(Callback):
    """Not a number on the last process alone."""

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 2 and trainer.global_rank == trainer.world_size - 1:
            batch.weights.fill_(float("nan"))


class Mixed(Callback):
    """Sees to it that the packs of some step had pictures on one process alone."""

    def __init__(self) -> None:
        self.seen: set[tuple[bool, ...]] = set()

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.seen.add(tuple(ranks.gathered(bool(batch.visuals["vision"].weight))))

    def on_train_end(self, trainer, pl_module):
        assert {(True, False), (False, True)} & self.seen, self.seen


def run(
    folder: Path,
    flags: dict,
    *callbacks: Callback,
    source: str | Path = TINY,
    sets: Sequence[str] = (),
    swaps: Sequence[str] = (),
) -> list[float]:
    """Train with these flags of the Trainer, as the command line gives them; the loss of every step."""
    losses = Losses()
    in_shards = "fsdp2" in flags.get("strategy", "")
    composed = compose_experiment(source, sets=[EXACT, *sets], swaps=swaps)
    experiment, resolved = build_experiment(composed, in_shards=in_shards)
    train(
        experiment,
        folder,
        resolved=resolved,
        make_trainer=lambda **given: Trainer(**(given | flags)),
        console=Console(quiet=True),
        callbacks=[losses, *callbacks],
    )
    assert not in_shards or any(parameter.is_meta for parameter in experiment.subject.parameters())
    return losses.found


def nano(folder: Path, flags: dict, *callbacks: Callback) -> list[float]:
    """The first steps of the native design at nano scale, as it is shipped but for the precision."""
    return run(folder, flags, *callbacks, source=NANO, sets=NANO_SHORT)


WAYS: dict[str, Callable[[Path], list[float]]] = {
    "fsdp2": lambda folder: run(folder, FSDP2),
    "stopped": lambda folder: run(folder, FSDP2, Stop()),
    "gone_on": lambda folder: run(folder, FSDP2),
    "ddp": lambda folder: run(folder, DDP, Mixed(), sets=SHORT),
    "mixed": lambda folder: run(folder, FSDP2, Mixed(), sets=SHORT),
    "experts": lambda folder: run(folder, EXPERTS, Mixed(), sets=(*SHORT, AGAIN)),
    "uneven": lambda folder: run(folder, EXPERTS, sets=("assembly.language.layers.1.ffn.experts=3",)),
    "dense": lambda folder: run(folder, EXPERTS, swaps=(DENSE,)),
    "nano": lambda folder: nano(folder, FSDP2),
    "nano_experts": lambda folder: nano(folder, EXPERTS),
    "nano_stopped": lambda folder: nano(folder, FSDP2, Stop(3)),
    "nano_experts_stopped": lambda folder: nano(folder, EXPERTS, Stop(3)),
    "late": lambda folder: run(folder, DDP, source=LATE),
    "late_in_shards": lambda folder: run(folder, FSDP2, source=LATE),
    "poisoned": lambda folder: run(folder, FSDP2, Poison()),
}


def two(out: Path, *ways: str) -> dict[str, list]:
    """Both processes' findings by way."""
    codes, errors = together(*[[__file__, out, *ways]] * 2)
    assert codes == [0, 0], "\n".join(errors)[-3000:]
    return {way: json.loads((out / f"{way.partition(':')[0]}.json").read_text()) for way in ways}


def main() -> None:
    quiet()
    torch.set_num_threads(1)
    out = Path(sys.argv[1])
    for way in sys.argv[2:]:
        found: object
        name, _, folder = way.partition(":")
        try:
            found = WAYS[name](out / (folder or name))
        except UserError as fault:
            found = fault.lines
        everywhere = ranks.gathered(found)
        if ranks.first():
            (out / f"{name}.json").write_text(json.dumps(everywhere))
    ranks.leave(0)


if __name__ == "__main__":
    main()
