"""The main job in small: a design with a part from outside the package beside another, and the report."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from vlmloom.pipelines.cli import main
from vlmloom.registry.catalog import catalog

TINY = Path(__file__).with_name("tiny.yaml")

PLUGIN = '''
"""A projector of somebody else's: tokens through one tanh layer."""
import torch
from vlmloom.components.contracts.kinds import Projector
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


@pytest.mark.parametrize("budget", ["flops", "flops=many", "steps=3", "samples=-1", "seconds=inf"])
def test_a_budget_that_is_none_is_one_line(budget, capsys):
    assert main(["compare", str(TINY), "--budget", budget]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"--budget {budget}: flops=2e13")
