"""Intervals are over things: pictures of one thing are not independent."""

import numpy as np

from vlmloom.pipelines.evaluate_vision.report import answers, document
from vlmloom.pipelines.evaluate_vision.score import Score


def test_pictures_of_one_thing_count_as_one_draw():
    found_or_not = np.random.default_rng(0).integers(0, 2, 40).astype(float)

    def width(views):
        score = Score("knn", "test", np.repeat(found_or_not, views), np.repeat(np.arange(40), views))
        (row,) = document({"tower": answers("tower", [score], 0)}, {"knn": None}, "tower", 0, {})["summary"]
        assert row["accuracy"] == found_or_not.mean() and row["items"] == 40 * views
        return row["high"] - row["low"]

    # Showing each thing sixteen times alike adds nothing; over pictures it would quarter the interval.
    assert width(16) > 0.9 * width(1) > 0.2
