import re

import pytest

from vlmloom.components.contracts.sample import Sample, Scene
from vlmloom.registry import build

GOLD = "def area(a, b):\n    return a * b\ndef names(n):\n    return ['x'] * n\n"
ASSERTS = [
    "assert area(2, 3) == 6",
    "assert area(0.5, 4) == 2.0",
    "assert names(2) == ['x', 'x']",
    "assert area(7, 1) == 7",
]
SAMPLE = Sample("code", "test", 0, ["Write area and names."], GOLD, Scene("k"), truth={"asserts": ASSERTS})


@pytest.fixture(scope="module")
def verifier():
    verifier = build({"use": "reward/code", "seconds": 1.0})
    yield verifier
    verifier.runner.close()


@pytest.mark.parametrize("answer", [GOLD, f"Sure:\n```python\n{GOLD}```\nDone.", f"```\n{GOLD}```"])
def test_right_code_is_right(verifier, answer):
    assert verifier.judge(SAMPLE, [answer])[0].value == 1


@pytest.mark.parametrize(
    "attack",
    [
        "",
        "area(2, 3) == 6",
        "import os; os._exit(0)",
        "raise SystemExit(0)",
        "while True: pass",
        "class A:\n    def __eq__(self, o): return True\ndef area(*a): return A()\nnames = area",
        "import builtins; builtins.repr = lambda x: '6'\ndef area(*a): return None\nnames = area",
        "import sys\nf = sys._getframe\nwhile f().f_back: pass",
        "class A:\n    def __repr__(self): return '__import__(1)'\ndef area(*a): return A()\nnames = area",
        "def area(*a): return '('*10000\nnames = area",
        "def area(*a): return 10 ** 400\nnames = area",
        "class A:\n    def __repr__(self): return '{[]: 1}'\ndef area(*a): return A()\nnames = area",
        "```python\nimport socket; socket.create_connection(('127.0.0.1', 80))\n```",
    ],
)
def test_attacks_are_worth_nothing(verifier, attack):
    reward = verifier.judge(SAMPLE, [attack])[0]
    assert reward.error is None and reward.value < 0.5


def test_more_wrong_is_worth_less(verifier):
    broken = [
        GOLD,
        GOLD.replace("return a * b", "return a * b if a != 7 else 8"),
        GOLD.replace("return a * b", "return a + b + 1"),
        GOLD.replace("return a * b", "return 'no'").replace("['x']", "['y']"),
    ]
    values = [reward.value for reward in verifier.judge(SAMPLE, broken)]
    assert values == sorted(values, reverse=True) and len(set(values)) == 4 and values[-1] == 0


def test_an_assert_of_another_form_is_the_samples_fault(verifier):
    sample = Sample("code", "test", 0, [], "", Scene("k"), truth={"asserts": ["assert f(x) > 2"]})
    reward = verifier.judge(sample, [GOLD])[0]
    assert reward.value is None and "`assert CALL == LITERAL` would be right" in reward.error


def test_the_reason_says_what_came_out_and_what_is_right(verifier):
    (reward,) = verifier.judge(SAMPLE, [GOLD.replace("['x'] * n", "('x',) * n")])
    assert re.search(r"; names\(\d\) is \"\('x', .*\)\", right is \"\['x', .*\]\"$", reward.reason), (
        reward.reason
    )
