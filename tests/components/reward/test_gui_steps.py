"""Single steps on a screen: the published formulas, number by number."""

import pytest

from vlmloom.components.contracts.sample import Sample, Scene
from vlmloom.registry import build

pytest.importorskip("rapidfuzz")


def worth(use, gold, answer):
    (reward,) = build({"use": use}).judge(Sample("t", "test", 0, [], gold, Scene("")), [answer])
    assert reward.error is None, reward.error
    return reward.value


@pytest.mark.parametrize(
    ("gold", "answer", "value"),
    [
        ("hello world", "HELLO world", 1),
        # One edit of five letters, and two pairs of six.
        ("hello", "hallo", 0.6 * 0.8 + 0.4 * 2 / 6),
        ("abcd", "abce", 0.6 * 0.75 + 0.4 * 2 / 4),
        # A quarter of the length counts a quarter.
        ("abcdefgh", "ab", (0.6 * 2 / 8 + 0.4 * 1 / 7) * 2 / 8),
        # 0.3 of the length is not short.
        ("abcdefghij", "abc", 0.6 * 0.3 + 0.4 * 2 / 9),
        # Repeating is worth 0.3 of what it would be.
        ("aaaaaaaaab", "aaaaaaaaaa", (0.6 * 0.9 + 0.4 * 1 / 2) * 0.3),
        ("aaaaaaaaaa", "aaaaaaaaaa", 1),
        ("tea", "", 0),
        ("tea", "xyz", 0),
    ],
)
def test_typed_text(gold, answer, value):
    found = worth("reward/desktop_action", f"type(content={gold!r})", f"type(content={answer!r})")
    assert found == pytest.approx(value)


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("scroll(start_box='[500,500]', direction='down', step=10)", 1),
        ("scroll(start_box='[500,500]', direction='down', step=5)", 0.75),
        ("scroll(start_box='[500,500]', direction='down')", 0.75),
        ("scroll(start_box='[500,500]', direction='down', step=30)", 0),
        ("scroll(start_box='[500,520]', direction='down', step=5)", 0.8 * 0.75),
        ("scroll(start_box='[500,500]', direction='up', step=10)", 0),
        ("scroll(start_box='[500,500]', direction='down', step='10')", 0),
        ("scroll(start_box='[500,500]', direction='down', step=" + "9" * 400 + ")", 0),
        ("scroll(start_box='[0,0]', start_box='[500,500]', direction='down', step=10)", 0),
        ("scroll(start_box=0x" + "f" * 5000 + ", direction='down', step=10)", 0),
    ],
)
def test_scrolling(answer, value):
    gold = "scroll(start_box='[500,500]', direction='down', step=10)"
    assert worth("reward/desktop_action", gold, answer) == pytest.approx(value)


def test_a_step_is_not_asked_for_where_the_gold_action_has_none_and_clicks_have_none():
    gold = "scroll(start_box='[500,500]', direction='down')"
    assert worth("reward/desktop_action", gold, gold[:-1] + ", step=40)") == 1
    click = "left_click(start_box='[5,5]')"
    assert worth("reward/desktop_action", click, click[:-1] + ", step=5)") == 0


@pytest.mark.parametrize(
    ("gold", "answer", "value"),
    [
        ("left_drag(start_box='[0,0]', end_box='[9,0]')", "left_drag(start_box='[0,20]', end_box='[9,25]')",
         (0.8 * 0.5) ** 0.5),
        ("hover(start_box='[0,0]')", "hover(start_box='[30,40]')", 0),
        ("key(keys='ctrl+c')", "key(keys='CTRL+C')", 1),
        ("key(keys='ctrl+c')", "key(keys='ctrl+v')", 0),
        ("FAIL", "FAIL()", 1),
    ],
)  # fmt: skip
def test_other_actions_of_a_computer(gold, answer, value):
    assert worth("reward/desktop_action", gold, answer) == pytest.approx(value)


@pytest.mark.parametrize(
    ("gold", "answer", "value"),
    [
        ('{"text": "abcd"}', '{"text": "abxd"}', 0.75),
        ('{"app_name": "Maps"}', '{"app_name": "Map"}', 0),
        ('{"action_type": "click", "box_2d": [[0, 0, 100, 100]]}',
         '{"action_type": "click", "box_2d": [[0, 0, 100, 50]]}', 0.5),
        ('{"action_type": "swipe", "direction": "up"}', '{"action_type": "swipe", "direction": "down"}', 0),
    ],
)  # fmt: skip
def test_actions_of_a_phone(gold, answer, value):
    assert worth("reward/mobile_action", gold, answer) == pytest.approx(value)
