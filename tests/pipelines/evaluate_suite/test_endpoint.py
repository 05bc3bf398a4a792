"""A model behind a real local endpoint: what goes along, and everything that may go wrong on the way."""

import base64
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from chat_server import ChatServer
from PIL import Image

from vlmloom.components.task.mixture import world_of
from vlmloom.pipelines.cli import main
from vlmloom.pipelines.evaluate_suite import endpoint
from vlmloom.pipelines.evaluate_suite.endpoint import messages
from vlmloom.pipelines.evaluate_suite.local import _conversation
from vlmloom.pipelines.suites import open_suite
from vlmloom.registry import build

HERE = Path(__file__).parent
SUMS, BOTH = str(HERE / "sums.yaml"), str(HERE / "both.yaml")


@pytest.fixture(autouse=True)
def brisk(monkeypatch):
    """Pauses between tries are as long as ever, but for a tenth of the time."""
    monkeypatch.setattr(endpoint, "FIRST_PAUSE", 0.05)


@pytest.fixture(scope="module")
def suite():
    return open_suite(BOTH)[0]


def evaluate(server, folder, *options, suite=SUMS, items=12):
    url = server if isinstance(server, str) else server.url
    arguments = ["evaluate", url, "--model", "adder", "--suite", suite, "--items", str(items)]
    status = main([*arguments, "--out", str(folder), *options])
    return status, json.loads((folder / "report.json").read_text())


def overall(report):
    (row,) = [row for row in report["told"] if row["category"] is None]
    return row


def accuracy(report, category="arithmetic"):
    return next(row["accuracy"] for row in report["summary"] if row["category"] == category)


def test_pictures_go_along_as_they_are(suite):
    sample = suite.tasks["count"].plan("test", 0)
    (message,) = messages(sample)
    picture, text = message["content"]
    assert text == {"type": "text", "text": sample.prompt[-1]} and message["role"] == "user"
    head, _, data = picture["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    found = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert np.array_equal(found, sample.pictures[0].render()[0])


@pytest.mark.parametrize("to", [messages, _conversation])
def test_a_clip_goes_along_with_its_times(to):
    task = build({"use": "task/temporal_grounding"}, world=world_of(shift=[], side=64))
    sample = task.plan("test", 0)
    (message,) = to(sample)
    *parts, text = message["content"]
    assert text["text"] == sample.prompt[-1]
    (clip,) = sample.pictures
    assert [part["text"] for part in parts[::2]] == [f"{time:g} s:" for time in clip.times]
    assert all("image" in part["type"] for part in parts[1::2]) and len(parts) == 2 * clip.frames


def test_right_answers_are_right_and_counted(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    options = ("--key-env", "MY_KEY", "--price", "2", "10", "--tokens", "9")
    with ChatServer() as server:
        status, report = evaluate(server, tmp_path, *options)
    assert status == 0 and accuracy(report) == 1
    row = overall(report)
    assert (row["judged"], row["retried"], row["tokens_in"], row["tokens_out"]) == (12, 0, 84, 24)
    assert row["cost"] == pytest.approx((84 * 2 + 24 * 10) / 1e6) and row["answer_tokens"] == 2
    assert all(head["authorization"] == "Bearer secret" for head in server.heads)
    assert all(body["max_tokens"] == 9 and body["model"] == "adder" for body in server.bodies)
    assert "secret" not in "".join(path.read_text() for path in tmp_path.iterdir())


def test_half_a_surrogate_pair_is_an_answer_and_one_cut_off_is_told(tmp_path, capsys):
    seen = {}

    def misbehave(question, times):
        return seen.setdefault(question, ("half", "length", "fine")[len(seen) % 3])

    with ChatServer(misbehave) as server:
        status, report = evaluate(server, tmp_path)
        assert status == 0 and overall(report)["judged"] == 12 and overall(report)["cut"] == 4
        assert accuracy(report) == pytest.approx(8 / 12)
        assert "4 cut off at the longest" in capsys.readouterr().out
        assert "\\ud800" in (tmp_path / "answers-adder-test.jsonl").read_text()
        assert "cut off" in (tmp_path / "report.html").read_text(encoding="utf-8")
        asked = len(server.bodies)
        assert evaluate(server, tmp_path)[0] == 0 and len(server.bodies) == asked


def test_what_passes_is_tried_again_and_loses_nothing(tmp_path):
    faults = ("fine", "429", "500", "garbage", "cut", "null", "drip")
    seen = {}

    def misbehave(question, times):
        how = seen.setdefault(question, faults[len(seen) % len(faults)])
        return how if times == 1 else "fine"

    with ChatServer(misbehave) as server:
        status, report = evaluate(server, tmp_path, "--timeout", "1", items=14)
    assert status == 0 and accuracy(report) == 1 and set(seen.values()) == set(faults)
    row = overall(report)
    spoilt = [question for question, how in seen.items() if how != "fine"]
    assert row["judged"] == 14 and sum(row["faults"].values()) == 0 and row["retried"] >= len(spoilt) > 6
    assert all(server.asked[question] > 1 for question in spoilt)


def test_what_does_not_pass_is_a_fault_of_its_item_and_no_wrong_answer(tmp_path, capsys):
    always = {"400": "HTTP 400", "500": "HTTP 500", "garbage": "no chat completion", "slow": "within 0.3 s"}
    always |= {"null": "content is NoneType", "cut": "cut off with"}
    kinds, seen = ["fine", *always], {}

    def misbehave(question, times):
        return seen.setdefault(question, kinds[len(seen) % len(kinds)])

    options = ("--timeout", "0.3", "--tries", "2", "--concurrency", "4")
    with ChatServer(misbehave) as server:
        status, report = evaluate(server, tmp_path, *options, items=21)
    row = overall(report)
    assert status == 1 and accuracy(report) == 1
    assert 0 < row["faults"]["target"] == 21 - row["judged"] and row["judged"] > 0
    told = " ".join(fault["error"] for fault in report["faults"])
    assert all(words in told for words in always.values())
    # What another try cannot help is not tried again.
    refused = [question for question, how in seen.items() if how == "400"]
    assert refused and all(server.asked[question] % 2 or server.asked[question] == 2 for question in refused)
    assert "failed" in capsys.readouterr().out
    # The same command asks again what failed, and nothing else.
    with ChatServer() as better:
        # The address is another one, so the answers are those of another target; it is put into the file.
        file = next(tmp_path.glob("answers-*.jsonl"))
        file.write_text(file.read_text().replace(server.url, better.url))
        status, report = evaluate(better, tmp_path, *options, items=21)
    assert status == 0 and overall(report)["judged"] == 21 and accuracy(report) == 1
    assert sum(better.asked.values()) == row["faults"]["target"]


def test_an_endpoint_that_is_down(tmp_path):
    with ChatServer() as server:
        url = server.url
    status, report = evaluate(url, tmp_path, "--tries", "2", items=3)
    assert status == 1 and report["summary"] == [] and overall(report)["faults"]["target"] == 3
    assert "ConnectionRefusedError" in report["faults"][0]["error"] and report["faults"][0]["tries"] == 2
    assert "3 of 3 items failed" in (tmp_path / "report.html").read_text()


def test_an_endpoint_that_dies_in_the_middle_and_comes_back_changes_nothing_in_the_report(tmp_path):
    def numbers(report):
        told = [
            {key: row[key] for key in row if not key.startswith("seconds") and key != "retried"}
            for row in report["told"]
        ]
        return report["summary"], told, report["faults"]

    with ChatServer() as server:
        _, calm = evaluate(server, tmp_path / "calm", items=20)
    options = ("--tries", "2", "--concurrency", "2")
    dying = ChatServer(lambda question, times: dying.stop() or "fine" if len(dying.bodies) >= 8 else "fine")
    with dying:
        status, report = evaluate(dying, tmp_path / "out", *options, items=20)
    row = overall(report)
    assert status == 1 and row["judged"] + row["faults"]["target"] == 20 and 6 <= row["judged"] <= 9
    assert accuracy(report) == 1 and {fault["tries"] for fault in report["faults"]} == {2}
    with ChatServer() as back:
        file = next((tmp_path / "out").glob("answers-*.jsonl"))
        file.write_text(file.read_text().replace(dying.url, back.url))
        status, report = evaluate(back, tmp_path / "out", *options, items=20)
    assert status == 0 and numbers(report) == numbers(calm)
    assert sum(back.asked.values()) == row["faults"]["target"]


def test_a_killed_evaluation_goes_on_where_it_was(tmp_path):
    with ChatServer(seconds=0.05) as server:
        arguments = [sys.executable, "-m", "vlmloom", "evaluate", server.url, "--model", "adder"]
        arguments += ["--suite", SUMS, "--items", "60", "--concurrency", "2", "--out", str(tmp_path / "out")]
        process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        file = tmp_path / "out" / "answers-adder-test.jsonl"
        until = time.monotonic() + 120
        while not (file.exists() and file.read_bytes().count(b"\n") > 10):
            assert time.monotonic() < until and process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept = [
            json.loads(line) for line in file.read_bytes().splitlines(keepends=True)[1:] if line[-1:] == b"\n"
        ]
        assert 10 <= len(kept) < 50
        # A line that was being written is no answer.
        with open(file, "ab") as half:
            half.write(b'{"split": "test", "cat')
        before = server.asked.copy()
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, env={**os.environ})
        assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in file.read_text().splitlines()[1:]]
    assert sorted(row["item"] for row in rows) == list(range(60)) and rows[: len(kept)] == kept
    # Nothing that was on disk is asked again, and no more than what was under way is asked twice.
    assert sum((server.asked - before).values()) == 60 - len(kept)
    assert sum(before.values()) - len(kept) <= 3
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert accuracy(report) == 1 and overall(report)["judged"] == 60


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["ftp://x"], "ftp://x is no target; oracle, random, empty, the folder of a run"),
        (["http:///v1#m"], "http:///v1 is no address; http://localhost:8000/v1 would be right"),
        (["http://x/v1"], "http://x/v1 needs --model NAME, or http://x/v1#NAME"),
        (["oracle", "oracle"], "oracle stands twice; each target once would be right"),
        (
            ["oracle", "--split", "shift"],
            "suite sums has no shift split here; one of train",
        ),
        (["oracle", "--items", "0"], "--items is 0; 1 or more would be right"),
        (["oracle", "--timeout", "0"], "--timeout is 0; above 0, at most 86,400 would"),
        (["oracle", "--price", "-1", "nan"], "--price is -1 nan; 0 or more would be right"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, line, tmp_path, capsys):
    assert main(["evaluate", *arguments, "--suite", SUMS, "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert line in error and error.count("\n") == 1


def test_several_targets_need_a_suite(capsys):
    assert main(["evaluate", "oracle", "random"]) == 2
    assert "several targets need --suite NAME" in capsys.readouterr().err


def test_answers_to_other_questions_are_not_mixed_in(tmp_path, capsys):
    assert main(["evaluate", "empty", "--suite", SUMS, "--items", "2", "--out", str(tmp_path)]) == 0
    arguments = [
        "evaluate",
        "empty",
        "--suite",
        SUMS,
        "--items",
        "2",
        "--out",
        str(tmp_path),
        "--set",
        "seed=1",
    ]
    assert main(arguments) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "answers-empty-test.jsonl: holds answers to other questions" in error and "suite" in error


@pytest.mark.parametrize(
    "more", [["--tokens", "3"], ["--set", "a=1"], ["--seconds", "3"], ["--out", "x"], ["--limit", "a=1"]]
)
def test_what_only_a_suite_takes_is_not_dropped_without_one(more, tmp_path, capsys):
    assert main(["evaluate", str(tmp_path), *more]) == 2
    told = f"evaluate: {more[0]} needs --suite NAME; a run's own suite is asked as it was trained\n"
    assert capsys.readouterr().err == told
