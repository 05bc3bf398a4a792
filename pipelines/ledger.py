"""What a training has spent and seen so far; it travels in every checkpoint."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Ledger:
    """Running totals over all stages.

    Attributes:
        flops: of forward and backward (`assemblies.flops`).
        seconds: of wall time in training steps, data loading included, checkpoints not.
        samples: seen.
        tokens: seen, visual ones included.
        visual: visual tokens among them.
        steps: optimizer steps.
        labels: how many labels of each kind were seen.
        corrupt: pictures that could not be decoded, by their message.
        curve: points of the learning curve.
        stages: what each finished stage spent.
        peak_memory: bytes that the process has held at most, where it trained a stage to its end.
    """

    flops: float = 0.0
    seconds: float = 0.0
    samples: int = 0
    tokens: int = 0
    visual: int = 0
    steps: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    corrupt: Counter[str] = field(default_factory=Counter)
    curve: list[dict[str, Any]] = field(default_factory=list)
    stages: list[dict[str, Any]] = field(default_factory=list)
    peak_memory: int = 0

    def spent(self, unit: str) -> float:
        """The total in a budget's unit: flops, samples or seconds."""
        return float(getattr(self, unit))

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, strings, lists and dictionaries."""
        state = asdict(self)
        return state | {"labels": dict(self.labels), "corrupt": dict(self.corrupt)}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Ledger:
        """The ledger that `state_dict` came from."""
        counters = {name: Counter(state[name]) for name in ("labels", "corrupt")}
        return cls(**(state | counters))
