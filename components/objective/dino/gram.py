"""`Gram`: when the Gram teacher is taken, when it is listened to, and at what resolution it sees."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gram:
    """Gram anchoring: an earlier teacher keeps which places of a picture are alike, and nothing else.

    Attributes:
        weight: of the loss.
        start: optimizer steps before it begins.
        snapshot: the step whose teacher is the first Gram teacher; None is a fifth of `start`.
        every: steps between its refreshments by the teacher of then.
        refreshments: how often that is done.
        ramp: steps in which the weight grows to its full size.
        scale: how much finer the Gram teacher sees the same crops; its features are brought back (bicubic).

    Raises:
        ValueError: a number is out of range.

    Reference: arXiv 2508.10104 (DINOv3, section 4: start 1M of a teacher at 100k to 200k, every 10k, 3 times,
    scale 2).
    """

    weight: float = 2.0
    start: int = 1000
    snapshot: int | None = None
    every: int = 1000
    refreshments: int = 3
    ramp: int = 0
    scale: int = 2

    def __post_init__(self) -> None:
        least = {"weight": 0, "start": 0, "snapshot": 0, "every": 1, "refreshments": 0, "ramp": 0, "scale": 1}
        for name, low in least.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise ValueError(f"{name} is {value}; {low} or more would be right")
        if self.taken > self.start:
            raise ValueError(
                f"snapshot is {self.snapshot}, after start {self.start}; a step before it would be right"
            )

    @property
    def taken(self) -> int:
        """The step of the first snapshot."""
        return self.start // 5 if self.snapshot is None else self.snapshot

    def due(self, step: int) -> bool:
        """Whether the teacher after so many steps becomes the Gram teacher."""
        refreshed, rest = divmod(step - self.start, self.every)
        return step == self.taken or (rest == 0 and 1 <= refreshed <= self.refreshments)

    def weight_at(self, step: int) -> float:
        """The weight after so many steps; 0 before the start."""
        grown = 1.0 if not self.ramp else min(1.0, (step - self.start + 1) / self.ramp)
        return self.weight * grown if step >= self.start else 0.0
