"""Pictures that differ in one thing alone, paired differences, and what is kept."""

import json
from pathlib import Path

import numpy as np
import pytest
from squares import SIDE, THINGS, sprites

from vlmloom.pipelines.cli import main
from vlmloom.pipelines.evaluate_vision import compare, pictures
from vlmloom.pipelines.evaluate_vision.pictures import Plan, draw_all
from vlmloom.pipelines.evaluate_vision.report import answers, document
from vlmloom.pipelines.evaluate_vision.score import NAMES, Score
from vlmloom.pipelines.verbs import evaluate_vision

TINY = "vision/cogvit,width=16,depth=1,heads=2,patch=8"
PLAN = Plan("plain", things=4, views=4, side=SIDE, shift="other", sizes=(16, 64))
OPTIONS = ["--things", "4", "--views", "4", "--side", str(SIDE), "--source", "plain", "--shift", "other"]


@pytest.fixture(autouse=True)
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two styles of the same things; the other one lacks one of them and has its own order."""
    made = {
        "plain": sprites(tmp_path / "plain"),
        "other": sprites(tmp_path / "other", order=[5, 3, 1, 4, 2], seed=1),
    }
    monkeypatch.setattr(pictures, "sprites_of", lambda source, option: made[source])


def test_shifted_pictures_differ_in_the_style_of_the_thing_alone(tmp_path: Path) -> None:
    drawn = draw_all(PLAN)
    test, shift = drawn.tests["test"], drawn.tests["shift"]
    assert "0" not in drawn.names and len(set(drawn.names)) == 4
    assert np.array_equal(test.masks, shift.masks) and np.array_equal(test.things, shift.things)
    changed = (test.frames != shift.frames).any(-1)
    assert (changed & test.masks).sum() > 0.9 * test.masks.sum()
    reach = np.array([mask.sum() for mask in changed & ~test.masks])
    assert (reach < 0.5 * test.masks.sum((1, 2))).all()  # the soft edge of the cut-out
    others = sprites(tmp_path / "again", order=[5, 3, 1, 4, 2], seed=1)
    for frame, mask, thing in zip(shift.frames, test.masks, shift.things, strict=True):
        middle = tuple(np.argwhere(mask).mean(0).astype(int))
        own = others.pixels[others.codes.index(drawn.names[thing]), 8, 8, :3]
        assert np.array_equal(frame[middle], own)


def test_things_that_trainings_leave_out_are_taken_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "unseen", lambda code: code in ("1", "4"))
    for seed in range(5):
        three, two = (draw_all(Plan("plain", things=things, side=SIDE, seed=seed)) for things in (3, 2))
        assert {"1", "4"} < set(three.names) and three.unseen == 2
        assert set(two.names) == {"1", "4"} and two.unseen == 2


def test_pictures_of_other_sides_show_the_same_places_and_sizes() -> None:
    tests = draw_all(PLAN).tests
    for side in PLAN.sizes:
        assert tests[f"{side} px"].frames.shape[1:] == (side, side, 3)
        np.testing.assert_allclose(tests[f"{side} px"].centres, tests["test"].centres, atol=1.5 / 16)
        np.testing.assert_allclose(tests[f"{side} px"].sizes, tests["test"].sizes, atol=1 / 16)


def test_differences_are_paired_and_turned_to_the_tower_that_is_asked_for() -> None:
    things = np.repeat(np.arange(20), 2)
    hard = things % 2
    scores = {"one": hard, "two": np.where(things == 0, 1, hard), "three": 1 - hard}
    told = {
        name: answers(
            name, [Score("knn", split, own.astype(float), things) for split in ("test", "shift")], 0
        )
        for name, own in scores.items()
    }
    found = document(told, {"knn": 0.05}, "two", 0, {})
    rows = {row["design"]: row for row in found["differences"] if row["split"] == "test"}
    assert list(rows) == ["one", "three"] and all(row["against"] == "two" for row in rows.values())
    for name, row in rows.items():
        assert row["difference"] == pytest.approx(scores[name].mean() - scores["two"].mean())
        assert row["low"] <= row["difference"] <= row["high"]
    # But for one thing both answer alike, so the paired interval is narrow where the plain one is not.
    summary = next(row for row in found["summary"] if (row["design"], row["split"]) == ("one", "test"))
    assert rows["one"]["high"] - rows["one"]["low"] < 0.5 * (summary["high"] - summary["low"])
    assert [row["difference"] for row in found["drops"]] == [0, 0, 0]


def test_the_verb_puts_two_towers_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    towers = [TINY, f"{TINY},size=16"]
    assert main(["evaluate-vision", *towers, *OPTIONS, "--sizes", "16", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "report.json").read_text())
    wanted = {("test", name) for name in NAMES if name not in ("zero_shot", "retrieval")}
    robust = ("knn", "linear", "instance_recall")
    wanted |= {(split, name) for split in ("shift", "16 px") for name in robust}
    for tower in towers:
        own = [row for row in found["summary"] if row["design"] == tower]
        assert {(row["split"], row["category"]) for row in own} == wanted
    assert all(0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1 for row in found["summary"])
    printed = capsys.readouterr().out
    assert all(
        f"{row['accuracy']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" in printed for row in found["summary"]
    )
    assert all(f"{row['difference']:+z.3f} [" in printed for row in found["differences"] + found["drops"])
    assert "<h2>Scores</h2>" in (tmp_path / "report.html").read_text()
    chances = {category["name"]: category["chance"] for category in found["categories"]}
    assert NAMES == evaluate_vision.NAMES
    assert chances["linear"] == 1 / 4 and chances["count"] == 1 / 6
    assert 0 < chances["correspondence"] < 0.04 < chances["position"] < 0.5 > chances["segmentation"] > 0.3


def test_what_is_kept_is_not_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["evaluate-vision", TINY, *OPTIONS, "--only", "knn", "count", "--out", str(tmp_path)]
    assert main(call) == 0
    first = json.loads((tmp_path / "report.json").read_text())
    looked: list[str] = []
    scored = compare.score
    monkeypatch.setattr(compare, "score", lambda *args: looked.append("again") or scored(*args))
    assert main(call) == 0 and not looked
    again = json.loads((tmp_path / "report.json").read_text())
    assert again["summary"] == first["summary"] and again["categories"] == first["categories"]
    assert main([*call, "--seed", "1"]) == 0 and len(looked) == 1
    next((tmp_path / compare.KEPT).glob("*.json")).write_text("{}")
    capsys.readouterr()
    assert 2 in (main(call), main([*call, "--seed", "1"]))
    assert "holds no scores; without the file the tower is looked at again" in capsys.readouterr().err


def test_too_few_shared_things_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate-vision", TINY, *OPTIONS, "--things", str(THINGS)]) == 2
    assert "--things is 6; plain and other share 5" in capsys.readouterr().err
