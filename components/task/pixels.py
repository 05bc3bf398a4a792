"""A question in words as a picture of those words: the same content, read in place of given."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from vlmloom.components.contracts.sample import Picture, Sample, Scene, describe
from vlmloom.components.task.sheet import Face, Sheet

INSTRUCTION = "Do what is written in the picture."
ABSENT = "\U0010ffff"
"""No font has this character: what is drawn for it is what is drawn for all that a font lacks."""


def as_pixels(sample: Sample, face: Face, size: int, *, width: int = 448) -> Sample:
    """A sample without pictures as one whose text stands in a picture, beside one line that says so.

    Args:
        sample: of text only.
        face: what it is written with.
        size: of the letters in pixels: smaller is a lower resolution of the same page.
        width: of lines before they are wrapped, in pixels at a size of 16; it grows with the size, so that
            every resolution breaks the lines alike but for rounding.

    Raises:
        ValueError: the sample has pictures, or the font lacks a character of its text.

    Reference: arXiv 2603.09095
    """
    if sample.pictures:
        raise ValueError(
            f"{sample.task}#{sample.index}: has pictures; a question in words alone would be right"
        )
    text = "\n".join(part for part in sample.prompt if isinstance(part, str))
    lacking = "".join(
        sorted({letter for letter in text if not letter.isspace() and not writes(face, letter)})
    )
    if lacking:
        raise ValueError(f"{sample.task}#{sample.index}: {face.name} has no {lacking}")
    margin, high, limit = size, size * 3 // 2, width * size // 16
    lines = [line for paragraph in text.split("\n") for line in wrapped(paragraph, face, size, limit)]
    wide = max((face.length(line, size) for line in lines), default=0)
    sheet = Sheet(wide + 2 * margin, high * len(lines) + 2 * margin)
    for number, line in enumerate(lines):
        sheet.text((margin, margin + number * high), line, face, size)
    scene = Scene(f"{sample.scene.key} {face.name} {size}", sheet.things())
    prompt: list[str | Picture] = [sheet.picture(), INSTRUCTION]
    return replace(sample, prompt=prompt, scene=scene, caption=describe(scene))


def wrapped(text: str, face: Face, size: int, width: int) -> list[str]:
    """The lines of a text that fit into a width, words longer than it cut; one empty line for an empty text.

    Spaces at the beginning are kept: grids and lists stand by them.
    """
    lines: list[str] = []
    line: str | None = None
    for word in text.split(" "):
        longer = word if line is None else f"{line} {word}"
        if face.length(longer, size) <= width:
            line = longer
            continue
        if line is not None:
            lines.append(line)
        while face.length(word, size) > width and len(word) > 1:
            cut = max(1, len(word) * width // face.length(word, size))
            lines.append(word[:cut])
            word = word[cut:]
        line = word
    return [*lines, line or ""]


@lru_cache(maxsize=1 << 14)
def writes(face: Face, letter: str) -> bool:
    """Whether a font has a character."""
    font = face.font(24)
    return bytes(font.getmask(letter)) != bytes(font.getmask(ABSENT))
