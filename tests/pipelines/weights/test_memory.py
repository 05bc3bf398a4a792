"""Checkpoints go in and out a piece at a time: the memory that it takes does not follow their size."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

pytest.importorskip("transformers")

import peak_memory
from released import AIMV2, EXPERTS, rope, save, text

from vlmloom.pipelines.weights.importing import import_released

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="reads the kernel's record of memory"
)
MOST = 1.3
"""Of the largest shard."""
WORDS = text(512, 8, 2, 3, head_dim=64, rope_parameters=rope(0.5, 4, 6, 6), **EXPERTS)
LARGE = AIMV2, {**WORDS, "moe_intermediate_size": 512, "n_routed_experts": 8, "vocab_size": 36_000}


@pytest.fixture
def released(tmp_path):
    """A checkpoint with one shard of 217 MB; the largest tensor takes a third of it."""
    save("glm4v_moe", tmp_path / "released", sizes=LARGE, shard="5GB")
    shard = tmp_path / "released" / "model.safetensors"
    assert shard.stat().st_size > 200e6
    return shard


def peaks(folder, *steps):
    """Bytes that each verb takes at most: resident, and of these what is no file's."""
    command = [sys.executable, peak_memory.__file__, json.dumps(steps), "peaks.json"]
    subprocess.run(command, cwd=folder, check=True)
    found = json.loads((folder / "peaks.json").read_text())
    for step, (resident, anonymous) in zip(steps, found, strict=True):
        print(f"{' '.join(step)}: {resident / 1e6:.0f} MB, {anonymous / 1e6:.0f} of no file")
    return found


def test_a_shard_is_never_in_memory_whole(released, tmp_path):
    """Held to the bound is VmHWM, the kernel's record of what was resident at any moment.

    From it is taken what was resident when torch and the converters had been imported. It counts the pages of
    mapped files and the components that are imported on the way, so nothing is left out.
    """
    found = peaks(tmp_path, ["import", "released", "ours"], ["export", "ours", "back"])
    assert all(resident < MOST * released.stat().st_size for resident, _ in found)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_nor_where_numbers_are_converted_or_a_training_is_read(released, tmp_path):
    """VmHWM as above, but for the training checkpoint.

    That is mapped, optimizer state and all, and what was read of it stays resident until the kernel wants the
    room. Of it RssAnon is held to the bound, the memory that is no file's: it has no record and is looked at
    every 2 ms.
    """
    import_released(tmp_path / "released", tmp_path / "ours")
    checkpoint = training(tmp_path / "ours", tmp_path / "run")
    *others, (_, anonymous) = peaks(
        tmp_path,
        ["export", "ours", "half", "--dtype=BF16"],
        ["export", "run/sharded", "from_sharded"],
        ["export", "run/step=1.ckpt", "from_checkpoint"],
    )
    most = MOST * released.stat().st_size
    assert all(resident < most for resident, _ in others)
    assert anonymous < most < checkpoint.stat().st_size


def training(ours, run):
    """What trainings leave of a model: a sharded one's folder, and a file with the optimizer's state."""
    from torch.distributed import checkpoint

    run.mkdir()
    shutil.copy(ours / "assembly.yaml", run / "config.yaml")
    files = ours.glob("*.safetensors")
    state = {f"assembly.{name}": value for file in files for name, value in load_file(file).items()}
    checkpoint.save({"state_dict": state}, checkpoint_id=run / "sharded", no_dist=True)
    moments = [{"exp_avg": value, "exp_avg_sq": value + 1} for value in state.values()]
    torch.save({"state_dict": state, "optimizer_states": moments}, run / "step=1.ckpt")
    return run / "step=1.ckpt"
