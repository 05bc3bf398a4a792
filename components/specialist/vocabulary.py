"""The closed vocabulary of a specialist: given at construction or bound later, and saved with the weights."""

from __future__ import annotations

import json
from collections.abc import Sequence

import torch
from torch import Tensor, nn

UNSAID = -1e4
"""The logit of a row without a label. Minus infinity would give CTC a gradient of nan."""


class Vocabulary(nn.Module):
    """An ordered list of labels with room for `capacity` of them; its state is a tensor of bytes.

    The output layers have `capacity` rows from the start, so that shapes and FLOPs are known before the data
    is. Rows without a label never win.
    """

    def __init__(
        self, what: str, capacity: int, labels: Sequence[str] | None = None, *, room: str = "capacity"
    ) -> None:
        """Make room.

        Args:
            what: the argument that this vocabulary is, for messages.
            capacity: the largest number of labels.
            labels: the labels, where they are known already.
            room: the argument that sets the capacity, for messages.

        Raises:
            ValueError: more labels than room, or a label twice.
        """
        super().__init__()
        self.what, self.capacity, self.room = what, capacity, room
        self.labels: list[str] = []
        self.index: dict[str, int] = {}
        self.fixed = labels is not None
        if labels is not None:
            self.assign(labels)

    def bind(self, labels: Sequence[str]) -> None:
        """Take the labels unless construction named them."""
        if not self.fixed:
            self.assign(labels)

    def assign(self, labels: Sequence[str]) -> None:
        """Take the labels."""
        if len(labels) > self.capacity:
            raise ValueError(
                f"{self.what}: {len(labels)} labels, but capacity is {self.capacity}; "
                f"set {self.room} to {len(labels)}"
            )
        if len(set(labels)) != len(labels):
            twice = sorted({label for label in labels if list(labels).count(label) > 1})
            raise ValueError(f"{self.what}: {', '.join(twice)} stands twice; labels have to differ")
        self.labels = list(labels)
        self.index = {label: place for place, label in enumerate(self.labels)}

    def need(self) -> None:
        """Check that there are labels.

        Raises:
            RuntimeError: none were bound.
        """
        if not self.labels:
            raise RuntimeError(f"{self.what}: no labels yet; name them or call bind_vocabulary")

    def masked(self, logits: Tensor) -> Tensor:
        """Logits `[..., capacity]` with rows without a label at `UNSAID`."""
        if len(self.labels) == self.capacity:
            return logits
        free = torch.arange(self.capacity, device=logits.device) >= len(self.labels)
        return logits.masked_fill(free, UNSAID)

    def get_extra_state(self) -> Tensor:
        """The labels as JSON in a tensor of bytes, which every checkpoint format can hold."""
        return torch.tensor(list(json.dumps(self.labels).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Take the labels of a checkpoint."""
        self.assign(json.loads(bytes(state.tolist()).decode()))
