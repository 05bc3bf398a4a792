"""Drawn frames with exact truth: coloured shapes, bars and words, without any source package."""

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from vlmloom.components.contracts.sample import Thing
from vlmloom.components.contracts.visuals import Pictures

HUES = {"red": (220, 30, 30), "blue": (30, 60, 220)}
NAMES = ["disc", "square", "word"]
ALPHABET = "AEGNOST"
FONT = matplotlib.get_data_path() + "/fonts/ttf/DejaVuSans-Bold.ttf"


def drawn(index: int, size: tuple[int, int]) -> tuple[torch.Tensor, tuple[Thing, ...]]:
    """One frame of (height, width): a shape in the upper half, a word in the lower."""
    draw = np.random.default_rng(index)
    height, width = size
    image = Image.new("RGB", (width, height), tuple(int(v) for v in draw.integers(215, 255, 3)))
    pen = ImageDraw.Draw(image)
    colour, name = sorted(HUES)[index % 2], NAMES[(index // 2) % 2]
    side, x, y = (int(draw.integers(low, high)) for low, high in ((16, 25), (2, width - 27), (2, 6)))
    (pen.ellipse if name == "disc" else pen.rectangle)((x, y, x + side, y + side), fill=HUES[colour])
    shape = Thing(name, "", permille(x, y, x + side, y + side, size), colour)
    text = ("GO", "NO", "SEA", "TEN")[(index // 4) % 4]
    left, top, right, bottom = (int(v) for v in pen.textbbox((0, 0), text, font=ImageFont.truetype(FONT, 14)))
    x, y = int(draw.integers(2, width - right - 2)), height - 20
    pen.text((x, y), text, font=ImageFont.truetype(FONT, 14), fill=(10, 10, 10))
    word = Thing("word", "", permille(x + left, y + top, x + right, y + bottom, size), "", text)
    return torch.from_numpy(np.array(image)), (shape, word)


def permille(x1: int, y1: int, x2: int, y2: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    height, width = size
    return x1 * 1000 // width, y1 * 1000 // height, x2 * 1000 // width, y2 * 1000 // height


def batch_of(sizes: list[tuple[int, int]]) -> Pictures:
    pairs = [drawn(index, size) for index, size in enumerate(sizes)]
    count = range(len(pairs))
    return Pictures([f for f, _ in pairs], [t for _, t in pairs], [str(i) for i in count], list(count))


@pytest.fixture(scope="session")
def sixteen() -> Pictures:
    """Sixteen frames of three sizes: every shape and colour with every word."""
    return batch_of([[(64, 64), (64, 96), (96, 64)][index % 3] for index in range(16)])


@pytest.fixture(scope="session")
def nothing() -> Pictures:
    """No frames."""
    return Pictures([], [], [], [])


@pytest.fixture(scope="session")
def empty_frames() -> Pictures:
    """Two frames of different sizes in which there is nothing."""
    frames = [
        torch.full((64, 64, 3), 230, dtype=torch.uint8),
        torch.full((64, 96, 3), 230, dtype=torch.uint8),
    ]
    return Pictures(frames, [(), ()], ["a", "b"], [0, 1])
