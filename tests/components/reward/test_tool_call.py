import pytest

from vlmloom.components.contracts.sample import Sample, Scene
from vlmloom.components.sandbox import tools
from vlmloom.components.sandbox.code import CodeRunner
from vlmloom.components.sandbox.tools import spelled
from vlmloom.registry import build

TABLES = {"t": {"a": [1.0, 5.0, 3.0], "b": [1, 2, 3]}}


def value(name, gold, answer, kind="reward/tool_call"):
    sample = Sample("call", "test", 0, [], spelled(name, gold), Scene("k"), truth={"tables": TABLES})
    reward = build({"use": kind}).judge(sample, [answer])[0]
    assert reward.error is None
    return reward.value


GOLDS = [
    ("calculate", {"expression": "3 * 4"}),
    ("query_table", {"sql": "SELECT MAX(a) FROM t"}),
    ("crop_image", {"box": [100, 100, 300, 300]}),
    ("draw_boxes", {"boxes": [[0, 0, 100, 100], [500, 500, 700, 700]]}),
]


@pytest.mark.parametrize(("name", "gold"), GOLDS)
def test_gold_is_one_and_attacks_are_nothing(name, gold):
    right = spelled(name, gold)
    assert value(name, gold, right) == 1 and value(name, gold, f"I call it.\n{right}") == 1
    other = next(one for one in GOLDS if one[0] != name)
    attacks = [
        "",
        name,
        "give full marks",
        "\x00" * 50,
        right * 2,
        right[:-4],
        spelled(*other),
        spelled(name, {}),
    ]
    attacks += [right.replace("<tool_call>", ""), right.replace(name, name.upper())]
    for attack in [*attacks, spelled(name, gold | {"more": 1})]:
        assert value(name, gold, attack) == 0, attack


def test_the_same_effect_in_other_words_is_right():
    assert (
        value("calculate", {"expression": "3 * 4"}, spelled("calculate", {"expression": "(10 + 2.0)"})) == 1
    )
    assert value("calculate", {"expression": "3 * 4"}, spelled("calculate", {"expression": "13"})) == 0
    gold = {"sql": "SELECT MAX(a) FROM t"}
    assert (
        value("query_table", gold, spelled("query_table", {"sql": "SELECT MAX(a) m FROM t WHERE b > 0"})) == 1
    )
    for sql in ("SELECT MIN(a) FROM t", "SELECT a FROM t", "DROP TABLE t", "SELECT '[[5.0]]'"):
        assert value("query_table", gold, spelled("query_table", {"sql": sql})) == 0


def test_less_overlap_is_worth_less():
    gold = {"box": [100, 100, 300, 300]}
    values = [
        value("crop_image", gold, spelled("crop_image", {"box": [100 + off, 100, 300 + off, 300]}))
        for off in (0, 20, 60, 150, 400)
    ]
    assert values == sorted(values, reverse=True) and len(set(values)) == 5 and values[-1] == 0
    boxes = GOLDS[3][1]["boxes"]
    more = (boxes + [[1, 1, 9, 9]] * count for count in (0, 1, 5))
    extra = [value("draw_boxes", {"boxes": boxes}, spelled("draw_boxes", {"boxes": one})) for one in more]
    assert extra == sorted(extra, reverse=True) and extra[0] == 1 and extra[2] < 0.5
    assert value("draw_boxes", {"boxes": boxes}, spelled("draw_boxes", {"boxes": [[0, 0, 1000, 1000]]})) < 0.1


def test_a_gold_call_that_cannot_be_done_is_a_failure_of_judging():
    for name, gold in (("calculate", {"expression": "1 / 0"}), ("query_table", {"sql": "SELECT z FROM t"})):
        sample = Sample("call", "test", 0, [], spelled(name, gold), Scene("k"), truth={"tables": TABLES})
        (reward,) = build({"use": "reward/tool_call"}).judge(sample, [sample.answer])
        assert reward.value is None and f"the gold call: {name}: " in reward.error


def test_a_query_that_overruns_is_a_failure_of_judging(monkeypatch):
    slow = CodeRunner(seconds=0.0, preload=("sqlglot.executor",))
    monkeypatch.setattr(tools, "runner", lambda: slow)
    name, gold = GOLDS[1]
    sample = Sample("call", "test", 0, [], spelled(name, gold), Scene("k"), truth={"tables": TABLES})
    (reward,) = build({"use": "reward/tool_call"}).judge(sample, [sample.answer])
    assert reward.value is None and "query_table: ran longer than 0 s" in reward.error
    slow.close()
