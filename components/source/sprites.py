"""What all sources of cut-outs share: fitting a drawing into a square, one file of pixels, one index."""

from __future__ import annotations

import json
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vlmloom.components.contracts.sources import SourceMissing, Sprites, SpriteSource
from vlmloom.components.source.cache import Tick, prepared

FORMAT = 1


class PreparedSprites(SpriteSource):
    """A sprite source that is drawn once into the cache folder.

    A subclass says what there is (`entries`) and draws one of it (`draw`).
    """

    def __init__(self, *, size: int = 64) -> None:
        if not 16 <= size <= 512:
            raise ValueError(f"source/{self.style}: size is {size}, but sprites are 16 to 512 pixels wide")
        self.size = size
        self._sprites: Sprites | None = None

    @abstractmethod
    def entries(self) -> list[tuple[str, str, Any]]:
        """(name, code, what `draw` takes), in a fixed order."""

    @abstractmethod
    def draw(self, what: Any) -> Image.Image:
        """One entry as an RGBA picture of at least `size` pixels."""

    @abstractmethod
    def version(self) -> str:
        """Of the package, so that another version is prepared anew."""

    def prepare(self) -> None:
        """Draw every entry once; see `vlmloom.components.source.cache` for what may go wrong safely."""
        self.load()

    def load(self) -> Sprites:
        """The sprites, memory-mapped."""
        if self._sprites is None:
            missing = self.available()
            if missing:
                raise SourceMissing(missing)
            settings = {"format": FORMAT, "size": self.size, "version": self.version()}
            folder = prepared(f"source-{self.style}", settings, self._make)
            index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
            self._sprites = Sprites(
                style=self.style,
                path=folder / "pixels.u8",
                size=self.size,
                names=index["names"],
                codes=index["codes"],
                extents=[tuple(extent) for extent in index["extents"]],
            )
        return self._sprites

    def _make(self, folder: Path, tick: Tick) -> None:
        names, codes, extents = [], [], []
        seen: set[bytes] = set()
        entries = self.entries()
        # Written through a file and not a map: a full disk is then an error, not a bus fault.
        with (folder / "pixels.u8").open("wb") as file:
            for number, (name, code, what) in enumerate(entries):
                tick(number + 1, len(entries))
                fitted = fit(self.draw(what), self.size)
                if fitted is None:
                    continue
                pixels, extent = fitted
                raw = pixels.tobytes()
                if raw in seen:
                    continue
                seen.add(raw)
                file.write(raw)
                names.append(name)
                codes.append(code)
                extents.append(extent)
        index = {"names": names, "codes": codes, "extents": extents}
        (folder / "index.json").write_text(json.dumps(index), encoding="utf-8")


def fit(picture: Image.Image, size: int) -> tuple[np.ndarray, tuple[int, int, int, int]] | None:
    """Crop a cut-out to what is visible and fit it into the middle of a square.

    Returns:
        uint8 `[size, size, 4]` and the extent (x1, y1, x2, y2) of what is visible; None for an empty picture.
    """
    picture = picture.convert("RGBA")
    bounds = picture.getchannel("A").point(lambda alpha: 255 if alpha > 16 else 0).getbbox()
    if bounds is None:
        return None
    picture = picture.crop(bounds)
    scale = size / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    picture = picture.convert("RGBa").resize((width, height), Image.Resampling.BOX).convert("RGBA")
    left, top = (size - width) // 2, (size - height) // 2
    square = np.zeros((size, size, 4), np.uint8)
    square[top : top + height, left : left + width] = np.asarray(picture)
    return square, (left, top, left + width, top + height)


def clean(name: str, cased: bool = False) -> str:
    """An emoji's name as plain words.

    Args:
        name: as the package writes it.
        cased: keep capitals, which belong to nouns in German.

    >>> clean(":dog_face:"), clean(":roter_Apfel:", cased=True)
    ('dog face', 'roter Apfel')
    """
    name = name if cased else name.lower()
    return " ".join(name.strip(":").replace("_", " ").replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())


def plain(code: str) -> str:
    """A Unicode sequence without its variation selectors, e.g. `2600-FE0F` -> `2600`."""
    return "-".join(part for part in code.upper().split("-") if part != "FE0F")
