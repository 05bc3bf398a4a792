"""Boxes in pixels and in thousandths."""

import pytest

from vlmloom.components.contracts.boxes import GUI, permille, pixels


def test_thousandths_are_rounded_and_clipped():
    assert permille((0, 0, 640, 480), 640, 480) == (0, 0, 1000, 1000)
    assert permille((1, 1, 2, 2), 640, 480) == (2, 2, 3, 4)
    assert permille((-9, -9, 700, 500), 640, 480) == (0, 0, 1000, 1000)
    assert permille((639, 0, 640, 480), 640, 480, last=GUI) == (998, 0, 999, 999)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (31, 1000), (1000, 7)])
def test_pixels_of_a_picture_of_at_most_a_thousand_come_back(width, height):
    for left in range(0, width, 13):
        for top in range(0, height, 7):
            box = (left, top, min(left + 5, width), min(top + 3, height))
            assert pixels(permille(box, width, height), width, height) == box


def test_thousandths_come_back_from_a_larger_picture():
    for value in range(0, 1001, 17):
        box = (value, 0, 1000, value)
        assert permille(pixels(box, 3000, 2001), 3000, 2001) == box
