"""The shipped teachers, made tiny: each trains by one command, and its tower then teaches another."""

import csv
import json

import pytest

from vlmloom.pipelines.cli import main

TOWER = {"width": 16, "depth": 1, "heads": 2, "hidden": 32}
TEXT = {"vocab": 512, "width": 16, "depth": 1, "heads": 2}
SMALL = {"prototypes": 8, "hidden": 8, "bottleneck": 4}
PRECISION = "trainer.precision=32-true"
DATA = (
    "data.suite.things=8",
    "data.tokenizer.vocab=512",
    "data.pack_tokens=512",
    "trainer.precision=32-true",
)
SETS = {
    "siglip2_teacher": [
        *(f"assembly.vision.{key}={value}" for key, value in TOWER.items()),
        *(f"assembly.text.{key}={value}" for key, value in TEXT.items()),
        *("assembly.align.width=16", "stages.0.objective.vision_width=16", "stages.0.objective.vocab=512"),
        *("stages.0.objective.width=16", "stages.0.objective.depth=1", "stages.0.objective.heads=2"),
        *(f"stages.0.objective.late.{key}={value}" for key, value in SMALL.items()),
        "stages.0.objective.late.start=0.5",
    ],
    "dinov3_teacher": [
        *(f"model.{key}={value}" for key, value in TOWER.items()),
        *(f"stages.0.objective.{key}={value}" for key, value in SMALL.items()),
        *("stages.0.objective.gram.start=2", "stages.0.objective.gram.every=1", "stages.0.pack_tokens=512"),
    ],
}


def flags(sets):
    return [word for one in sets for word in ("--set", one)]


@pytest.mark.parametrize(
    ("name", "late"), [("siglip2_teacher", "prediction/loss"), ("dinov3_teacher", "gram/loss")]
)
def test_a_teacher_of_one_s_own_is_trained_and_teaches(name, late, tmp_path, capsys):
    run, student = tmp_path / "run", tmp_path / "student"
    call = ["fit", "-c", f"nano/{name}", "--out", str(run), "--trainer.log_every_n_steps=1"]
    assert main([*call, *flags([*DATA, *SETS[name], "budget.samples=60"])]) == 0, capsys.readouterr().err
    with (run / "logs/csv").glob("*/metrics.csv").__next__().open() as file:
        rows = list(csv.DictReader(file))
    found = [row[f"train/{late}"] != "" for row in rows]
    assert not found[0] and found[-1], "the last terms come late"
    distil = [
        *("fit", "-c", "nano/cogvit_distil", "--out", str(student)),
        *("--swap", "stages.0.objective.teachers.efficientnet=" + f"teacher/run,folder={run}"),
    ]
    sets = [*DATA, *(f"model.{key}={value}" for key, value in TOWER.items()), "budget.samples=20"]
    assert main([*distil, *flags(sets)]) == 0, capsys.readouterr().err
    parts = json.loads((student / "ledger.json").read_text())["curve"][-1]["parts"]
    assert parts["efficientnet/loss"] > 0
