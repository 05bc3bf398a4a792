"""The reward service: a real process, real HTTP, and everything that can go wrong at once."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from judge_server import serving, slow

from vlmloom.pipelines.cli import main
from vlmloom.pipelines.scoring.line import Line
from vlmloom.pipelines.scoring.scorer import Scorer
from vlmloom.pipelines.serve.metrics import Metrics, pass_at_k
from vlmloom.registry import build
from vlmloom.registry.errors import UserError

httpx = pytest.importorskip("httpx")
SUPPORT = str(Path(__file__).parents[1] / "support")
SUITE = """
use: suite/nano
plugins: [odd_verifiers]
tasks: {count: {use: task/count}, arithmetic: {use: task/arithmetic}, compared: {use: task/odd_together}}
things: 8
shift: []
"""

DECLARED = [
    *("--verifier", "raising={plugins: [odd_verifiers], use: reward/odd, on_error: raise}"),
    *("--verifier", "quarter={plugins: [odd_verifiers], use: reward/odd, on_error: 0.25}"),
    *("--verifier", "skip={plugins: [odd_verifiers], use: reward/odd, on_error: skip}"),
    *("--verifier", "together={plugins: [odd_verifiers], use: reward/odd_together}"),
    *(
        "--verifier",
        "both={use: reward/mean, parts: {words: {use: reward/exact}, b: {use: reward/edit}}}",
    ),
]


class Service:
    """A server process; `score` asks it."""

    def __init__(self, *options: str) -> None:
        path = os.pathsep.join([SUPPORT, os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vlmloom", "serve-rewards", "--port", "0", *options],
            env=os.environ | {"PYTHONPATH": path},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = self.process.stderr.readline()
        found = re.search(r"http://\S+", self.said)
        assert found, self.said + self.process.stderr.read()
        self.url = found[0]
        deadline = time.monotonic() + 120
        while self.get("health").status_code != 200 and time.monotonic() < deadline:
            time.sleep(0.1)

    def get(self, path: str):
        return httpx.get(f"{self.url}/{path}", timeout=30, trust_env=False)

    def post(self, line, **more):
        content = line if isinstance(line, bytes) else json.dumps(line).encode()
        return httpx.post(f"{self.url}/score", content=content, timeout=60, trust_env=False, **more)

    def odd(self, *responses: str, **line) -> list[dict]:
        asked = {"verifier": "odd", "question": "?", "answer": "right", "responses": responses} | line
        reply = self.post(asked)
        assert reply.status_code == 200, reply.text
        return reply.json()["rewards"]

    def metric(self, name: str) -> float:
        return float(re.search(rf"^vlmloom_{re.escape(name)} (\S+)$", self.get("metrics").text, re.M)[1])


@pytest.fixture(scope="module")
def judging():
    with serving(slow(0.2)) as server:
        yield server


@pytest.fixture(scope="module")
def service(tmp_path_factory, judging):
    folder = tmp_path_factory.mktemp("service")
    (folder / "suite.yaml").write_text(SUITE)
    made = Service(
        *("--suite", str(folder / "suite.yaml"), "--workers", "2", "--queue", "64", "--seconds", "20"),
        *("--verifier", f"odd={{plugins: [odd_verifiers], use: reward/odd, folder: {folder}}}"),
        *("--verifier", "strict={plugins: [odd_verifiers], use: reward/odd, on_error: raise}"),
        *DECLARED,
        *("--verifier", f"judge=reward/judge_endpoint,url={judging.url},model=m"),
        *("--limit", "odd=1.5", "--limit", "together=0.5"),
    )
    made.folder = folder
    yield made
    made.process.terminate()
    made.process.communicate(timeout=60)


def values(rewards: list[dict]) -> list[float | None]:
    return [reward["value"] for reward in rewards]


def test_tasks_and_verifiers_give_what_they_give_here(service):
    suite = build({"use": "suite/nano", "things": 8, "shift": [], "tasks": {"count": {"use": "task/count"}}})
    sample = suite.tasks["count"].plan("test", 3)
    line = {"task": "count", "split": "test", "index": 3, "responses": [sample.answer, "many", ""]}
    reply = service.post(line).json()
    here = list(Scorer(suite).rewards(Line.read(line)))
    assert values(reply["rewards"]) == [reward.value for reward in here] == [1.0, 0.0, 0.0]
    assert [reward["reason"] for reward in reply["rewards"]] == [reward.reason for reward in here]
    line = {"verifier": "reward/exact", "question": "?", "answer": "4", "responses": ["4", "5"]}
    assert values(service.post(line).json()["rewards"]) == [1.0, 0.0]


def test_a_file_scored_here_and_the_same_lines_sent_get_the_same(service, tmp_path, capsys):
    given = {"question": "?", "answer": "right"}
    answers = ["right", "raise", "nan", "wrong", "", "right"]
    lines = [
        {"task": "count", "split": "test", "index": 3, "responses": ["2", "many", "3", "a" * 200_000]},
        {"id": "arithmetic/validation/5", "response": "7"},
        {"task": "count", "split": "test", "index": 10**30, "response": "2"},
        {"id": "compared/test/1", "responses": ["1", "2", "3"]},
        {"verifier": "together", "responses": ["a", "b"], **given},
        {"verifier": "both", "responses": ["rights", "right", ""], **given},
        *({"verifier": one, "responses": answers, **given} for one in ("raising", "quarter", "skip")),
    ]
    sent = [reward for line in lines for reward in service.post(line).json()["rewards"]]
    file, out = tmp_path / "answers.jsonl", tmp_path / "scored.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    suite = str(service.folder / "suite.yaml")
    assert main(["score", str(file), "--suite", suite, *DECLARED, "--out", str(out), "--json"]) == 1
    keys = ("value", "parts", "reason", "error")
    scored = [json.loads(line) for line in out.read_text().splitlines()]
    assert [{key: one[key] for key in keys} for one in scored] == sent
    # A task's answers are a group as well, and what fails under `raise` fails alone.
    assert values(sent)[6:11] == [0.3, 0.3, 0.3, 0.2, 0.2] and sent[11]["parts"]["words"] == 0
    assert values(sent)[14:20] == values(sent)[26:] == [1.0, None, None, 0.0, 0.0, 1.0]
    assert values(sent)[20:26] == [1.0, 0.25, None, 0.0, 0.0, 1.0]
    assert all("the disk is on fire" in sent[at]["error"] for at in (15, 21, 27))
    rows = {row["task"]: row for row in json.loads(capsys.readouterr().out)}
    assert [rows[one]["errors"] for one in ("raising", "quarter", "skip", "together")] == [2, 2, 2, 0]
    assert rows["compared"]["items"] == 1 and rows["both"]["mean"] == pytest.approx(
        sum(values(sent)[11:14]) / 3
    )


def test_parallel_groups_come_back_in_their_order(service):
    def group(number: int) -> list[float | None]:
        answers = ["right" if (number + place) % 3 == 0 else f"wrong {number}" for place in range(4)]
        found = service.odd(*answers, source="groups", group=f"item {number // 2}")
        assert [reward["reason"] for reward in found] == answers
        return values(found)

    service.odd("right")
    before = service.metric('requests_total{status="200"}')
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(group, range(36)))
    for number, got in enumerate(found):
        assert got == [float((number + place) % 3 == 0) for place in range(4)]
    assert service.metric('requests_total{status="200"}') - before == 36
    right = sum(map(sum, found))
    assert service.metric('reward_mean{source="groups"}') == pytest.approx(right / 144, abs=1e-6)
    # Two lines of four share a group, so that pass@8 is known.
    assert service.metric('groups{source="groups",k="8"}') == 18
    wanted = [pass_at_k(8, int(sum(found[2 * at]) + sum(found[2 * at + 1])), 4) for at in range(18)]
    assert service.metric('pass_at_k{source="groups",k="4"}') == pytest.approx(sum(wanted) / 18, abs=1e-6)


def test_what_hangs_or_dies_fails_alone(service):
    replaced = service.metric("workers_replaced")
    with ThreadPoolExecutor(4) as pool:
        hung = pool.submit(service.odd, "right", "hang", "deaf", "right", "no")
        died = pool.submit(service.odd, "die", "right")
        others = [pool.submit(service.odd, "right", "wrong") for _ in range(6)]
    assert values(hung.result()) == [1.0, None, None, 1.0, 0.0]
    assert [reward["error"] for reward in hung.result()][1:3] == ["no reward within 1.5 seconds"] * 2
    assert values(died.result()) == [None, 1.0]
    assert died.result()[0]["error"] == "the worker process died (SIGKILL)"
    assert all(values(other.result()) == [1.0, 0.0] for other in others)
    assert service.metric("workers_replaced") - replaced == 4 and service.metric("workers") == 2


def test_a_worker_killed_in_the_middle_loses_nothing(service):
    with ThreadPoolExecutor(4) as pool:
        one = pool.submit(service.odd, "right", "once a", "right")
        others = [pool.submit(service.odd, "right", "wrong") for _ in range(4)]
        flag = service.folder / "a"
        while not (flag.exists() and flag.read_text()):
            time.sleep(0.02)
        os.kill(int(flag.read_text()), signal.SIGKILL)
    # Judged once more by the next worker.
    assert values(one.result()) == [1.0, 0.0, 1.0] and one.result()[1]["error"] is None
    assert all(values(other.result()) == [1.0, 0.0] for other in others)


def test_what_raises_is_an_error_whatever_the_policy(service):
    for verifier in ("odd", "strict"):
        found = service.odd("raise", "right", "nan", verifier=verifier)
        assert values(found) == [None, 1.0, None]
        assert "the disk is on fire" in found[0]["error"] and found[2]["error"] == "the value is nan"
    assert service.metric('failures_total{by="strict"}') == 2


def test_a_group_that_is_judged_at_once_shares_its_fate(service):
    assert values(service.odd("a", "b", "c", verifier="together")) == [0.3, 0.3, 0.3]
    found = service.odd("a", "hang", verifier="together")
    assert [reward["error"] for reward in found] == ["no reward within 1 seconds"] * 2


def test_judges_wait_side_by_side_while_rules_go_on(service, judging):
    before = time.monotonic()
    line = {"verifier": "judge", "question": "capital?", "answer": "Paris", "responses": ["Paris it is"]}
    with ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(service.post, [line] * 12))
    assert [values(reply.json()["rewards"]) for reply in replies] == [[1.0]] * 12
    assert judging.most > 2 and time.monotonic() - before < 12 * 0.2 + 5


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        (b"{", 400, "the request is no JSON"),
        (b"\xff", 400, "the request is no JSON"),
        (b"[" * 100_000, 400, "the request is no JSON"),
        ([], 400, "found a list; an object with `responses` would be right"),
        ({"responses": []}, 400, "responses: a list of one text or more"),
        ({"responses": ["a", 1]}, 400, "responses: a list of one text or more"),
        ({"responses": ["a"] * 2000}, 400, "responses: found 2000; at most 1024"),
        ({"responses": ["a"]}, 400, "task or verifier: one of them is needed"),
        ({"responses": ["a"], "verifier": "reward/exact"}, 400, "found neither an item nor an answer"),
        ({"responses": ["a"], "verifier": "odd", "answer": 3}, 400, "answer: found 3"),
        ({"responses": ["a"], "verifier": "os.system", "answer": "b"}, 400, "'os.system' is not known"),
        ({"responses": ["a"], "verifier": "reward/exactly", "answer": "b"}, 400, "not known; reward/exact"),
        ({"responses": ["a"], "verifier": "reward/boxed", "answer": "b"}, 400, "needs arguments"),
        ({"responses": ["a"], "verifier": {"use": "x"}, "answer": "b"}, 400, "verifier: found an object"),
        ({"responses": ["a"], "task": "fly", "split": "test", "index": 0}, 400, "task: 'fly' is not known"),
        ({"responses": ["a"], "task": "count", "split": "dev", "index": 0}, 400, "task count has no 'dev'"),
        ({"responses": ["a"], "task": "count", "split": "test", "index": -1}, 400, "index: found -1"),
        ({"responses": ["a"], "task": "count", "index": 1}, 400, "index: needs task and split"),
        (
            b'{"verifier": "reward/exact", "answer": "a", "responses": ["a"], "source": "\\ud800"}',
            400,
            "source: found '\\ud800'; a text that UTF-8 can hold would be right",
        ),
        ({"responses": ["a"], "verifierr": "odd"}, 400, "'verifierr' is no key of a line; it has responses"),
        (b'{"responses": ["' + b"a" * (17 << 20) + b'"]}', 413, "larger than 16,777,216 bytes"),
    ],
)
def test_bad_requests_are_one_clear_line(service, line, status, message):
    reply = service.post(line)
    said = reply.json()["error"]
    assert reply.status_code == status and message in said and "\n" not in said


def test_a_client_that_leaves_in_mid_request_is_counted(service):
    address = httpx.URL(service.url)
    with socket.create_connection((address.host, address.port)) as left:
        left.sendall(b"POST /score HTTP/1.1\r\nHost: here\r\nContent-Length: 99\r\n\r\n{")
    deadline = time.monotonic() + 10
    while 'vlmloom_requests_total{status="499"} 1' not in (told := service.get("metrics").text):
        assert time.monotonic() < deadline, told
        time.sleep(0.02)


def test_half_a_character_is_quoted_and_not_fatal(service):
    reply = service.post(b'{"verifier": "reward/exact", "answer": "a", "responses": ["\\ud800"]}')
    assert reply.status_code == 200 and values(reply.json()["rewards"]) == [0.0]


def test_overload_is_told_and_what_is_queued_is_answered_when_it_is_stopped(tmp_path):
    made = Service(
        *("--workers", "1", "--queue", "3", "--seconds", "20"),
        *("--verifier", "odd={plugins: [odd_verifiers], use: reward/odd}"),
    )
    try:
        with ThreadPoolExecutor(3) as pool:
            slow_ones = [pool.submit(made.odd, "sleep 1", "right") for _ in range(3)]
            while made.metric("under_way") < 3:
                time.sleep(0.02)
            reply = made.post({"verifier": "odd", "answer": "a", "responses": ["right"]})
            assert reply.status_code == 429 and 1 <= int(reply.headers["retry-after"]) <= 60
            assert "3 lines are under way; come again in" in reply.json()["error"]
            made.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            with pytest.raises(httpx.TransportError):
                made.get("health")
            assert [values(one.result()) for one in slow_ones] == [[0.0, 1.0]] * 3
        _, said = made.process.communicate(timeout=30)
        assert "Traceback" not in said
    finally:
        made.process.kill()
        made.process.wait()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--workers", "0"], "serve-rewards: --workers is 0; 1 or more would be right"),
        (["--limit", "odd"], "--limit odd: NAME=SECONDS, above 0, at most 86,400, would be right"),
        (["--seconds", "-1"], "--seconds -1: above 0, at most 86,400 would be right"),
        (["--verifier", "odd"], "--verifier odd: NAME=KIND/NAME[,KEY=VALUE] would be right"),
        (
            ["--verifier", "odd=reward/exactly"],
            "verifier odd: use: 'reward/exactly' is no component; did you mean reward/exact",
        ),
        (["--verifier", "odd=reward/number,relative=[1"], "serve-rewards: --verifier odd: while parsing"),
        (["--port", "99999"], "serve-rewards: --port 99999: 0 to 65535 would be right"),
        (["--suite", "native"], "nothing is called 'suites/native'; did you mean suites/"),
        (["--host", "203.0.113.1"], "serve-rewards: 203.0.113.1:0: "),
    ],
)
def test_mistakes_are_one_line(options, message, capsys):
    assert main(["serve-rewards", "--port", "0", *options]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_a_yaml_without_a_suite_is_told(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("use: reward/exact\n")
    assert main(["serve-rewards", "--port", "0", "--suite", str(tmp_path / "a.yaml")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "found reward/exact, which is of kind reward; needs suite/full" in line


def test_pass_at_k_is_that_of_all_subsets():
    from itertools import combinations

    for answers, right, k in ((5, 2, 3), (4, 0, 2), (6, 6, 1), (3, 1, 3)):
        outcomes = [1] * right + [0] * (answers - right)
        subsets = list(combinations(outcomes, k))
        assert pass_at_k(answers, right, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_metrics_stay_bounded_and_escaped(monkeypatch):
    from vlmloom.components.contracts.sample import Reward
    from vlmloom.pipelines.serve import metrics as module

    monkeypatch.setattr(module, "KEPT_GROUPS", 3)
    monkeypatch.setattr(module, "MOST_SOURCES", 2)
    made = Metrics()
    for number in range(10):
        made.scored("exact", f's"{number}', "", [Reward(1.0), Reward(0.0), Reward(None, error="x")], 0.1)
    assert {source for source, _ in made.passes()} == {'s"0', 's"1', "other"}
    assert made.passes()["other", 1] == (0.5, 8) and made.passes()["other", 2] == (1.0, 8)
    made.scored("learned", 's"0', "", [Reward(-3.0), Reward(7.0)], 0.1)
    assert made.passes()['s"0', 1] == (0.5, 1)
    assert 'vlmloom_reward_mean{source="s\\"1"} 0.500000' in made.text({})


def test_a_line_of_a_suite_that_is_not_there():
    with pytest.raises(UserError, match="known are none; a suite would be right"):
        Scorer().check(Line.read({"task": "t", "split": "test", "index": 0, "responses": ["a"]}))


def test_no_worker_outlives_a_server_that_is_killed(service):
    """The last of this file: it ends the service."""
    with ThreadPoolExecutor(1) as pool:
        broken = pool.submit(service.odd, "once b")
        flag = service.folder / "b"
        while not (flag.exists() and flag.read_text()):
            time.sleep(0.02)
        service.process.kill()
        with pytest.raises(httpx.TransportError):
            broken.result()
    status = Path(f"/proc/{flag.read_text()}/status")
    deadline = time.monotonic() + 30
    while status.exists() and "State:\tZ" not in status.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert time.monotonic() < deadline
