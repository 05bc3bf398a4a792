"""`vlmloom fit`: an experiment with every flag of the Trainer."""

import csv
import json
from pathlib import Path

import pytest

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


def test_every_trainer_flag_is_listed(capsys):
    assert main(["fit", "-c", TINY, "--trainer.help"]) == 0
    told = capsys.readouterr().out
    assert "--trainer.max_steps" in told and "--trainer.gradient_clip_val" in told


def test_a_pattern_that_trains_nothing_is_one_line(tmp_path, capsys):
    assert main(["fit", "-c", TINY, "--out", str(tmp_path), "--set", "stages.1.train=[tongue]"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "tongue" in line]
    assert "matches no parameter; the parts are vision, projector, language, head.lm, head.mmtp" in line
