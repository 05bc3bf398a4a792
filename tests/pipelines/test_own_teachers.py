"""The shipped teachers, made tiny: each trains by one command, and its tower then teaches another."""

import csv
import json
from pathlib import Path

import pytest
import yaml

from vlmloom.pipelines.cli import main
from vlmloom.pipelines.loading import build_training, compose_training
from vlmloom.pipelines.weights.starting import pretrained
from vlmloom.registry import build

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
    # The example of docs/vision.md, with this one teacher.
    page = Path(__file__).parents[2].joinpath("docs/vision.md").read_text()
    example = yaml.safe_load(page.partition("```yaml")[2].partition("```")[0])
    (objective,) = example["swap"].values()
    mine = objective["teachers"].pop(name.removesuffix("_teacher"))
    mine["folder"], mine["teacher"]["folder"] = str(tmp_path / "features"), str(run)
    objective["teachers"] = {"mine": mine}
    (tmp_path / "example.yaml").write_text(yaml.safe_dump(example))
    distil = ["fit", "-c", str(tmp_path / "example.yaml"), "--out", str(student)]
    sets = [*DATA, *(f"model.{key}={value}" for key, value in TOWER.items()), "budget.samples=20"]
    assert main([*distil, *flags(sets)]) == 0, capsys.readouterr().err
    parts = json.loads((student / "ledger.json").read_text())["curve"][-1]["parts"]
    assert parts["mine/loss"] > 0
    # Features are kept under the settings of the tower too: its heads show in no weight.
    assert build({"use": "teacher/run", "folder": str(run)}).options()["tower"]["heads"] == TOWER["heads"]
    experiment, _ = build_training(compose_training(student / "config.yaml"))
    assert pretrained(experiment, student) == [f"the tower of {run}, the frozen teacher"]
