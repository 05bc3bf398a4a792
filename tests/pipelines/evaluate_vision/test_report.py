"""Intervals are over things: pictures of one thing are not independent."""

import numpy as np

from vlmloom.pipelines.evaluate_vision.report import rows


def test_pictures_of_one_thing_count_as_one_draw():
    found_or_not = np.random.default_rng(0).integers(0, 2, 40).astype(float)

    def width(views):
        scores = {"knn": {"tower": np.repeat(found_or_not, views)}}
        (row,) = rows(scores, np.repeat(np.arange(40), views), seed=0)
        assert row["value"] == found_or_not.mean() and row["pictures"] == 40 * views
        return row["high"] - row["low"]

    # Showing each thing sixteen times alike adds nothing; over pictures it would quarter the interval.
    assert width(16) > 0.9 * width(1) > 0.2
