"""A user's own pictures: one file as a `Picture`, and a folder with questions written down."""

from __future__ import annotations

import json
import warnings
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from vlmloom.components.contracts.sample import CorruptPicture, Picture
from vlmloom.components.contracts.sources import Example, ExampleSource, SourceMissing
from vlmloom.registry import register

ORIENTATION = 0x0112
EXAMPLES = "examples.jsonl"
UNKNOWN = (32, 32)
LARGEST = 200_000_000
"""Pixels of the largest picture that is decoded; a larger one is more likely an attack than a photograph."""


class FilePicture(Picture):
    """A still from a file: its size is read from the header, its pixels are decoded when they are asked for.

    Rotation by EXIF is applied, transparent parts become white, animations give their first frame. A file
    whose header cannot be read has a size all the same (`UNKNOWN`), so that it can be planned; `render` then
    says what is wrong.

    Args:
        path: a file of any format that Pillow reads.
    """

    frames = 1

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def key(self) -> str:  # type: ignore[override]
        """The path with the time and size of the file."""
        try:
            state = self.path.stat()
        except OSError as error:
            raise CorruptPicture(f"{self.path}: cannot be read ({error.strerror})") from None
        return f"{self.path.resolve()}:{state.st_mtime_ns}:{state.st_size}"

    @property
    def width(self) -> int:  # type: ignore[override]
        """In pixels, as shown."""
        return self._size[0]

    @property
    def height(self) -> int:  # type: ignore[override]
        """In pixels, as shown."""
        return self._size[1]

    @cached_property
    def _size(self) -> tuple[int, int]:
        try:
            opened = self._opened()
        except CorruptPicture:
            return UNKNOWN
        with opened as picture:
            turned = picture.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
            return (picture.height, picture.width) if turned else (picture.width, picture.height)

    def _opened(self) -> Image.Image:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                picture = Image.open(self.path)
        except FileNotFoundError:
            raise CorruptPicture(f"{self.path}: there is no such picture") from None
        except Exception as error:
            raise CorruptPicture(f"{self.path}: is no picture ({_reason(error)})") from None
        if picture.width * picture.height > LARGEST:
            raise CorruptPicture(
                f"{self.path}: has {picture.width} x {picture.height} pixels, at most {LARGEST} are decoded"
            )
        return picture

    def render(self) -> np.ndarray:
        """The pixels, uint8 `[1, height, width, 3]`."""
        with self._opened() as picture:
            try:
                pixels = _rgb(ImageOps.exif_transpose(picture))
            except Exception as error:
                # Decoders raise nearly anything on damaged data: OSError, SyntaxError, struct.error, ...
                raise CorruptPicture(f"{self.path}: cannot be decoded ({_reason(error)})") from None
        return pixels[None]


def _reason(error: Exception) -> str:
    """The first line of an error, in brief."""
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def _rgb(picture: Image.Image) -> np.ndarray:
    if picture.mode.startswith(("I", "F")):
        # 16-bit and float pictures are scaled by their own range: Pillow would cut them off at 255.
        values = np.asarray(picture, np.float64)
        low, high = values.min(), values.max()
        grey = ((values - low) * (255 / (high - low) if high > low else 0)).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if picture.has_transparency_data:
        ground = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(ground, picture.convert("RGBA"))
    return np.array(picture.convert("RGB"))


@register("source/folder")
class Folder(ExampleSource):
    """A folder of your own pictures with `examples.jsonl`: one question a line.

    A line is `{"pictures": ["a.jpg"], "question": "what is this?", "answer": "a dog"}`, with a `"caption"`
    where there is one; paths are relative to the folder.

    Args:
        folder: where `examples.jsonl` lies.
    """

    package = "your own folder"
    licence = "yours"

    def __init__(self, *, folder: str) -> None:
        self.folder = Path(folder)
        self._examples: list[Example] | None = None

    def available(self) -> str | None:
        """None where the folder has its `examples.jsonl`."""
        if (self.folder / EXAMPLES).is_file():
            return None
        return f"source/folder: {self.folder / EXAMPLES} is not there; write one question a line into it"

    def prepare(self) -> None:
        """Read every line; pictures stay closed."""
        self.load()

    def load(self) -> list[Example]:
        """Every example.

        Raises:
            SourceMissing: the file is not there.
            ValueError: a line is not an example; the message names it.
        """
        if self._examples is None:
            missing = self.available()
            if missing:
                raise SourceMissing(missing)
            file = self.folder / EXAMPLES
            lines = file.read_text(encoding="utf-8").splitlines()
            self._examples = [
                self._example(line, f"{file}:{number}")
                for number, line in enumerate(lines, 1)
                if line.strip()
            ]
            if not self._examples:
                raise ValueError(f"{file}: is empty; it needs at least one example")
        return self._examples

    def _example(self, line: str, origin: str) -> Example:
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{origin}: is no JSON ({error.msg} at column {error.colno})") from None
        if not isinstance(record, dict):
            raise ValueError(f"{origin}: is a {type(record).__name__}, but an example is an object")
        known = {"pictures": list, "question": str, "answer": str, "caption": str}
        for key, value in record.items():
            if key not in known:
                raise ValueError(f"{origin}: unknown key {key!r}; an example has {', '.join(known)}")
            if not isinstance(value, known[key]):
                raise ValueError(f"{origin}: {key} is {value!r}, but should be a {known[key].__name__}")
        for key in ("question", "answer"):
            if not record.get(key, "").strip():
                raise ValueError(f"{origin}: {key} is missing")
        names = record.get("pictures", [])
        if not all(isinstance(name, str) for name in names):
            raise ValueError(f"{origin}: pictures is {names!r}, but should be a list of file names")
        pictures = tuple(FilePicture(self.folder / name) for name in names)
        return Example(pictures, record["question"], record["answer"], record.get("caption", ""), origin)
