"""`FilePicture` and `FileClip`: a user's own file as a picture that can say its size before it is decoded."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from vlmloom.components.contracts.sample import CorruptPicture, Picture
from vlmloom.components.contracts.sampling import Sampling, sample
from vlmloom.components.media.decoding import decode, header, is_video
from vlmloom.components.media.headers import Header

UNKNOWN = Header(32, 32)
"""What a file counts as whose header cannot be read: it can be planned, and `render` says what is wrong."""


class FilePicture(Picture):
    """A still from a file: its size is read from the header, its pixels are decoded when they are asked for.

    See `media.decoding` for what is made of rotation, transparency, depth and size; an animation gives its
    first frame.

    Args:
        path: a file of any format that Pillow reads.
    """

    moving = False

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
        return self.header.width

    @property
    def height(self) -> int:  # type: ignore[override]
        """In pixels, as shown."""
        return self.header.height

    @cached_property
    def header(self) -> Header:
        """What the file decodes to; `UNKNOWN` where that cannot be told."""
        try:
            return header(self.path, self.moving)
        except CorruptPicture:
            return UNKNOWN

    def render(self) -> np.ndarray:
        """The pixels, uint8 `[1, height, width, 3]`."""
        return decode(self.path)


class FileClip(FilePicture):
    """A clip from a video or an animation: those of its frames that a model looks at.

    Frames are taken to follow each other evenly, at the mean rate of the file. A clip of one frame is a
    still, or, where frames are sampled in pairs, a pair of equal ones.

    Args:
        path: a GIF, WebP, PNG or AVIF animation, or a video (which needs PyAV).
        sampling: the rule by which frames are chosen.
    """

    moving = True

    def __init__(self, path: str | Path, sampling: Sampling = "all") -> None:
        super().__init__(path)
        self.sampling = sampling

    @cached_property
    def chosen(self) -> list[int]:
        """The numbers of the frames that are decoded."""
        if self.header.rate == 0:
            return [0] if self.sampling == "all" else [0, 0]
        return sample(
            self.sampling, self.header.frames, self.header.rate, self.header.frames / self.header.rate
        )

    @property
    def frames(self) -> int:  # type: ignore[override]
        """How many are decoded."""
        return len(self.chosen)

    @property
    def times(self) -> list[float]:  # type: ignore[override]
        """When each frame was taken, in seconds; empty for a still."""
        if self.frames == 1:
            return []
        return [number / self.header.rate if number else 0.0 for number in self.chosen]

    def render(self) -> np.ndarray:
        """The pixels, uint8 `[frames, height, width, 3]`."""
        return decode(self.path, self.chosen)


def picture_of(path: str | Path, *, clip: bool = False, sampling: Sampling = "all") -> FilePicture:
    """A file as a clip where it holds a video or `clip` asks for it, else as a still."""
    return FileClip(path, sampling) if clip or is_video(Path(path)) else FilePicture(path)
