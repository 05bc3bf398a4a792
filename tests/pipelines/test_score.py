"""Answers of any model, scored from a file through the command line."""

import json
import os
import time

import pytest

from vlmloom.components.reward.exact import Exact
from vlmloom.pipelines.cli import main
from vlmloom.pipelines.scoring.limited import Limited
from vlmloom.pipelines.scoring.line import Line
from vlmloom.pipelines.scoring.pool import Pool
from vlmloom.registry import build, compose


@pytest.fixture(scope="module")
def suite():
    return build(compose("suites/nano"))


def write(path, lines):
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return str(path)


def test_gold_and_wrong_answers(suite, tmp_path, capsys):
    gold = [suite.tasks["count"].plan("test", index).answer for index in range(4)]
    lines = [{"split": "test", "index": index, "response": answer} for index, answer in enumerate(gold)]
    lines[3]["response"] = "many"
    lines += [{"id": "count/validation/0", "response": "", "model": "x"}, ""]
    file, out = write(tmp_path / "answers.jsonl", lines), tmp_path / "scored.jsonl"
    assert main(["score", file, "--task", "count", "--suite", "nano", "--out", str(out), "--json"]) == 0
    test, validation = json.loads(capsys.readouterr().out)
    assert (test["task"], test["split"], test["answers"], test["items"]) == ("count", "test", 4, 4)
    assert test["mean"] == 0.75 and test["low"] <= 0.75 <= test["high"] and test["errors"] == 0
    assert (validation["mean"], validation["malformed"]) == (0, 1)
    scored = [json.loads(line) for line in out.read_text().splitlines()]
    assert [one["value"] for one in scored] == [1, 1, 1, 0, 0]
    assert [one["line"] for one in scored] == [1, 2, 3, 4, 5]
    assert scored[3]["gold"] == gold[3] and "many" in scored[3]["reason"]


def test_the_table_and_several_answers_to_one_item(suite, tmp_path, capsys):
    gold = suite.tasks["name"].plan("test", 7).answer
    lines = [{"id": "name/test/7", "response": gold}, {"id": "name/test/7", "response": "?"}]
    assert main(["score", write(tmp_path / "a.jsonl", lines), "--suite", "nano"]) == 0
    told = capsys.readouterr().out
    assert "0.500" in told and "malformed" in told


def test_an_answer_that_cannot_be_judged_is_an_error(suite, tmp_path, capsys, monkeypatch):
    def fails(self, sample, response):
        raise RuntimeError("out of order")

    monkeypatch.setattr(Exact, "score", fails)
    file = write(tmp_path / "a.jsonl", [{"id": "name/test/0", "response": "dog"}])
    assert main(["score", file, "--suite", "nano"]) == 1
    told = capsys.readouterr()
    assert "a.jsonl:1: RuntimeError: out of order" in told.err and "-" in told.out


def test_what_hangs_or_dies_is_an_error_and_loses_no_other_line(tmp_path, capsys):
    given = {"verifier": "odd", "question": "?", "answer": "right"}
    lines = [given | {"response": answer} for answer in ("right", "hang", "die", "wrong")]
    file, out = write(tmp_path / "a.jsonl", lines), tmp_path / "scored.jsonl"
    odd = ("--verifier", "odd={plugins: [odd_verifiers], use: reward/odd}", "--limit", "odd=0.5")
    assert main(["score", file, "--suite", "nano", *odd, "--out", str(out), "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["answers"], row["errors"], row["mean"]) == (4, 2, 0.5)
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert [one["value"] for one in found] == [1, None, None, 0]
    assert found[1]["error"] == "no reward within 0.5 seconds" and "SIGKILL" in found[2]["error"]


class Stuck:
    """A scorer whose questions hang before any answer is judged."""

    def rewards(self, line, planned):
        time.sleep(60)


def test_a_question_that_hangs_costs_its_time_once(monkeypatch):
    monkeypatch.setattr("vlmloom.pipelines.scoring.pool.STARTING", 1.5)
    pool = Pool(1, Stuck, start="fork")
    rewards = pool.submit(Line(["a", "b", "c"], verifier="odd"), 0.1).result(4.2)
    pool.close()
    assert [reward.error for reward in rewards] == ["no reward within 1.5 seconds"] * 3


def test_a_scorer_that_cannot_be_made_is_an_error_of_its_lines(monkeypatch, capfd):
    monkeypatch.setattr("vlmloom.pipelines.scoring.pool.time.sleep", lambda seconds: None)

    def made():
        raise OSError("no such suite")

    pool = Pool(1, made, start="fork")
    rewards = pool.submit(Line(["a", "b"], verifier="odd"), 1.0).result(20)
    pool.close()
    assert {reward.error for reward in rewards} == {
        "no worker process gets ready: the worker process died (status 1)"
    }
    assert len(rewards) == 2 and "no such suite" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "found {, no JSON"),
        ("[1]", "found a list; an object with `responses` would be right"),
        (
            {"split": "test", "index": 0},
            "responses: a list of one text or more would be right",
        ),
        (
            {"split": "test", "index": 0, "response": 7},
            "response: found 7; the answer as a text",
        ),
        (
            {"split": "tst", "index": 0, "response": ""},
            "split: task count has no 'tst'; it has train, vali",
        ),
        (
            {"split": "test", "index": -1, "response": ""},
            "index: found -1; a whole number from 0",
        ),
        (
            {"split": "test", "index": True, "response": ""},
            "index: found True; a whole number from 0 would be right",
        ),
        ({"split": "test", "response": ""}, "found neither an item nor an answer; task, split and index"),
        ({"id": "count/test/x", "response": ""}, "id: found 'count/test/x'; TASK/SPLIT/INDEX would be right"),
        ({"id": 5, "response": ""}, "id: found 5; TASK/SPLIT/INDEX would be right"),
        ({"id": "count/test/0", "index": 1, "response": ""}, "id: found 'count/test/0', but index is 1"),
        ({"response": "", "responses": [""]}, "found response and responses; one of them would be right"),
        ({"id": "name/test/0", "response": ""}, "task: found 'name'; count would be right"),
    ],
)
def test_a_bad_line_is_told(line, told, tmp_path, capsys):
    good = {"split": "test", "index": 0, "response": "1"}
    file = write(tmp_path / "a.jsonl", [good, line, good])
    assert main(["score", file, "--task", "count", "--suite", "nano"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith(f"{file}:2: ") and told in lines[0]


def test_bad_lines_are_told_once_and_counted(tmp_path, capsys):
    file = write(tmp_path / "a.jsonl", ["{"] * 25)
    assert main(["score", file, "--suite", "nano"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11 and lines[-1] == f"{file}: and 15 more lines"


GOOD = '{"id": "count/test/0", "response": "1"}\n'


@pytest.mark.parametrize(
    ("content", "more", "told"),
    [
        (None, [], "No such file or directory; a file of JSON lines would be right"),
        ("\n", [], "holds no answers; a line such as"),
        (
            '{"split": "test", "index": 0, "response": "1"}\n',
            [],
            "task or verifier: one of them is needed",
        ),
        ('{"id": "cont/test/0", "response": "1"}\n', [], "task: 'cont' is not known; known are name"),
        ("{}\n", ["--task", "cont"], "--task cont is not in the suite; did you mean count"),
        ("{}\n", ["--verifier", "a=reward/number,relative=-1"], "verifier a: reward/number: relative is -1"),
        ("{}\n", ["--verifier", "a=reward/exactly"], "verifier a: use: 'reward/exactly' is no component"),
        (
            "{}\n",
            ["--limit", "count=0"],
            "score: --limit count=0: NAME=SECONDS, above 0, at most 86,400, would",
        ),
        (
            "{}\n",
            ["--limit", "cont=5"],
            "score: --limit cont=5: no task or verifier 'cont' is here; did you",
        ),
        ("{}\n", ["--seconds", "-1"], "score: --seconds -1: above 0, at most 86,400 would be right"),
        ("{}\n", ["--seconds", "1e300"], "score: --seconds 1e+300: above 0, at most 86,400 would be right"),
        (f"{'[' * 100_000}\n", [], "no JSON: too deep, or too long a number"),
        (GOOD, ["--out", "."], ".: is a folder; a file would be right"),
        (GOOD, ["--out", "pipe"], "pipe: is no regular file; a file would be right"),
        ("{}\n", ["--suite", "a.jsonl"], "a.jsonl: ends in neither .yaml nor .yml; a suite's YAML would"),
        ("{}\n", ["--out", "a.jsonl"], "--out a.jsonl is the file of the answers"),
    ],
)
def test_other_mistakes_are_told(content, more, told, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Limited, "rewards", None)  # nothing is judged before it is told
    os.mkfifo("pipe")
    if content is not None:
        (tmp_path / "a.jsonl").write_text(content)
    assert main(["score", "a.jsonl", "--suite", "nano", *more]) == 2
    err = capsys.readouterr().err
    assert told in err and len(err.splitlines()) == 1


def test_a_line_without_end_is_told(tmp_path, capsys):
    assert main(["score", "/dev/zero", "--task", "count", "--suite", "nano"]) == 2
    assert capsys.readouterr().err == "/dev/zero:1: found over 67,108,864 bytes; JSON lines would be right\n"
