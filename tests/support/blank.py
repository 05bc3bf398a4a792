"""Pictures with nothing on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vlmloom.components.contracts.sample import Picture


class Blank(Picture):
    """A grey still or clip of any size."""

    def __init__(
        self,
        frames: int = 1,
        height: int = 64,
        width: int = 64,
        times: Sequence[float] = (),
        key: str = "blank",
    ) -> None:
        self.frames, self.height, self.width, self.times, self.key = frames, height, width, times, key

    def render(self) -> np.ndarray:
        """See `Picture.render`."""
        return np.full((self.frames, self.height, self.width, 3), 127, np.uint8)
