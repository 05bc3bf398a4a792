"""Pictures that were spoilt: noise, blur, compression, a patch over a thing, a wrong word written on it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from PIL import Image, ImageFilter

from vlmloom.components.contracts.boxes import pixels
from vlmloom.components.contracts.sample import Picture, Thing
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import Block, Layer, Writing, writing_width
from vlmloom.components.task.world import World

TONAL = ("noise", "blur", "jpeg")
"""What spoils every pixel."""

KINDS = (*TONAL, "patch", "word")
"""And what hides a part of one thing, or names it wrongly (a typographic attack: Goh et al., "Multimodal
neurons in artificial neural networks", Distill 2021)."""

SIZES_STAY = (*TONAL, "word")
"""What leaves every thing its size: for questions about sizes."""

STRENGTHS = 3

NOISE = (24, 48, 80)
BLUR = (0.8, 1.3, 1.9)
QUALITY = (30, 14, 7)
COVERED = (0.2, 0.3, 0.4)
LETTERS = (0.22, 0.3, 0.4)


class Spoilt(Picture):
    """A picture whose pixels are spoilt when they are asked for; its size and its frames stay.

    Args:
        picture: the sound one.
        kind: one of `KINDS`.
        strength: from 1 to 3.
        layers: drawn on top, for a patch or a word.
    """

    def __init__(self, picture: Picture, kind: str, strength: int, layers: tuple[Layer, ...] = ()) -> None:
        self.picture, self.kind, self.strength, self.layers = picture, kind, strength, layers
        self.width, self.height = picture.width, picture.height
        self.frames, self.times = picture.frames, picture.times

    @property
    def key(self) -> str:  # type: ignore[override]
        """The digest of the sound picture's key and of what spoils it."""
        text = repr((self.picture.key, self.kind, self.strength, self.layers))
        return blake2b(text.encode(), digest_size=12).hexdigest()

    def render(self) -> np.ndarray:
        """The spoilt pixels, uint8 `[frames, height, width, 3]`."""
        out = self.picture.render()
        for number, frame in enumerate(out):
            for layer in self.layers:
                layer.paint(frame)
            if self.kind == "noise":
                frame[:] = _noisy(frame, NOISE[self.strength - 1], Draw(self.key, number).bits())
            elif self.kind == "blur":
                radius = BLUR[self.strength - 1] * min(self.width, self.height) / 128
                frame[:] = np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(radius)))
            elif self.kind == "jpeg":
                frame[:] = _compressed(frame, QUALITY[self.strength - 1])
        return out


def spoilt(
    pictures: Sequence[Picture],
    things: Sequence[Thing],
    kind: str,
    draw: Draw,
    world: World,
    choices: Sequence[str] = (),
    answer: str = "",
) -> tuple[tuple[Picture, ...], int]:
    """The pictures of an item, spoilt in one way and with one strength, and the strength.

    Args:
        pictures: of the item.
        things: what they show; `frame` is the number of the picture.
        kind: one of `KINDS`.
        draw: where the chances come from.
        world: whose fonts and names a wrong word is taken from.
        choices: of the question; a wrong word is one of them where they are words.
        answer: that must not be written.
    """
    strength = draw.between(1, STRENGTHS)
    found: list[Picture] = []
    for number, picture in enumerate(pictures):
        layers: tuple[Layer, ...] = ()
        here = [thing for thing in things if len(pictures) == 1 or thing.frame == number]
        if kind in ("patch", "word") and here:
            thing = draw.choice(here)
            box = pixels(thing.box, picture.width, picture.height)
            if kind == "patch":
                layers = (_patch(box, COVERED[strength - 1], draw),)
            else:
                shown = {other.name for other in things} | {answer}
                layers = (_word(_wrong(shown, choices, world, draw), box, picture, strength, world, draw),)
        found.append(Spoilt(picture, kind, strength, layers))
    return tuple(found), strength


def _noisy(frame: np.ndarray, reach: int, seed: int) -> np.ndarray:
    noise = np.random.Generator(np.random.PCG64(seed)).integers(
        -reach, reach + 1, frame.shape, dtype=np.int16
    )
    return np.clip(frame + noise, 0, 255).astype(np.uint8)


def _compressed(frame: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(frame).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def _patch(box: tuple[int, int, int, int], share: float, draw: Draw) -> Block:
    """A grey block over a share of a box, from one of its four sides."""
    x1, y1, x2, y2 = box
    across, down = round((x2 - x1) * share), round((y2 - y1) * share)
    grey = draw.between(60, 190)
    side = draw.below(4)
    covered = [
        (x1, y1, x1 + across, y2),
        (x2 - across, y1, x2, y2),
        (x1, y1, x2, y1 + down),
        (x1, y2 - down, x2, y2),
    ]
    return Block(*covered[side], (grey, grey, grey))


def _wrong(shown: set[str], choices: Sequence[str], world: World, draw: Draw) -> str:
    """A word that is not so: another choice of the question, or the name of a thing that is not there."""
    words = [choice for choice in choices if choice not in shown and choice.isalpha() and choice.isascii()]
    return draw.choice(words or [entry.name for entry in world.vocabulary if entry.name not in shown])


def _word(
    text: str, box: tuple[int, int, int, int], picture: Picture, strength: int, world: World, draw: Draw
) -> Writing:
    """A word on a plate across the middle of a box, no wider than it can be read or than the picture."""
    if world.fonts is None:
        raise ValueError("the corrupt split writes words, but the suite has no fonts; give it source/fonts")
    face, font = draw.choice(list(world.fonts.load().items()))
    x1, y1, x2, y2 = box
    height = max(7, round((y2 - y1) * LETTERS[strength - 1]))
    width = min(writing_width(text, str(font), height), max(x2 - x1, 6 * len(text)), picture.width - 4)
    x = min(max((x1 + x2 - width) // 2, 2), picture.width - width - 2)
    y = min(max((y1 + y2 - height) // 2, 2), picture.height - height - 2)
    return Writing(text, str(font), face, x, y, width, height, (20, 20, 20), (250, 250, 250))
