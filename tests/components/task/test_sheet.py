"""Sheets: plain records first, pixels later."""

import pickle
import shutil
from importlib import metadata

import numpy as np
import pytest

from vlmloom.components.sandbox import chromium
from vlmloom.components.source.fonts import PageFonts
from vlmloom.components.task import sheet as sheets
from vlmloom.components.task.sheet import Face, Rendered, Sheet

NAME, PATH = next(iter(PageFonts().load().items()))
FACE = Face(NAME, str(PATH))


def test_what_is_written_stands_in_its_box():
    sheet = Sheet(200, 80)
    sheet.text((30, 40), "Hxg", FACE, 24, (0, 0, 0), "lm")
    pixels = sheet.picture().render()
    assert pixels.shape == (1, 80, 200, 3) and pixels.dtype == np.uint8
    (thing,) = sheet.things()
    assert (thing.text, thing.category) == ("Hxg", "writing")
    ys, xs = np.nonzero(pixels[0, ..., 0] < 128)
    x1, y1, x2, y2 = thing.box
    # Across, the box has the space beside the letters too.
    assert 0 <= xs.min() - x1 / 5 <= 3 and 0 <= x2 / 5 - xs.max() <= 4
    assert abs(ys.min() - y1 * 0.08) <= 2 and abs(ys.max() - y2 * 0.08) <= 2


@pytest.mark.parametrize("smooth", [1, 3])
def test_shapes_are_where_they_are_said_to_be(smooth):
    sheet = Sheet(60, 60, smooth=smooth)
    sheet.box(10, 20, 30, 40, (255, 0, 0))
    sheet.circle((45, 45), 8, (0, 0, 255))
    sheet.line([(0, 5), (60, 5)], (0, 128, 0), 2)
    sheet.polygon([(40, 10), (58, 10), (49, 28)], (9, 9, 9))
    sheet.arc((15, 50), 8, 0, 360, (7, 7, 7), 2)
    pixels = sheet.picture().render()[0]
    red = (pixels == (255, 0, 0)).all(-1)
    assert red.sum() == 400 and red[20:40, 10:30].all()
    assert pixels[45, 45].tolist() == [0, 0, 255] and pixels[5, 30].tolist() == [0, 128, 0]
    assert pixels[14, 49].tolist() == [9, 9, 9] and pixels[50, 15].tolist() == [255, 255, 255]
    assert (pixels[43, 10:20] < 200).any()


def test_the_key_tells_pictures_apart_and_not_where_fonts_lie(tmp_path):
    elsewhere = str(shutil.copy(PATH, tmp_path))

    def sheet(text, path=str(PATH)):
        made = Sheet(60, 30)
        made.text((5, 5), text, Face(NAME, path), 12)
        return made.picture()

    assert sheet("a").key == sheet("a", elsewhere).key != sheet("b").key
    again = pickle.loads(pickle.dumps(sheet("a")))
    assert again.key == sheet("a").key and np.array_equal(again.render(), sheet("a").render())


def counted(width, height, calls):
    calls.append(1)
    return np.zeros((height, width, 3), np.uint8)


def test_a_slow_picture_is_drawn_once_by_each_version(tmp_path, monkeypatch):
    browser = tmp_path / "browser"
    monkeypatch.setenv("VLMLOOM_CACHE", str(tmp_path))
    monkeypatch.setenv("VLMLOOM_CHROMIUM", str(browser))
    said = {}
    monkeypatch.setattr(metadata, "version", said.__getitem__)
    calls = []
    for version, drawn in (("1", (2, 3, 4)), ("1", (6, 6, 6)), ("2", (8, 9, 10))):
        said["matplotlib"] = version
        browser.write_text(f"#!/bin/sh\necho Chromium {version}\n")
        browser.chmod(0o755)
        for one in (sheets.version, chromium.version):
            one.cache_clear()
        for slow, count in zip(("", "matplotlib", "chromium"), drawn, strict=True):
            for _ in range(2):
                assert Rendered(counted, 8, 6, Calls(calls), slow=slow).render().shape == (1, 6, 8, 3)
            assert len(calls) == count
    for one in (sheets.version, chromium.version):
        one.cache_clear()


class Calls(list):
    """Counts in the list that it was made from, and looks the same however many there are."""

    def __init__(self, target):
        self.target = target

    def append(self, one):
        self.target.append(one)

    def __repr__(self):
        return "calls"
