"""Train the tiny experiment in this process and, where it is told to, die by SIGKILL on the way.

Arguments: the run's folder; `whole`, `step=N` (killed after N optimizer steps in all) or `checkpoint=N`
(killed when half of the Nth checkpoint's bytes are on disk); overrides `key=value`, and another file.
"""

import io
import os
import signal
import sys
from pathlib import Path

import torch
from lightning.pytorch import Callback

from vlmloom.pipelines.loading import build_experiment, compose_experiment
from vlmloom.pipelines.quiet import quiet
from vlmloom.pipelines.run import train


class KilledAfter(Callback):
    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.steps -= 1
        if not self.steps:
            os.kill(os.getpid(), signal.SIGKILL)


def die_in_checkpoint(number: int) -> None:
    whole_save, left = torch.save, [number]

    def half_save(state, file, *args, **kwargs):
        left[0] -= 1
        if left[0]:
            return whole_save(state, file, *args, **kwargs)
        buffer = io.BytesIO()
        whole_save(state, buffer)
        file.write(buffer.getvalue()[: buffer.tell() // 2])
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

    torch.save = half_save


if __name__ == "__main__":
    quiet()
    torch.set_num_threads(1)
    folder, (how, _, number) = Path(sys.argv[1]), sys.argv[2].partition("=")
    if how == "checkpoint":
        die_in_checkpoint(int(number))
    callbacks = [KilledAfter(int(number))] if how == "step" else []
    source = next((one for one in sys.argv[3:] if "=" not in one), Path(__file__).with_name("tiny.yaml"))
    experiment, resolved = build_experiment(
        compose_experiment(source, sets=[one for one in sys.argv[3:] if "=" in one])
    )
    train(experiment, folder, resolved=resolved, callbacks=callbacks)
