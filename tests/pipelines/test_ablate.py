"""`vlmloom ablate`: arms beside their base, what their parts report, and every mistake in one line."""

import json
from pathlib import Path
from statistics import mean

import pytest

from vlmloom.pipelines.ablate import arms, read_ablation, settings
from vlmloom.pipelines.cli import main
from vlmloom.pipelines.loading import compose_experiment

TINY = Path(__file__).with_name("tiny.yaml")
MMTP = "assembly.head.mmtp"
WHOLE = f"""
base: {{extends: tiny.yaml, set: {{{MMTP}.depth: 2}}}}
axes:
  {MMTP}.visual_input: [shared_token, masked]
  {MMTP}: [{{visual_input: shared_set, set_tokens: 4, assign: router}}]
budget: {{samples: 100}}
seeds: 1
items: {{test: 3, other: 1}}
"""


@pytest.fixture(scope="module")
def ablated(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ablate")
    (folder / "tiny.yaml").write_text(TINY.read_text())
    (folder / "whole.yaml").write_text(WHOLE)
    assert main(["ablate", str(folder / "whole.yaml"), "--out", str(folder / "out")]) == 0
    return folder


@pytest.fixture(scope="module")
def report(ablated) -> dict:
    return json.loads((ablated / "out" / "report.json").read_text())


ARMS = ["base", "visual_input-masked", "shared_set-4-router"]


def test_every_arm_is_a_design_beside_the_base(report):
    assert report["complete"] and report["base"] == "base" and report["reference"] is None
    assert [design["name"] for design in report["designs"]] == ARMS
    assert "set_tokens: 4" in report["configs"][ARMS[2]] and "set_tokens" not in report["configs"]["base"]
    assert all(text.count("depth: 2\n") == 2 for text in report["configs"].values()), (
        "the base's own changes hold in every arm"
    )
    assert report["budget"] == {"kind": "samples", "value": 100}
    pairs = {(row["design"], row["against"]) for row in report["differences"]}
    assert {("base", arm) for arm in ARMS[1:]} <= pairs


def test_what_parts_report_stands_beside_the_accuracies(ablated, report):
    values = {(row["measure"], row["design"]): row for row in report["measures"]}
    for arm in ARMS:
        assert values["lm/loss", arm]["batches"] == 3
        depths = [values[f"mmtp/loss_{depth}", arm]["value"] for depth in (1, 2)]
        assert values["mmtp/loss", arm]["value"] == pytest.approx(sum(depths) / 2, rel=1e-5)
    leads = {(row["measure"], row["design"]): row for row in report["measure_differences"]}
    assert {row["against"] for row in leads.values()} == {"base"}
    runs = {
        arm: json.loads((ablated / "out" / "runs" / f"{arm}-seed0" / "run.json").read_text()) for arm in ARMS
    }
    for (measure, arm), row in leads.items():
        pairs = zip(runs[arm]["measures"][measure], runs["base"]["measures"][measure], strict=True)
        # A batch in which no answer outlives its first pass gained nothing to compare.
        value = mean(own - other for own, other in pairs if None not in (own, other))
        assert row["difference"] == pytest.approx(value, abs=1e-6)
        assert row["low"] <= row["difference"] <= row["high"]
    curves = {(curve["design"]): curve["points"] for curve in report["curves"]}
    assert all(point["parts"]["mmtp/loss_2"] > 0 for point in curves["base"] if point["parts"])
    assert any(point["parts"] for point in curves["base"])


def test_bytes_over_a_boundary_are_those_of_the_published_width(report):
    way = "head.mmtp/boundary bytes a visual slot at width 6144, "
    told = {(row["design"], row["name"]): row["value"] for row in report["declared"]}
    assert told["base", f"{way}forward"] == told[ARMS[1], f"{way}forward"] == 0
    assert (told[ARMS[2], f"{way}forward"], told[ARMS[2], f"{way}backward"]) == (1, 8)


def test_the_page_tells_each_change(ablated):
    page = (ablated / "out" / "report.html").read_text()
    assert "what changes when base is changed?" in page and 'id="parts"' in page
    assert "visual_input-masked" in page and "boundary bytes a visual slot" in page


def test_a_finished_ablation_is_not_trained_again_and_not_mixed_with_another(ablated, capsys):
    weights = {path: path.stat().st_mtime_ns for path in (ablated / "out").rglob("model.safetensors")}
    call = ["ablate", str(ablated / "whole.yaml"), "--out", str(ablated / "out")]
    assert len(weights) == 3 and main(call) == 0
    assert {path: path.stat().st_mtime_ns for path in weights} == weights
    capsys.readouterr()
    assert main([*call, "--budget", "samples=50"]) == 2
    assert "'samples: 100', now 'samples: 50'" in capsys.readouterr().err


def made(source: Path, *axes: str, grid: bool = False) -> dict:
    root = read_ablation(str(source), axes)
    return arms(root, settings(root), grid=grid)


def test_a_grid_has_every_combination_and_the_base_once():
    axes = (f"{MMTP}.depth=1,2", "assembly.language.depth=2,3")
    names = list(made(TINY, *axes))
    assert names == ["base", "depth-2", "depth-3"]
    assert list(made(TINY, *axes, grid=True)) == [
        "base",
        "depth-1+depth-3",
        "depth-2+depth-2",
        "depth-2+depth-3",
    ]


def test_a_component_is_swapped_in():
    found = made(TINY, "assembly.projector={use: projector/linear},{use: projector/merger, block: 1}")
    assert list(found) == ["base", "projector-linear", "projector-merger-1"]


def test_an_arm_lies_over_what_the_base_sets_and_keeps_the_rest(tmp_path):
    """The base sets the mapping that an axis is laid over, and a leaf below it."""
    (tmp_path / "over.yaml").write_text(
        f"base: {{extends: {TINY}, set: {{{MMTP}: {{depth: 3}}, {MMTP}.loss_weight: 0.5}}}}\n"
        f"axes: {{{MMTP}: [{{visual_input: shared_set, set_tokens: 4, loss_weight: 0.1}}]}}\n"
    )
    (_, arm) = made(tmp_path / "over.yaml").values()
    head = compose_experiment(arm).root.plain()["assembly"]["head"]["mmtp"]
    assert (head["depth"], head["visual_input"], head["set_tokens"]) == (3, "shared_set", 4)
    assert head["loss_weight"] == 0.1


def test_the_command_line_comes_after_the_file(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY.read_text())
    (tmp_path / "whole.yaml").write_text(WHOLE)
    root = read_ablation(str(tmp_path / "whole.yaml"), [f"{MMTP}.visual_input=visual_embedding"])
    asked = settings(root, {"seeds": 4, "items.test": 9})
    assert (asked.seeds, asked.items.test, asked.items.other, asked.budget.samples) == (4, 9, 1, 100)
    assert list(arms(root, asked)) == ["base", "visual_input-visual_embedding", "shared_set-4-router"]


WRONG = [
    (
        f"axes: {{{MMTP}.dept: [2]}}",
        f"wrong.yaml:3: {MMTP}.dept: head/mmtp has no such key; did you mean depth?",
    ),
    (f"axes: {{{MMTP}.depth: [deep]}}", f"wrong.yaml:3: {MMTP}.depth: found 'deep'; needs int"),
    (f"axes: {{{MMTP}.depth: [1]}}", "holds only the base's own value; another beside it would be right"),
    (f"axes: {{{MMTP}.depth: []}}", "holds only the base's own value; another beside it would be right"),
    (f"axes: {{{MMTP}.depth: 2}}", f"axes.{MMTP}.depth: found 2; needs list"),
    (f"axes: {{{MMTP}.depth: [2, 2]}}", "depth-2 is the same as depth-2; each once would be right"),
    ("axes: {assembly.vision.tower.width: [2]}", "vision/cogvit has no such key"),
    ("axes: {data.suite.things: [9]}", "would be asked different items: data.suite differs in things"),
    ("axes: [2]", "wrong.yaml:3: axes: found a list of 1; needs"),
    ("seeds: 2", "wrong.yaml: no axes; --axis key=v1,v2 would be right"),
    (f"axes: {{{MMTP}.depth: [2]}}\nseeds: 0", "seeds: found 0; 1 or more would be right"),
    (
        f"axes: {{{MMTP}.depth: [2]}}\nseed: 3",
        "wrong.yaml:4: seed: Ablation has no such key; did you mean seeds?",
    ),
    (f"axes: {{{MMTP}.depth: [2]}}\nbudget: {{steps: 3}}", "budget.steps: Budget has no such key"),
    (f"axes: {{{MMTP}.depth: [2]}}\nitems: {{test: 0}}", "items.test: found 0; 1 or more would be right"),
]


@pytest.mark.parametrize(("text", "told"), WRONG)
def test_a_mistake_in_the_file_is_one_line_and_leaves_nothing(tmp_path, capsys, text, told):
    (tmp_path / "wrong.yaml").write_text(f"# An ablation.\nbase: {TINY}\n{text}\n")
    assert main(["ablate", str(tmp_path / "wrong.yaml"), "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    print(line)
    assert told in line and not list(tmp_path.glob("out/*"))
    if "data.suite" not in text:
        assert main(["validate", str(tmp_path / "wrong.yaml")]) == 2
        assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--axis", "depth"], "--axis depth: write --axis key=v1,v2"),
        (["--axis", f"{MMTP}.depth=1,{{"], f"--axis {MMTP}.depth=1,{{: "),
        (["--axis", f"{MMTP}.depth=2", "--budget", "steps=3"], "--budget steps=3: flops=2e13"),
        (["--axis", f"{MMTP}.depth=2", "--items", "0"], "--items 0: items.test: found 0; 1 or more"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(tmp_path, capsys, options, told):
    assert main(["ablate", str(TINY), *options, "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    print(line)
    assert told in line and not (tmp_path / "out").exists()


def test_validate_looks_at_the_weights_of_every_arm(tmp_path, capsys):
    file = tmp_path / "which.yaml"
    (tmp_path / "empty").mkdir()
    file.write_text(
        f"base: {TINY}\naxes:\n  weights.folder: [{tmp_path}/none, {tmp_path}/empty]\n  seed: [1]\n"
    )
    assert main(["validate", str(file)]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{file}:3: weights.folder: {tmp_path}/none: there is no such checkpoint")
    assert second.startswith(f"{file}:3: weights.folder: {tmp_path}/empty: has neither")
