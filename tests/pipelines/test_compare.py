"""The main job in small: a design with a part from outside the package beside another, and the report."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from vlmloom.pipelines.cli import main
from vlmloom.registry.catalog import catalog

TINY = Path(__file__).with_name("tiny.yaml")

PLUGIN = '''
"""A projector of somebody else's: tokens through one tanh layer."""
import torch
from vlmloom.components.contracts.projector import Projector
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.contracts.visuals import VisualFeatures
from vlmloom.registry import register


@register("projector/tanh")
class Tanh(Projector):
    """One tanh layer."""

    def __init__(self, *, in_width: int, out_width: int) -> None:
        super().__init__()
        self.in_width, self.out_width = in_width, out_width
        self.layer = torch.nn.Linear(in_width, out_width)

    def forward(self, features):
        return VisualFeatures(self.layer(features.tokens).tanh(), features.shapes, features.block), {}

    def merged_grids(self, grids):
        return list(grids)

    def flops(self, grids):
        return sum(2 * f * r * c * self.in_width * self.out_width for f, r, c in grids)

    def shapes(self, spec):
        spec.need("projector/tanh", "visual", self.in_width)
        return Spec("visual", self.out_width, spec.grids)
'''


@pytest.fixture(scope="module")
def compared(tmp_path_factory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("compare")
    (folder / "mine.py").write_text(PLUGIN)
    (folder / "mine.yaml").write_text(
        f"plugins: [mine.py]\nextends: {TINY}\nname: mine\n"
        "swap: {assembly.projector: {use: projector/tanh}}\n"
    )
    call = [
        "compare",
        str(TINY),
        str(folder / "mine.yaml"),
        "--budget",
        "samples=150",
        "--seeds",
        "1",
        "--items",
        "6",
        "--other-items",
        "4",
        "--out",
        str(folder / "out"),
    ]
    assert main(call) == 0
    yield folder
    catalog.cache_clear()  # Other tests list the components of the package alone.


def test_the_report_holds_every_design_split_and_category(compared):
    report = json.loads((compared / "out" / "report.json").read_text())
    assert report["complete"] and report["budget"] == {"kind": "samples", "value": 150}
    assert [design["name"] for design in report["designs"]] == ["tiny", "mine", "blind"]
    tested = {
        (row["design"], row["category"]): row["items"] for row in report["results"] if row["split"] == "test"
    }
    assert tested == {(d, c): 6 for d in ("tiny", "mine", "blind") for c in ("count", "arithmetic")}
    assert "projector/tanh" in report["configs"]["mine"] and "withheld" in report["configs"]["blind"]
    spent = {design["name"]: design["samples"] for design in report["designs"]}
    # Each ends with the pack in which its budget ran out; blind is given what the first design saw.
    assert 150 <= spent["tiny"] < 200 and 150 <= spent["mine"] < 200
    assert spent["tiny"] <= spent["blind"] < spent["tiny"] + 100
    assert (compared / "out" / "report.html").stat().st_size > 20_000


def test_a_finished_comparison_is_not_trained_again(compared, capsys):
    weights = sorted((compared / "out").rglob("model.safetensors"))
    before = [path.stat().st_mtime_ns for path in weights]
    assert len(weights) == 3
    call = [
        "compare",
        str(TINY),
        str(compared / "mine.yaml"),
        "--budget",
        "samples=150",
        "--seeds",
        "1",
        "--items",
        "6",
        "--other-items",
        "4",
        "--out",
        str(compared / "out"),
    ]
    assert main(call) == 0
    assert [path.stat().st_mtime_ns for path in weights] == before


def test_a_trained_run_is_evaluated_and_asked(compared, capsys):
    import numpy as np
    from PIL import Image

    folder = compared / "out" / "runs" / "mine-seed0"
    capsys.readouterr()
    assert main(["evaluate", str(folder), "--items", "5", "--other-items", "2", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["items"] for row in rows if row["split"] == "test"} == {5}
    image = compared / "grey.png"
    Image.fromarray(np.full((40, 60, 3), 128, np.uint8)).save(image)
    assert main(["ask", str(folder), str(image), "how many: dog?"]) == 0
    frames = [Image.new("RGB", (64, 64), (shade, 0, 0)) for shade in (0, 99, 200)]
    frames[0].save(compared / "film.gif", save_all=True, append_images=frames[1:], duration=100)
    assert main(["ask", str(folder), str(compared / "film.gif"), "which came first?", "--clip"]) == 0
    assert main(["ask", str(folder), str(compared / "none.png"), "how many: dog?"]) == 2
    assert re.search(r"none\.png: .+", capsys.readouterr().err)


def test_boxes_of_an_answer_are_drawn(tmp_path):
    from PIL import Image

    from vlmloom.pipelines.verbs.ask import BOX, draw

    Image.new("RGB", (200, 100), "white").save(tmp_path / "a.png")
    boxes = [tuple(map(int, found)) for found in BOX.findall("it is at [100,200,500,800]")]
    draw(tmp_path / "a.png", boxes, tmp_path / "b.png")
    with Image.open(tmp_path / "b.png") as drawn:
        assert drawn.getpixel((20, 50)) == (220, 30, 30) and drawn.getpixel((60, 50)) == (255, 255, 255)


def again(compared: Path, *changes: str, out: Path | None = None) -> int:
    """The call of `compared` once more, with changes."""
    call = ["compare", str(TINY), str(compared / "mine.yaml"), "--budget", "samples=150", "--seeds", "1"]
    return main(
        [*call, "--items", "6", "--other-items", "4", "--out", str(out or compared / "out"), *changes]
    )


@pytest.fixture
def copied(compared, tmp_path) -> Path:
    """The finished comparison in a folder that may be spoiled."""
    return Path(shutil.copytree(compared / "out", tmp_path / "out"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (["--budget", "samples=300"], "('samples: 150', now 'samples: 300')"),
        (["--budget", "flops=1e9"], "('samples: 150', now 'samples: null')"),
        (["--set", "assembly.language.depth=3"], "'depth: 2', now 'depth: 3'"),
        (["--swap", "assembly.head.mmtp=head/mtp"], "'use: head/mmtp', now 'use: head/mtp'"),
    ],
)
def test_runs_of_another_comparison_are_not_taken_for_this_one(compared, copied, capsys, change, told):
    before = (copied / "report.json").read_bytes()
    assert again(compared, *change, out=copied) == 2
    (line,) = capsys.readouterr().err.splitlines()
    print(line)
    assert "config.yaml:" in line and "holds another experiment" in line and told in line
    assert line.endswith("another --out would be right")
    assert (copied / "report.json").read_bytes() == before


@pytest.mark.slow
def test_more_items_are_answered_without_training_again(compared, copied, capsys):
    weights = {path: path.stat().st_mtime_ns for path in copied.rglob("model.safetensors")}
    assert again(compared, "--items", "7", out=copied) == 0
    rows = json.loads((copied / "report.json").read_text())["results"]
    assert {row["items"] for row in rows if row["split"] == "test"} == {7}
    assert {path: path.stat().st_mtime_ns for path in weights} == weights
    assert main(["evaluate", str(copied / "runs" / "tiny-seed0"), "--items", "3", "--other-items", "1"]) == 0
    assert again(compared, "--items", "7", out=copied) == 0, (
        "answers of `evaluate` are none of the comparison's"
    )


@pytest.mark.parametrize(
    ("name", "spoil", "told"),
    [
        ("run.json", lambda text: text[: len(text) // 2], "run.json: is damaged ("),
        ("run.json", lambda text: "[]", "run.json: is damaged ("),
        ("run.json", lambda text: "{}", "run.json: is damaged ("),
        ("answers-tiny-test-6.jsonl", lambda text: text[:-20], "answers-tiny-test-6.jsonl:12: not an answer"),
        ("answers-tiny-test-6.jsonl", lambda text: "", "found 0 answers, not the 12 of tiny, seed 0"),
        ("answers-tiny-test-6.jsonl", lambda text: text + text, "found 24 answers, not the 12 of tiny"),
        (
            "answers-tiny-test-6.jsonl",
            lambda text: text.replace('"tiny"', '"x"'),
            "not the 12 of tiny, seed 0",
        ),
        (
            "answers-tiny-test-6.jsonl",
            lambda text: re.sub('"correct": [01]', '"correct": 7', text),
            "correct is 7.0; it must be from 0 to 1",
        ),
    ],
)
def test_damaged_files_of_a_finished_run_are_told(compared, copied, capsys, name, spoil, told):
    path = copied / "runs" / "tiny-seed0" / name
    path.write_text(spoil(path.read_text()))
    assert again(compared, out=copied) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if name in line]
    print(line)
    assert told in line and "without the file" in line


def test_what_is_taken_away_of_a_finished_run_is_made_again(compared, copied):
    run = copied / "runs" / "tiny-seed0"
    answers, before = run / "answers-tiny-test-6.jsonl", (run / "model.safetensors").stat().st_mtime_ns
    whole = [row["response"] for row in map(json.loads, answers.read_text().splitlines())]
    answers.unlink()
    (run / "run.json").unlink()
    assert again(compared, out=copied) == 0
    assert [row["response"] for row in map(json.loads, answers.read_text().splitlines())] == whole
    assert (run / "run.json").exists() and (run / "model.safetensors").stat().st_mtime_ns == before


def test_designs_that_are_asked_other_items_are_not_compared(compared, tmp_path, capsys):
    (tmp_path / "other.yaml").write_text(f"extends: {TINY}\nset: {{data.suite.photo_share: 0.5}}\n")
    assert main(["compare", str(TINY), str(tmp_path / "other.yaml"), "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "compare: other and tiny would be asked different items: data.suite differs in photo_share; "
        "the same suite would be right"
    )
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (
            ["blind.yaml"],
            "compare: 'blind' is made by the comparison itself; another file name would be right",
        ),
        (
            ["oracle.yaml"],
            "compare: 'oracle' is made by the comparison itself; another file name would be right",
        ),
        (["a b.yaml"], "compare: a b.yaml: its file name names its runs' folders; letters, digits"),
        ([str(TINY), str(TINY)], "compare: two designs are called 'tiny'; other file names would be right"),
        ([str(TINY), "--seeds", "0"], "compare: --seeds is 0; 1 or more would be right"),
        ([str(TINY), "--items", "0"], "compare: --items is 0; 1 or more would be right"),
        ([str(TINY), "--other-items", "-1"], "compare: --other-items is -1; 1 or more would be right"),
        (
            ["cascade"],
            "compare: cascade train on no questions with pictures, so there is no blind twin; --no-blind",
        ),
        (
            [str(TINY), "--seeds", "x"],
            "vlmloom compare: argument --seeds: invalid int value: 'x'; `vlmloom comp",
        ),
    ],
)
def test_a_comparison_that_cannot_be_made_is_one_line(tmp_path, monkeypatch, capsys, call, told):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *call]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    print(line)
    assert line.startswith(told)
    assert not list(tmp_path.rglob("*.json"))


def test_blind_is_the_twin_of_the_first_design_that_sees_pictures(tmp_path):
    from vlmloom.pipelines.compare import Plan, own_budget, withheld_stages

    plan = Plan({"cascade": "nano/cascade", "adapter": "nano/adapter", "native": "nano/native"}, tmp_path)
    assert withheld_stages(plan) == ("adapter", [2])
    assert own_budget(plan) == ("flops", 5e12)


@pytest.mark.parametrize(
    "budget", ["samples=1.5", "flops", "flops=many", "steps=3", "samples=-1", "seconds=inf"]
)
def test_a_budget_that_is_none_is_one_line(budget, capsys):
    assert main(["compare", str(TINY), "--budget", budget]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"--budget {budget}: flops=2e13")
