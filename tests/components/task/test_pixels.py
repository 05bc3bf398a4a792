"""Questions in words as pictures of the same words."""

import numpy as np
import pytest

from vlmloom.components.contracts.sample import Sample, Scene
from vlmloom.components.source.fonts import PageFonts
from vlmloom.components.task.pixels import INSTRUCTION, as_pixels, wrapped, writes
from vlmloom.components.task.sheet import Face

FACES = {name: Face(name, str(path)) for name, path in (PageFonts().load() | PageFonts().shifted()).items()}
FACE = FACES["DejaVuSans"]
TEXT = "Ada has 3 apples and buys 14 more, then gives half of the even ones away.\n\nHow many are left?"


def asked(text=TEXT):
    return Sample("words", "test", 5, [text], "8", Scene("key"), truth={"a": 1})


@pytest.mark.parametrize("name", FACES)
@pytest.mark.parametrize("size", [10, 16, 32])
def test_all_words_are_in_the_picture_and_nothing_else_changes(name, size):
    sample = as_pixels(asked(), FACES[name], size)
    picture, told = sample.prompt
    assert told == INSTRUCTION and (sample.answer, sample.truth, sample.index) == ("8", {"a": 1}, 5)
    assert " ".join(thing.text for thing in sample.scene.things if thing.text).split() == TEXT.split()
    pixels = picture.render()
    assert pixels.shape == (1, picture.height, picture.width, 3)
    ink = pixels[0, ..., 0] < 128
    assert ink.any() and not ink[:, -size // 2 :].any() and not ink[-size // 2 :].any()


def test_a_resolution_is_the_same_page_smaller():
    small, large = (as_pixels(asked(), FACE, size).prompt[0] for size in (12, 36))
    assert abs(large.height / small.height - 3) < 0.1 and abs(large.width / small.width - 3) < 0.2
    assert small.key != large.key != as_pixels(asked(), FACES["DejaVuSerif"], 36).prompt[0].key


def test_lines_are_wrapped_and_spaces_kept():
    assert wrapped("", FACE, 16, 200) == [""]
    assert wrapped("  x  y", FACE, 16, 200) == ["  x  y"]
    lines = wrapped("one two " + "m" * 60, FACE, 16, 200)
    assert lines[0] == "one two" and "".join(lines[1:]) == "m" * 60
    assert all(FACE.length(line, 16) <= 200 for line in lines)


def test_what_cannot_be_written_is_told():
    assert writes(FACE, "\N{MULTIPLICATION SIGN}") and not writes(FACES["cmtt10"], "\N{HIRAGANA LETTER A}")
    with pytest.raises(ValueError, match="words#5: DejaVuSans has no \N{HIRAGANA LETTER A}"):
        as_pixels(asked("\N{HIRAGANA LETTER A} 1"), FACE, 16)
    twice = as_pixels(asked(), FACE, 16)
    with pytest.raises(ValueError, match="words#5: has pictures; a question in words alone would be right"):
        as_pixels(twice, FACE, 16)
    assert isinstance(twice.prompt[0].render(), np.ndarray)
