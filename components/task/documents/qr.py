"""What does the code say?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from vlmloom.components.contracts.sources import CodeSource, Source, TextSource
from vlmloom.components.task.base import Item
from vlmloom.components.task.content import ContentTask, by_name
from vlmloom.components.task.draw import Draw
from vlmloom.components.task.drawing import RGB
from vlmloom.components.task.sheet import Rendered
from vlmloom.components.task.world import World
from vlmloom.registry import register

INKS: tuple[RGB, ...] = ((0, 0, 0), (20, 30, 90), (70, 15, 15))
LONG = ("url", "email", "uuid4", "sentence", "phone_number")
SHORT = ("postcode", "ean8", "ean13", "bothify")
"""What fits into the bars of one dimension."""


@register("task/qr")
class QR(ContentTask):
    """Read a QR code or a barcode; other formats in the shift split.

    Args:
        world: what is shared by the tasks of a suite.
        texts: what is written; None is `source/faker`.
        codes: what it is written as; None is `source/codes`.
        longest: characters in a code, from 8.
    """

    name = "qr"
    family = "documents"
    knob = "longest"

    def __init__(
        self,
        *,
        world: World,
        texts: TextSource | None = None,
        codes: CodeSource | None = None,
        longest: int = 32,
    ) -> None:
        super().__init__(world=world)
        if not 8 <= longest <= 200:
            raise ValueError(f"task/qr: longest is {longest}, but may be 8 to 200")
        self.texts: TextSource = by_name(texts, "source/faker")
        self.codes: CodeSource = by_name(codes, "source/codes")
        self.longest = longest

    def sources(self) -> Sequence[Source]:
        """Texts and codes."""
        return (self.texts, self.codes)

    def judge(self) -> dict[str, Any]:
        """Letter by letter: case and punctuation are what a code says too."""
        return {"use": "reward/exact", "literal": True}

    def compose(self, draw: Draw, split: str) -> Item | None:
        """A code, a module 2 to 4 pixels wide."""
        form = draw.choice(self.codes.shifted if split == "shift" else self.codes.formats)
        text = self.texts.write(draw.choice(SHORT if form.startswith("Code") else LONG), draw.bits() >> 1)
        text = text[: self.longest].strip()
        if not self.belongs(split, text):
            return None
        modules = _modules(self.codes, form, text)
        scale = draw.between(2, 4 if modules.shape[1] <= 60 else 2)
        height, width = (side * scale for side in modules.shape)
        packed = np.packbits(modules > 0).tobytes()
        picture = Rendered(paint, width, height, packed, modules.shape, scale, draw.choice(INKS))
        what = "QR code" if form == "QRCode" else "barcode" if form.startswith("Code") else "code"
        return Item(f"What does the {what} say?", text, (), (picture,), source="codes", content=text)


@lru_cache(maxsize=256)
def _modules(codes: CodeSource, form: str, text: str) -> np.ndarray:
    return codes.encode(form, text)


def paint(width: int, height: int, packed: bytes, shape: tuple[int, int], scale: int, ink: RGB) -> np.ndarray:
    """Modules as pixels, uint8 `[height, width, 3]`."""
    light = np.unpackbits(np.frombuffer(packed, np.uint8), count=shape[0] * shape[1]).reshape(shape)
    colours = np.array([ink, (255, 255, 255)], np.uint8)[light]
    return colours.repeat(scale, axis=0).repeat(scale, axis=1)
