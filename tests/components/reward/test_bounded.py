"""Calls that are cut off, and verifiers that no answer stalls."""

import importlib
import os
import time

import pytest

from vlmloom.components.contracts.sample import Sample, Scene
from vlmloom.components.reward.bounded import Bounded, Overran
from vlmloom.components.reward.expressions import verified
from vlmloom.components.reward.puzzle import looks_like_code
from vlmloom.registry import build


@pytest.fixture(scope="module")
def short():
    bounded = Bounded(0.5)
    yield bounded
    bounded._stop()


@pytest.mark.parametrize("name", ["spin", "long_in_c"])
def test_a_call_is_cut_off(short, name, monkeypatch, tmp_path):
    (tmp_path / "stalls.py").write_text(
        "def spin():\n    while True: pass\ndef long_in_c():\n    return len(str(9 ** 9 ** 9))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    stalls = importlib.import_module("stalls")

    short._stop()  # it knows the paths of its start
    began = time.monotonic()
    with pytest.raises(Overran, match=r"0\.5 s of CPU time"):
        short.ask(getattr(stalls, name))
    assert time.monotonic() - began < 15
    assert short.ask(os.path.basename, "a/b") == "b"


def test_an_error_is_told(short):
    with pytest.raises(RuntimeError, match="ValueError: the gold answer"):
        short.ask(verified, "", "1", 1e-6)


def test_a_lost_process_is_an_error_and_is_started_again(short):
    assert short.ask(os.path.basename, "a/b") == "b"
    with pytest.raises(RuntimeError, match="ended with status 3"):
        short.ask(os._exit, 3)
    assert short.ask(os.path.basename, "a/b") == "b"


@pytest.mark.parametrize("bomb", ["9^{9^{9^{9}}}", "99999999999999!", r"\frac^{" * 400 + "1" + "}" * 400])
def test_an_expression_that_takes_too_long_is_wrong_and_the_next_is_judged(bomb):
    sample = Sample("t", "test", 0, [], "x^2 + 1", Scene(""))
    math = build({"use": "reward/math", "seconds": 1.0})
    values = [reward.value for reward in math.judge(sample, [bomb, "1 + x^2"])]
    assert values == [0, 1]


@pytest.mark.parametrize(
    "code",
    [
        "__import__('os')",
        "open ('x')",
        "(lambda: 1)()",
        "[print][0](1)",
        "x.y",
        "(eval#\n('1'))",
        "[abs:=eval, exp:=abs('1'), exp]",
        "[abs('1') for abs in [eval]]",
        "sqrt(*[4])",
        "f'{1}'",
        "eval\\\n('1')",
    ],
)
def test_code_is_not_shown_to_scorers_that_evaluate(code):
    assert looks_like_code(code)


def test_a_puzzle_is_scored_by_its_own_rule(tmp_path):
    import json

    import reasoning_gym

    entry = json.loads(json.dumps(reasoning_gym.create_dataset("countdown", size=1, seed=3)[0]))
    sample = Sample("t", "test", 0, [], "", Scene(""), truth={"dataset": "countdown", "entry": entry})
    puzzle = build({"use": "reward/puzzle"})
    gold, touched = entry["metadata"]["expression"], tmp_path / "touched"
    attack = f"open('{touched}', 'w')"
    right, wrong, code = puzzle.judge(sample, [gold, "1 + 1", attack])
    assert (right.value, wrong.value, code.value) == (1, 0, 0)
    assert "which no answer has" in code.reason and not touched.exists()


@pytest.mark.parametrize(
    ("answer", "value"),
    [("5 apples", 1), ("5 pears", 0), ("5 dozen", 0), ("6 apples", 0), ("5 no apples", 0)],
)
def test_a_puzzle_takes_the_word_that_its_question_counts(answer, value):
    entry = {"question": "How many apples, of three dozen?", "answer": "5", "metadata": {}}
    sample = Sample("t", "test", 0, [], "5", Scene(""), truth={"dataset": "gsm_symbolic", "entry": entry})
    assert build({"use": "reward/puzzle"}).judge(sample, [answer])[0].value == value


@pytest.mark.parametrize("where", ["metadata", "answer"])
def test_code_in_the_truth_is_not_run(tmp_path, where):
    touched = tmp_path / "touched"
    code = f"open('{touched}', 'w')"
    dataset, entry = {
        "metadata": ("bitwise_arithmetic", {"answer": "1", "metadata": {"problem": code}}),
        "answer": ("number_sorting", {"answer": code, "metadata": {}}),
    }[where]
    truth = {"dataset": dataset, "entry": entry}
    (reward,) = build({"use": "reward/puzzle"}).judge(
        Sample("t", "test", 0, [], "1", Scene(""), truth=truth), ["1"]
    )
    assert reward.value is None and reward.error is not None and "holds code" in reward.error
    assert not touched.exists()


@pytest.mark.parametrize("unit", ["a" * 200, "m" + "2/" * 100, "²³" * 100])
def test_units_of_any_length_are_read_at_once(unit):
    start = time.process_time()
    sample = Sample("t", "test", 0, [], "7", Scene(""))
    (reward,) = build({"use": "reward/number"}).judge(sample, [f"7 {unit}#"])
    assert reward.value == 0 and time.process_time() - start < 0.5


def test_a_schema_refers_to_nothing_outside_of_it(tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text('{"const": "hidden words"}', encoding="utf-8")
    sample = Sample("t", "test", 0, [], "{}", Scene(""), truth={"schema": {"$ref": secret.as_uri()}})
    (reward,) = build({"use": "reward/json"}).judge(sample, ["{}"])
    assert reward.value is None and "hidden words" not in f"{reward.error} {reward.reason}"


def test_comments_without_an_end_are_read_at_once():
    sample = Sample("t", "test", 0, [], "<svg/>", Scene(""))
    start = time.process_time()
    build({"use": "reward/svg"}).judge(sample, ["<!--" * 20_000])
    assert time.process_time() - start < 2
