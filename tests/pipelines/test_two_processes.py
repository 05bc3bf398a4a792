"""Two processes that train together equal one that trains on the same packs; either goes on for the other.

Sums over packs are taken in another order, so that numbers differ in the last bits of a float: losses of
about 8 within 2e-6, four units in the last place.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from two_processes import ONE, SHORT, STOPPED, Stop, run, two

from vlmloom.pipelines.checkpoints import latest_checkpoint, load_checkpoint
from vlmloom.registry.errors import UserError

LOSS = {"rel": 0, "abs": 2e-6}
WEIGHT = {"rtol": 0, "atol": 2e-6}


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> tuple[Path, list[float]]:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("one")
    return folder, run(folder, ONE)


@pytest.fixture(scope="module")
def started(tmp_path_factory) -> Path:
    """A run of one process that stopped after its checkpoint of step 4, and a copy that stays as it is."""
    out = tmp_path_factory.mktemp("two")
    with pytest.raises(UserError, match="stopped"):
        run(out / "from_one", ONE, Stop())
    shutil.copytree(out / "from_one", out / "kept")
    return out


@pytest.fixture(scope="module")
def found(started) -> tuple[Path, dict[str, list]]:
    return started, two(
        started,
        "fsdp2",
        "stopped",
        "gone_on:from_one",
        "ddp",
        "mixed",
        "experts",
        "uneven",
        "dense",
        "poisoned",
    )


def equal_runs(left: Path, right: Path) -> None:
    """Weights, and what the ledger and the learning curve hold but for seconds and memory."""
    ours, theirs = load_file(left / "model.safetensors"), load_file(right / "model.safetensors")
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        other = theirs[name]
        if name.endswith("qkv.bias"):
            # A bias of the keys cancels in the softmax: its gradient is rounding, which Adam makes large.
            value, other = (torch.cat(bias.chunk(3)[::2]) for bias in (value, other))
        torch.testing.assert_close(other, value, **WEIGHT)
    ours, theirs = (json.loads((folder / "ledger.json").read_text()) for folder in (left, right))
    same = ("flops", "samples", "tokens", "visual", "steps", "labels", "corrupt")
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
    for point, other in zip(ours["curve"], theirs["curve"], strict=True):
        assert (point["step"], point["samples"]) == (other["step"], other["samples"])
        assert point["loss"] == pytest.approx(other["loss"], **LOSS)
        assert point["parts"] == pytest.approx(other["parts"], **LOSS)


def test_sharded_losses_and_weights_equal_those_of_one_process(one, found):
    folder, losses = one
    out, by_way = found
    print(losses, by_way["fsdp2"])
    first, second = by_way["fsdp2"]
    assert len(losses) == 12 and first == second
    assert first == pytest.approx(losses, **LOSS)
    equal_runs(folder, out / "fsdp2")


def test_a_checkpoint_of_two_processes_is_that_of_one(found):
    out, _ = found
    saved = load_checkpoint(latest_checkpoint(out / "stopped" / "checkpoints" / "0-first"))
    own = load_checkpoint(latest_checkpoint(out / "kept" / "checkpoints" / "0-first"))
    assert saved["global_step"] == own["global_step"] == 4 < STOPPED
    assert saved["state_dict"].keys() == own["state_dict"].keys()
    for name, value in own["state_dict"].items():
        torch.testing.assert_close(saved["state_dict"][name], value, **WEIGHT)
    (ours,), (theirs,) = own["optimizer_states"], saved["optimizer_states"]
    assert ours["param_groups"] == theirs["param_groups"]
    assert ours["state"].keys() == theirs["state"].keys()
    for number, state in ours["state"].items():
        for key, value in state.items():
            torch.testing.assert_close(theirs["state"][number][key], value, **WEIGHT)


def test_what_two_processes_have_saved_one_goes_on_with(one, found, tmp_path):
    folder, losses = one
    out, by_way = found
    assert by_way["stopped"] == [["stopped"], ["stopped"]]
    shutil.copytree(out / "stopped", tmp_path / "resumed")
    rest = run(tmp_path / "resumed", ONE)
    assert rest == pytest.approx(losses[4:], **LOSS)
    equal_runs(folder, tmp_path / "resumed")


def test_what_one_process_has_saved_two_go_on_with(one, found):
    folder, losses = one
    out, by_way = found
    assert by_way["gone_on:from_one"][0] == pytest.approx(losses[4:], **LOSS)
    equal_runs(folder, out / "from_one")


def test_packs_without_pictures_on_one_process_alone(found, tmp_path):
    """Vision and projector, which nothing runs through, have gradients all the same: nobody waits in vain.

    In copies, in shards, and in shards with experts on one process each, whose blocks are computed again.
    """
    out, by_way = found
    losses = run(tmp_path, ONE, sets=SHORT)
    for way in ("ddp", "mixed", "experts"):
        assert by_way[way][0] == by_way[way][1] == pytest.approx(losses, **LOSS)
        equal_runs(tmp_path, out / way)


def test_a_loss_that_is_not_finite_on_one_process_stops_both_and_is_told_of_its_items(found):
    out, by_way = found
    (line,), (other,) = by_way["poisoned"]
    print(line)
    assert line == other
    assert line.startswith("first: the loss is nan at step 2, on ") and "#" in line
    assert "no checkpoint was written yet" in line
    assert not (out / "poisoned" / "model.safetensors").exists()


def test_experts_that_cannot_be_shared_out_are_one_line(found):
    _, by_way = found
    print(by_way["uneven"], by_way["dense"])
    (line,), (other,) = by_way["uneven"]
    assert line == other
    assert line.startswith("trainer.strategy: fsdp2_expert_parallel: model.language.blocks.1.ffn.experts: ")
    assert "3 experts cannot be shared out evenly to 2 processes; 4 experts would be right" in line
    told = "trainer.strategy: fsdp2_expert_parallel: the model has no experts; fsdp2 would be right"
    assert by_way["dense"] == [[told], [told]]


def test_one_process_alone_writes(found):
    out, _ = found
    left = [path for path in out.rglob("*") if path.name.startswith(".") or path.suffix == ".part"]
    assert not left
    assert len(list((out / "fsdp2" / "logs" / "tensorboard" / "0-first").glob("events*"))) == 1
