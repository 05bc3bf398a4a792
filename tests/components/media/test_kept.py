"""Drawn pictures on disk: found again, whole, bounded, and never in the way."""

import os

import numpy as np
import pytest

from vlmloom.components.media.kept import bound, kept

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("VLMLOOM_CACHE", str(tmp_path))
    return tmp_path


def never():
    raise AssertionError("drawn a second time")


def test_a_picture_is_drawn_once(root):
    assert np.array_equal(kept("a", lambda: PIXELS), PIXELS)
    assert np.array_equal(kept("a", never), PIXELS)
    assert np.array_equal(kept("b", lambda: PIXELS[:, ::-1]), PIXELS[:, ::-1])
    assert len(list(root.glob("renders/*/*.png"))) == 2 and not list(root.glob("renders/*/.part-*"))


@pytest.mark.parametrize("left", [0, 60, 200])
def test_a_torn_file_is_drawn_again(root, left):
    kept("a", lambda: PIXELS)
    (file,) = root.glob("renders/*/*.png")
    file.write_bytes(file.read_bytes()[:left])
    assert np.array_equal(kept("a", lambda: PIXELS), PIXELS)
    assert np.array_equal(kept("a", never), PIXELS)


def test_where_nothing_can_be_written_it_is_drawn_each_time(root):
    (root / "renders").write_text("a file where the folder would be")
    for _ in range(2):
        assert np.array_equal(kept("a", lambda: PIXELS), PIXELS)


def test_the_oldest_go_first(root):
    for number in range(6):
        kept(str(number), lambda number=number: np.roll(PIXELS, number, 0))
        newest = max(root.glob("renders/*/*.png"), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (number, number))
    sizes = sum(path.stat().st_size for path in root.glob("renders/*/*.png"))
    bound(root / "renders", sizes)
    assert len(list(root.glob("renders/*/*.png"))) == 6
    bound(root / "renders", sizes // 2)
    left = sorted(path.stat().st_mtime for path in root.glob("renders/*/*.png"))
    assert left == [4, 5] and sum(p.stat().st_size for p in root.glob("renders/*/*.png")) <= sizes // 2
