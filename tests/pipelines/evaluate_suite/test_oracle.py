"""Gold answers are right and guesses are not, in every category: what makes other numbers mean something."""

import math

import pytest

from vlmloom.components.task.full import Full
from vlmloom.pipelines.evaluate import categories
from vlmloom.pipelines.evaluate_suite.ask import Questions, ask
from vlmloom.pipelines.evaluate_suite.record import Kept
from vlmloom.pipelines.evaluate_suite.target import POLICIES, Policy

DRAWN_BY_CODE = ("design2code", "plot_to_code", "svg_drawing")
"""Each answer is run in a sandbox or a browser, a second or so; `-m slow` asks fewer items of them."""
PARTIAL = 0.35
"""What an answer to another item may earn where answers are right in part, as boxes and pages are."""


def asked(suite, folder, items):
    """(policy, category) -> items; oracles only where a category is not scripted."""
    found = {}
    for name in POLICIES:
        policy = Policy(name, suite)
        for item in ask(policy, Questions(suite, "test", items), Kept(folder / f"{name}.jsonl", policy.key)):
            found.setdefault((name, item.category), []).append(item)
    return found


def check(suite, found, items):
    chances = {category.name: category.chance for category in categories(suite)}
    for name, task in suite.tasks.items():
        rows = {policy: found.get((policy, name), []) for policy in POLICIES}
        faults = [item.error for own in rows.values() for item in own if item.value is None]
        assert not faults, f"{name}: {faults[:3]}"
        if task.steps > 1:
            scripted = [item.value for item in rows["oracle"]]
            assert not scripted or sum(scripted) >= 0.95 * len(scripted), f"{name}: {scripted}"
            continue
        wrong = [item for item in rows["oracle"] if item.value != 1 or not item.well_formed]
        assert len(rows["oracle"]) == items and not wrong, f"{name}: {wrong[:2]}"
        empty, random = (sum(item.value for item in rows[one]) / items for one in ("empty", "random"))
        assert empty <= 0.05, f"{name}: nothing earns {empty}"
        chance = chances[name]
        most = PARTIAL if chance is None else chance + 4 * math.sqrt(chance * (1 - chance) / items)
        assert items < 100 or random <= most, f"{name}: a guess earns {random}, chance is {chance}"


@pytest.mark.parametrize("answers", ["plain", "boxed"])
def test_a_few_items_of_every_category(answers, tmp_path):
    suite = Full(answers=answers, shift=[])
    suite = Full(
        answers=answers,
        shift=[],
        without=[name for name, task in suite.tasks.items() if name in DRAWN_BY_CODE or task.steps > 1],
    )
    suite.prepare()
    check(suite, asked(suite, tmp_path, 3), 3)


@pytest.mark.slow
def test_two_hundred_items_of_every_category(tmp_path):
    suite = Full(shift=[])
    slow = [name for name, task in suite.tasks.items() if name in DRAWN_BY_CODE or task.steps > 1]
    suite = Full(shift=[], without=slow)
    suite.prepare()
    check(suite, asked(suite, tmp_path, 200), 200)


@pytest.mark.slow
@pytest.mark.browser
def test_what_runs_in_a_sandbox_or_a_browser(tmp_path):
    every = Full(shift=[])
    kept = [name for name, task in every.tasks.items() if name in DRAWN_BY_CODE or task.steps > 1]
    if not kept:
        pytest.skip(str(every.left_out))
    suite = Full(shift=[], without=[name for name in every.tasks if name not in kept])
    check(suite, asked(suite, tmp_path, 12), 12)
