"""The frames of a picture one by one, each of a clip with the time at which it was taken."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vlmloom.components.contracts.sample import Picture


def timed(picture: Picture) -> Iterator[tuple[str, np.ndarray]]:
    """What is written before a frame, and the frame, uint8 `[H, W, 3]`; nothing where no time is known."""
    frames = picture.render()
    whens = [f"{time:g} s:" for time in picture.times] or [""] * len(frames)
    yield from zip(whens, frames, strict=True)
