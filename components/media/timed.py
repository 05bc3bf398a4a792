"""The frames of a picture one by one, each of a clip with the time at which it was taken."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vlmloom.components.contracts.sample import Picture


def timed(picture: Picture) -> Iterator[tuple[str, np.ndarray]]:
    """What is written before a frame, and the frame, uint8 `[H, W, 3]`; nothing where no time is known."""
    frames = picture.render()
    if picture.times and len(picture.times) != len(frames):
        raise ValueError(f"{picture.key}: has {len(frames)} frames, but {len(picture.times)} times")
    for number, frame in enumerate(frames):
        yield (f"{picture.times[number]:g} s:" if picture.times else ""), frame
