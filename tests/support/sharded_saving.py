"""One of two processes that train an import in shards and save it as Lightning does: `sharded_saving.py RUN`.

RUN is the folder of the import. It is left with `sharded.ckpt`, the folder that ModelParallelStrategy writes,
`fsdp`, the same state as FSDPStrategy names it, and `whole.ckpt`, one file of whole tensors.
"""

import sys
from pathlib import Path

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from released_batches import BATCHES, batch_of
from torch.distributed import checkpoint

from vlmloom.pipelines import ranks
from vlmloom.pipelines.loading import load_assembly
from vlmloom.pipelines.quiet import quiet
from vlmloom.pipelines.sharded import shard, whole


class Training(LightningModule):
    """A training of somebody's own around an assembly."""

    def __init__(self, assembly):
        super().__init__()
        self.assembly = assembly
        self.batch = batch_of(BATCHES["mixed"], assembly).ours

    def configure_model(self):
        shard(self, self.device_mesh["data_parallel"])

    def forward(self):
        return self.assembly.loss(self.batch)[0]

    def training_step(self, _):
        return self()

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.01)


def main(run: Path) -> None:
    quiet()
    training = Training(load_assembly(run, dtype=torch.float32))
    trainer = Trainer(
        accelerator="cpu", devices=2, max_steps=2, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
        strategy=ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1),
    )  # fmt: skip
    trainer.fit(training, torch.utils.data.DataLoader(range(4)))
    trainer.save_checkpoint(run / "sharded.ckpt")
    state = training.state_dict()
    checkpoint.save({"model": state}, checkpoint_id=run / "fsdp")
    gathered = {name: whole(value) for name, value in state.items()}
    if ranks.first():
        torch.save({"state_dict": gathered}, run / "whole.ckpt")
    ranks.leave(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
