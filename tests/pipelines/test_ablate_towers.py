"""Towers as arms: trained alone or within an assembly, and looked at by probes."""

import json
from pathlib import Path

import pytest

from vlmloom.pipelines.ablate import arms, read_ablation, settings
from vlmloom.pipelines.cli import main
from vlmloom.registry.errors import UserError

TINY = Path(__file__).with_name("tiny.yaml")
TOWER = "{use: vision/cogvit, width: 16, depth: 1, heads: 2, patch: 16}"
DISTIL = "{use: objective/distil, teachers: {plain: {use: vision/cogvit, width: 8, depth: 1, heads: 2}}}"
ALONE = f"""
model: {TOWER}
stages: [{{name: distil, view: pictures, objective: {DISTIL}, optimizer: {{use: optimizer/adamw}}}}]
budget: {{samples: 40}}
"""
ABLATION = """
base: alone.yaml
axes:
  stages.0.objective.mask: [0.5]
arms:
  both: {stages.0.objective.mask: 0.1, stages.0.optimizer: {use: optimizer/muon_adamw}}
seeds: 1
probes: {things: 4, views: 2, side: 32, most: 2}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    import yaml

    folder = tmp_path_factory.mktemp("towers")
    alone = yaml.safe_load(ALONE)
    alone["data"] = yaml.safe_load(TINY.read_text())["data"]
    (folder / "alone.yaml").write_text(yaml.safe_dump(alone))
    (folder / "towers.yaml").write_text(ABLATION)
    assert main(["ablate", str(folder / "towers.yaml"), "--out", str(folder / "out")]) == 0
    return folder


def test_every_arm_is_looked_at_by_every_probe(folder):
    report = json.loads((folder / "out/report.json").read_text())
    assert report["complete"] and [one["name"] for one in report["designs"]] == ["base", "mask-0.5", "both"]
    found = {(row["design"], row["category"]) for row in report["results"]}
    probes = {"knn", "linear", "segmentation", "position", "correspondence", "count"}
    assert found >= {(arm, probe) for arm in ("base", "mask-0.5", "both") for probe in probes}
    chances = {row["name"]: row["chance"] for row in report["categories"]}
    assert chances["knn"] == 1 / 4 and chances["count"] == 1 / 2
    assert {("base", "mask-0.5"), ("base", "both")} <= {
        (row["design"], row["against"]) for row in report["differences"]
    }


def test_the_page_has_a_curve_of_every_loss_that_parts_report(folder):
    assert "plain/loss against FLOPs" in (folder / "out/report.html").read_text()


def test_an_arm_with_a_name_changes_all_that_it_lists(folder):
    report = json.loads((folder / "out/report.json").read_text())
    text = report["configs"]["both"]
    assert "mask: 0.1" in text and "optimizer/muon_adamw" in text
    assert "optimizer/adamw" in report["configs"]["mask-0.5"]


def test_the_same_call_again_trains_nothing(folder):
    runs = sorted((folder / "out/runs").glob("*/model.safetensors"))
    before = [run.stat().st_mtime_ns for run in runs]
    assert len(runs) == 3
    assert main(["ablate", str(folder / "towers.yaml"), "--out", str(folder / "out")]) == 0
    assert [run.stat().st_mtime_ns for run in runs] == before


def test_a_tower_alone_without_probes_is_refused(folder):
    (folder / "asked.yaml").write_text(ABLATION.partition("probes:")[0])
    root = read_ablation(str(folder / "asked.yaml"))
    with pytest.raises(UserError, match="trains vision/cogvit by itself, which answers nothing"):
        arms(root, settings(root))


def test_an_arm_that_changes_nothing_or_a_key_that_is_none_is_told_in_one_line(folder, capsys):
    (folder / "wrong.yaml").write_text(
        ABLATION.replace("both: {stages.0.objective.mask: 0.1", "both: {stages.0.objective.musk: 0.1")
    )
    assert main(["ablate", str(folder / "wrong.yaml"), "--out", str(folder / "wrong")]) == 2
    assert "musk" in capsys.readouterr().err and not (folder / "wrong").exists()
