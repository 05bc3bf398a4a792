"""Verifiers and what they make of answers whose worth is known."""

from dataclasses import replace
from pathlib import Path

import pytest
from chromium_here import need_chromium

from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Reward
from vlmloom.components.reward import judge_endpoint
from vlmloom.pipelines.cli import main
from vlmloom.pipelines.trust import table
from vlmloom.pipelines.trust.judged import WORDS_TO_A_JUDGE
from vlmloom.pipelines.trust.labelled import Labelled
from vlmloom.registry import build, catalog

SETS = table.labelled()
ROOT = Path(__file__).parents[2]


def test_every_verifier_has_labelled_answers_or_says_why_not():
    entries = catalog().list("reward")
    # A plug-in that another test has loaded is none of ours.
    names = {entry.name for entry in entries if entry.module.startswith("vlmloom.")}
    assert names == SETS.keys() | table.SLOW.keys() | table.NEITHER.keys()


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SETS)
def test_a_set_is_large_enough_and_the_verifier_sound(name, whole):
    # Attacks that are the same for all stand round every fourth of many answers, in the slow run round all.
    every = 1 if whole or len(SETS[name]) < 12 else 4
    cases = [replace(one, attacked=one.attacked and not at % every) for at, one in enumerate(SETS[name])]
    row = table.measure(name, cases)
    assert not row.accepted and not row.errors and not row.unordered and not row.passed
    assert len(row.missed) < 0.01 * row.right
    assert row.right >= 20 and row.wrong >= 20 and row.attacks >= 100
    assert row.slowest < 20


@pytest.mark.browser
@pytest.mark.parametrize("name", ["reward/html", "reward/svg", "reward/code"])
def test_one_set_of_what_is_run_or_rendered_is_sound(name):
    if name == "reward/html":
        need_chromium()
    first = table.labelled(slow=[name])[name][0]
    some = dict(list(first.attacks.items())[::4])
    row = table.measure(name, [replace(first, attacks=some, attacked=False)])
    assert row.sound and row.right and row.wrong


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("name", table.SLOW)
def test_what_is_run_or_rendered_is_sound(name):
    if name == "reward/html":
        need_chromium()
    row = table.measure(name, table.labelled(slow=[name])[name])
    assert not row.accepted and not row.errors and not row.unordered and not row.passed and not row.missed
    assert row.right >= 20 and row.wrong >= 20 and row.attacks >= 100


@pytest.mark.parametrize("kind", WORDS_TO_A_JUDGE)
def test_the_scripted_judge_obeys_what_reaches_it(kind, monkeypatch):
    """Without the guard every plea is heard, so that the guard is what the table measures."""
    monkeypatch.setattr(judge_endpoint, "guarded", lambda response, longest: (response, ""))
    case = SETS["reward/judge_endpoint"][0]
    (reward,) = build(case.verifier).judge(case.sample, [WORDS_TO_A_JUDGE[kind]])
    assert reward.value == 1


@pytest.mark.parametrize(
    "name", ["reward/edit", "reward/boxes", "reward/json", "reward/table", "reward/interval"]
)
def test_other_draws_are_ordered_too(name):
    row = table.measure(name, table.labelled(1)[name][:5])
    assert row.sound


class Easy(Verifier):
    """Believes everybody."""

    def score(self, sample, response):
        if response == "nan":
            raise RuntimeError("out of order")
        return Reward(0.9 if response == "seven" else 1.0)


def test_a_verifier_that_believes_everybody_is_found_out(monkeypatch):
    monkeypatch.setattr(table, "build", lambda node: Easy())
    case = Labelled({"use": "reward/easy"}, "7", right=("seven",), wrong=("8", "nan"), worse=("seven", "8"))
    row = table.measure("reward/easy", [case])
    assert not row.sound
    assert row.missed == ["'seven' for '7'"] and row.passed == ["'8' for '7'"]
    assert len(row.accepted) == row.attacks - 4 > 20  # megabytes and open thoughts are wrong unread
    assert row.errors == ["wrong: RuntimeError: out of order: 'nan'"]
    assert row.unordered == ["'8' at 1.000 above 0.900"]


def test_the_verb_prints_the_table(capsys):
    assert main(["trust", "reward/exact", "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| verifier | right | missed") and lines[2].startswith("| `reward/exact` |")


def test_the_verb_tells_a_wrong_name(capsys):
    assert main(["trust", "reward/model"]) == 2
    assert "reward/model has no labelled answers (learned: measured on" in capsys.readouterr().err
    assert main(["trust", "reward/exakt"]) == 2
    assert "reward/exakt has no labelled answers; did you mean reward/exact" in capsys.readouterr().err


def test_the_documented_table_names_every_set():
    text = (ROOT / "docs" / "rewards.md").read_text(encoding="utf-8")
    assert [name for name in [*SETS, *table.SLOW] if f"| `{name}` |" not in text] == []
    assert [name for name in table.NEITHER if f"| `{name}`: {table.NEITHER[name]} |" not in text] == []
