import json
from dataclasses import replace
from pathlib import Path

import pytest

from vlmloom.pipelines.report import Run, build_document, read_answers, write_answers, write_report
from vlmloom.pipelines.report.document import VISUAL_MEAN
from vlmloom.pipelines.report.wording import between, find
from vlmloom.registry.errors import UserError


@pytest.fixture(scope="module")
def document(comparison):
    return build_document(comparison, resamples=400)


def test_results_are_one_row_per_design_seed_split_and_category(document, comparison):
    keys = [(row["design"], row["seed"], row["split"], row["category"]) for row in document["results"]]
    assert len(set(keys)) == len(keys) == 5 * 2 * 3 * 13
    for row in document["results"]:
        assert set(row) == {"design", "seed", "split", "category", "items", "accuracy", "low", "high"}
        assert 0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1
        assert row["items"] == 60


def test_accuracies_are_those_of_the_answers(document, comparison):
    chosen = [
        a for a in comparison.answers if (a.design, a.split, a.category) == ("adapter", "shift", "read")
    ]
    row = find(document["summary"], design="adapter", split="shift", category="read")
    assert row["accuracy"] == pytest.approx(sum(a.correct for a in chosen) / len(chosen))
    visual = {c.name for c in comparison.categories if c.visual}
    rows = [
        r["accuracy"]
        for r in document["summary"]
        if (r["design"], r["split"]) == ("adapter", "shift") and r["category"] in visual
    ]
    mean = find(document["summary"], design="adapter", split="shift", category=VISUAL_MEAN)
    assert mean["accuracy"] == pytest.approx(sum(rows) / len(rows))
    assert len(rows) == 12


def test_differences_turn_around(document):
    one = between(document, "native", "adapter", "test")
    other = between(document, "adapter", "native", "test")
    assert one["difference"] == -other["difference"] > 0
    assert (one["low"], one["high"]) == (-other["high"], -other["low"])
    assert [p["difference"] for p in one["points"]] == [-p["difference"] for p in other["points"]]


def test_errors_split_into_perception_and_reasoning(document):
    for row in document["error_split"]:
        assert row["correct"] + row["perception"] + row["reasoning"] == pytest.approx(1)
    mean = find(document["error_split"], design="cascade", split="test", category=VISUAL_MEAN)
    oracle = find(document["summary"], design="oracle", split="test", category=VISUAL_MEAN)
    cascade = find(document["summary"], design="cascade", split="test", category=VISUAL_MEAN)
    assert mean["perception"] == pytest.approx(oracle["accuracy"] - cascade["accuracy"])
    assert mean["reasoning"] == pytest.approx(1 - oracle["accuracy"])


def test_categories_at_the_floor_are_listed(document):
    listed = {(row["design"], row["category"]) for row in document["floor"] if row["split"] == "test"}
    assert ("native", "clip_order") in listed
    assert ("cascade", "which_image") in listed
    assert ("native", "count") not in listed
    assert not any(category == "arithmetic" for _, category in listed)


def test_a_family_is_the_mean_of_its_categories_and_has_paired_differences(document):
    def accuracy(category):
        (row,) = [
            row
            for row in document["summary"]
            if (row["design"], row["split"], row["category"]) == ("native", "test", category)
        ]
        return row["accuracy"], row["items"]

    names = ("read", "chart_value", "table_cell")
    assert accuracy("documents mean")[0] == pytest.approx(sum(accuracy(name)[0] for name in names) / 3)
    assert accuracy("documents mean")[1] == sum(accuracy(name)[1] for name in names)
    assert accuracy("video mean") == accuracy("clip_order")
    every = [accuracy(category["name"])[0] for category in document["categories"]]
    assert accuracy("mean of all")[0] == pytest.approx(sum(every) / len(every))
    found = between(document, "native", "blind", "test", "documents mean")
    parts = [between(document, "native", "blind", "test", name)["difference"] for name in names]
    assert found["difference"] == pytest.approx(sum(parts) / 3)
    assert not [row for row in document["results"] if row["category"].endswith("mean")]


def test_partial_comparison_says_what_is_missing(make_comparison):
    partial = make_comparison(done=[("native", 0), ("blind", 0), ("native", 1)], items=20, splits=("test",))
    document = build_document(partial, resamples=100)
    assert not document["complete"]
    assert {"design": "blind", "seed": 1} in document["missing"]
    assert {"design": "native", "seed": 1} not in document["missing"]
    gain = between(document, "native", "blind", "test")
    assert [point["seed"] for point in gain["points"]] == [0]
    assert document["error_split"] == []


def test_files_are_strict_json_and_whole(make_comparison, tmp_path: Path):
    comparison = make_comparison(items=20, splits=("test",))
    points = comparison.runs[0].curve
    points[0] = replace(points[0], loss=float("nan"))
    page = write_report(comparison, tmp_path)
    text = (tmp_path / "report.json").read_text()

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    document = json.loads(text, parse_constant=refuse)
    assert document["curves"][0]["points"][0]["loss"] is None
    assert page == tmp_path / "report.html"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_failing_report_leaves_the_old_one(make_comparison, tmp_path: Path):
    comparison = make_comparison(items=20, splits=("test",))
    write_report(comparison, tmp_path)
    before = (tmp_path / "report.json").read_bytes()
    broken = replace(comparison, answers=[*comparison.answers, replace(comparison.answers[0], correct=2.0)])
    with pytest.raises(ValueError, match=r"correct is 2.0; it must be from 0 to 1"):
        write_report(broken, tmp_path)
    assert (tmp_path / "report.json").read_bytes() == before
    with pytest.raises(ValueError, match="runs: design 'natvie' is not listed; listed are native, adapter"):
        build_document(replace(comparison, runs=[replace(comparison.runs[0], design="natvie")]))


def test_nothing_evaluated_yet_is_still_a_report(make_comparison, tmp_path: Path):
    page = write_report(make_comparison(done=[]), tmp_path).read_text()
    assert "Nothing has been evaluated yet." in page


def test_answers_and_runs_round_trip(comparison, tmp_path: Path):
    path = tmp_path / "answers.jsonl"
    write_answers(path, comparison.answers[:5])
    assert read_answers(path) == comparison.answers[:5]
    path.write_text(path.read_text() + '{"design": "na')
    with pytest.raises(UserError, match=r"answers\.jsonl:6: not an answer"):
        read_answers(path)
    run = comparison.runs[0]
    assert Run.from_dict(json.loads(json.dumps(run.to_dict()))) == run


def test_every_key_is_documented(document):
    described = (Path(__file__).parents[3] / "docs" / "report.md").read_text()
    for key in document:
        assert f"`{key}`" in described, f"docs/report.md does not describe {key}"
