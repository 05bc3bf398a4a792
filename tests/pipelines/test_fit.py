"""`vlmloom fit`: an experiment with every flag of the Trainer."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vlmloom.components.moe import SigmoidBias
from vlmloom.pipelines.cli import main

TINY = str(Path(__file__).with_name("tiny.yaml"))


def test_a_trainer_flag_ends_each_stage_and_the_run_can_be_loaded(tmp_path, capsys):
    call = [
        "fit",
        "-c",
        TINY,
        "--out",
        str(tmp_path),
        "--trainer.max_steps=3",
        "--trainer.log_every_n_steps=1",
    ]
    assert main([*call, "--set", "budget.samples=4000"]) == 0
    told = capsys.readouterr().err
    assert "vision       frozen" in told and "language     trains" in told
    assert told.count("by a Trainer flag") == 2
    ledger = json.loads((tmp_path / "ledger.json").read_text())
    assert [stage["steps"] for stage in ledger["stages"]] == [3, 3]
    assert (tmp_path / "model.safetensors").exists()
    with (tmp_path / "logs" / "csv" / "0-first" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 and all(float(row["train/loss"]) > 0 for row in rows)
    assert {"pace/tokens_per_second", "pace/visual_share", "pace/fill"} <= rows[-1].keys()
    assert 0.9 < float(rows[-1]["pace/fill"]) <= 1.0
    assert list((tmp_path / "logs" / "tensorboard" / "0-first").glob("events*"))
    assert main(["validate", str(tmp_path / "config.yaml")]) == 0


@pytest.mark.parametrize("accumulate", [1, 2])
def test_what_is_computed_again_is_routed_as_before(tmp_path, monkeypatch, capsys, accumulate):
    """The selection bias moves after the way back, not between the two; the load that it moves by is told."""
    slowly = SigmoidBias.update_selection_bias
    monkeypatch.setattr(SigmoidBias, "update_selection_bias", lambda moe: slowly(moe, rate=0.1))
    flags = [f"--trainer.accumulate_grad_batches={accumulate}", "--trainer.max_steps=3"]
    sets = ["--set", "checkpoint_every_n_steps=100"]
    for name, policy in (("kept", "none"), ("again", "full")):
        call = ["fit", "-c", TINY, "--out", str(tmp_path / name), *flags, *sets]
        assert main([*call, "--set", f"assembly.recompute={{language: {policy}, head: {policy}}}"]) == 0
    kept, again = (load_file(tmp_path / name / "model.safetensors") for name in ("kept", "again"))
    for name, value in kept.items():
        assert torch.equal(again[name], value), name
    told = capsys.readouterr().err
    loads = re.findall(r"tokens/s  visual \d+%  expert load (\d\.\d)x", told)
    assert loads and all(1 <= float(load) <= 4 for load in loads), told


def test_no_load_is_told_of_frozen_experts(tmp_path, capsys):
    frozen = [word for stage in (0, 1) for word in ("--set", f"stages.{stage}.train=[head.lm]")]
    assert main(["fit", "-c", TINY, "--out", str(tmp_path / "run"), "--trainer.max_steps=3", *frozen]) == 0
    told = capsys.readouterr().err
    assert "tokens/s  visual" in told and "expert load" not in told


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--trainer.max_steps=many", "max_steps"),
        ("--trainer.no_such_flag=1", "no_such_flag"),
        (
            "--learning-rate=3",
            "unknown option --learning-rate=3; Trainer flags are written --trainer.NAME=VALUE",
        ),
    ],
)
def test_a_wrong_flag_is_one_line(tmp_path, capsys, flag, told):
    assert main(["fit", "-c", TINY, "--out", str(tmp_path), flag]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    print(line)
    assert told in line
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_two_processes_of_one_call(tmp_path):
    """The command starts the second one itself; both write one run, and each line is told once."""
    flags = ["--trainer.strategy=fsdp2", "--trainer.devices=2", "--trainer.accelerator=cpu"]
    call = [sys.executable, "-m", "vlmloom", "fit", "-c", TINY, "--out", str(tmp_path), *flags]
    done = subprocess.run(call, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr.count("stage second (question)") == done.stderr.count("next: vlmloom evaluate") == 1
    assert json.loads((tmp_path / "ledger.json").read_text())["samples"] == 288
    assert main(["fit", "-c", TINY, "--out", str(tmp_path)]) == 0


def test_every_trainer_flag_is_listed(capsys):
    assert main(["fit", "-c", TINY, "--trainer.help"]) == 0
    told = capsys.readouterr().out
    assert "--trainer.max_steps" in told and "--trainer.gradient_clip_val" in told


def test_a_pattern_that_trains_nothing_is_one_line(tmp_path, capsys):
    assert main(["fit", "-c", TINY, "--out", str(tmp_path), "--set", "stages.1.train=[tongue]"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "tongue" in line]
    assert "matches no parameter; the parts are vision, projector, language, head.lm, head.mmtp" in line


def test_a_flag_that_lightning_refuses_is_one_line_and_leaves_nothing(tmp_path, capsys):
    out = tmp_path / "run"
    for flag, said in (("devices=0", "devices"), ("accelerator=tpuu", "tpuu"), ("strategy=nosuch", "nosuch")):
        assert main(["fit", "-c", TINY, "--out", str(out), f"--trainer.{flag}"]) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("trainer: ")]
        print(line)
        assert said in line
        assert not out.exists()


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("max_steps=many", "fit: --trainer.max_steps: Expected a <class 'int'>. Got value: many"),
        ("precision=8", "fit: --trainer.precision: Expected a Literal[64, 32, 16]"),
    ],
)
def test_a_refused_flag_says_what_would_be_right(tmp_path, capsys, flag, told):
    assert main(["fit", "-c", TINY, "--out", str(tmp_path), f"--trainer.{flag}"]) == 2
    assert capsys.readouterr().err.startswith(told)


def test_a_folder_that_cannot_be_one_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    assert main(["fit", "-c", TINY, "--out", str(tmp_path / "file")]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "another --out" in line]
    assert "file: cannot be a folder (File exists)" in line
    assert (tmp_path / "file").read_text() == "mine"


def test_bar_and_checkpoints_can_be_left_out_and_callbacks_added(tmp_path, capsys):
    callback = "--trainer.callbacks=lightning.pytorch.callbacks.LambdaCallback"
    flags = ["--trainer.enable_progress_bar=false", "--trainer.enable_checkpointing=false", callback]
    assert main(["fit", "-c", TINY, "--out", str(tmp_path), "--trainer.max_steps=5", *flags]) == 0
    told = capsys.readouterr().err
    assert "tokens/s" not in told
    assert not list(tmp_path.rglob("step=*.ckpt"))
    out = tmp_path / "of the file"
    sets = ["--set", "trainer.enable_progress_bar=false", "--set", "trainer.enable_checkpointing=false"]
    assert main(["fit", "-c", TINY, "--out", str(out), "--trainer.max_steps=2", *sets]) == 0
    assert "tokens/s" not in capsys.readouterr().err


def test_a_tokenizer_of_an_attempt_that_failed_is_not_taken_up(tmp_path, capsys):
    call = ["fit", "-c", TINY, "--out", str(tmp_path), "--trainer.max_steps=1"]
    assert main([*call, "--set", "assembly.language.vocab=400"]) == 2
    told = "assembly.language.vocab: found 400, but the tokenizer has 512 ids; 512 would be right\n"
    assert capsys.readouterr().err.endswith(told)
    assert not list(tmp_path.iterdir())
    (tmp_path / "tokenizer.json").write_text("of something else")
    smaller = ["--set", "assembly.language.vocab=400", "--set", "data.tokenizer.vocab=400"]
    assert main([*call, *smaller]) == 0
    assert len(json.loads((tmp_path / "tokenizer.json").read_text())["model"]["vocab"]) <= 400


def test_an_item_that_fits_into_no_pack_is_one_line(tmp_path, capsys):
    assert main(["fit", "-c", TINY, "--out", str(tmp_path), "--set", "data.pack_tokens=8"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("pack_tokens is 8, but item 0 has ")


def test_a_fault_in_a_loader_s_worker_is_one_line(tmp_path, capsys, monkeypatch):
    from vlmloom.components.contracts.sample import CorruptPicture
    from vlmloom.components.task.drawing import Drawing

    def broken(self):
        raise CorruptPicture("drawn.png: is truncated")

    monkeypatch.setattr(Drawing, "render", broken)
    sets = ["--set", "data.workers=1", "--set", "data.on_corrupt=raise"]
    assert main(["fit", "-c", TINY, "--out", str(tmp_path), *sets]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "drawn.png: is truncated; data.on_corrupt: skip would leave it out" in last
    assert last.startswith("count#")
