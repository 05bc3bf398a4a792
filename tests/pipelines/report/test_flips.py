"""The sign-flip test: its size under no difference, its power under one, and Holm's correction."""

import numpy as np
import pytest
from scipy import stats

from vlmloom.pipelines.report.flips import flip_test, holm
from vlmloom.pipelines.report.statistics import Scores


def scores(first, second, scene=None):
    values = np.array([first, second], float)[:, None]
    count = values.shape[-1]
    scene = np.arange(count) if scene is None else np.array(scene)
    return Scores(("a", "b"), (0,), ("c",), values, np.zeros(count, np.int64), scene, 2)


def test_equal_designs_have_no_small_p_more_often_than_chance():
    rng = np.random.default_rng(0)
    found = [
        flip_test(scores(rng.integers(0, 2, 60), rng.integers(0, 2, 60)), 0, 1, [0], 400) for _ in range(200)
    ]
    assert 0.01 <= np.mean(np.array(found) <= 0.05) <= 0.10


def test_a_difference_is_found_and_is_the_same_both_ways():
    one = scores([1] * 40 + [0] * 20, [1] * 25 + [0] * 35)
    assert flip_test(one, 0, 1, [0]) == flip_test(one, 1, 0, [0]) < 0.01


def test_items_of_one_scene_count_as_one():
    alone = scores([1] * 8, [0] * 8)
    together = scores([1] * 8, [0] * 8, scene=[0, 0, 0, 0, 1, 1, 1, 1])
    # Two scenes point the same way in half of all flips. Few are flipped in every way, many at random.
    assert flip_test(alone, 0, 1, [0]) == 2 / 256 and flip_test(together, 0, 1, [0]) == 0.5
    many = scores([1] * 14 + [0] * 6, [0] * 14 + [1] * 6)
    assert flip_test(many, 0, 1, [0]) == pytest.approx(stats.binomtest(6, 20).pvalue, abs=0.01)


def test_what_is_not_shared_is_not_tested():
    assert flip_test(scores([1, np.nan], [np.nan, 1]), 0, 1, [0]) is None
    assert flip_test(scores([1, 1, np.nan], [1, 1, 0]), 0, 1, [0]) == 1.0


def test_holm():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == []
