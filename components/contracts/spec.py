"""What is handed from part to part in a dry build: stream shapes, without tensors."""

from __future__ import annotations

from dataclasses import dataclass

from vlmloom.components.contracts.visuals import Grid


class ShapeMismatch(ValueError):
    """Two neighbours do not fit; the message says what was found and what would be right."""


@dataclass(frozen=True)
class Spec:
    """A stream between two parts.

    Attributes:
        stream: what flows: `patches`, `visual`, `hidden` or `logits`; `pictures` between specialists.
        width: the last axis.
        grids: the grids of the items, where the stream is visual.
    """

    stream: str
    width: int
    grids: tuple[Grid, ...] = ()

    def need(self, who: str, stream: str, width: int | None = None) -> None:
        """Check what a part receives.

        Args:
            who: the part, for the message.
            stream: the stream that it takes.
            width: the width that it takes; None takes any.

        Raises:
            ShapeMismatch: the stream or its width is another one.
        """
        if self.stream != stream:
            raise ShapeMismatch(f"{who} takes a stream of {stream}, but is handed {self.stream}")
        if width is not None and self.width != width:
            raise ShapeMismatch(f"{who} takes {stream} of width {width}, but is handed width {self.width}")
