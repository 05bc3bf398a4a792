"""The one layout of data: samples on one flat axis with boundaries, and no padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import accumulate
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vlmloom.components.contracts.visuals import Grid, Visuals

IGNORE = -100
"""The label of a position that is not trained on."""


@dataclass(frozen=True)
class Span:
    """A run of one modality within a sample: `length` tokens of text, or the tokens of one `grid`."""

    length: int
    grid: Grid | None = None


Layout = list[Span]
"""The spans of one sample in order. `language.positions(layout)` turns it into rotary positions."""


@dataclass(frozen=True)
class Tag:
    """Where a sample comes from, so that a loss, a metric or a fault can be traced back to it."""

    task: str
    index: int
    source: str = ""
    split: str = "train"


@dataclass
class Packed:
    """A batch of samples, one after another.

    Attributes:
        ids: `[T]` token ids; every visual slot holds the image placeholder's id.
        labels: `[T]` the id that stands at this position if it is trained on, else `IGNORE`. Not shifted:
            heads shift with `shift`, each to its own depth.
        weights: `[T]` the loss weight of the label at this position.
        positions: `[3, T]` rotary positions (time, row, column).
        boundaries: `[B + 1]` int32, where the samples begin and end.
        lengths: the lengths of the samples, on the host.
        visual_slots: `[V]` indices into T, in the order of the projected visual tokens.
        modality: `[T]` 0 for text, 1 for visual.
        tags: one a sample.
        visuals: what each tower sees, by the tower's name (`vision`, `teacher.siglip2`, ...).
        branch: `[T]` branches of a message tree, where there are any.
        extras: old log-probabilities, advantages and what else an objective needs.
        normaliser: the sum of weights over the whole optimizer step, over its packs (ranks times
            micro-batches).
    """

    ids: Int[Tensor, "tokens"]
    labels: Int[Tensor, "tokens"]
    weights: Float[Tensor, "tokens"]
    positions: Int[Tensor, "3 tokens"]
    boundaries: Int[Tensor, "edges"]
    lengths: list[int]
    visual_slots: Int[Tensor, "visual"]
    modality: Int[Tensor, "tokens"]
    tags: list[Tag]
    visuals: dict[str, Visuals] = field(default_factory=dict)
    branch: Int[Tensor, "tokens"] | None = None
    extras: dict[str, Any] = field(default_factory=dict)
    normaliser: float = 1.0

    @classmethod
    def texts(
        cls, samples: Sequence[Sequence[int]], visuals: Mapping[str, Visuals] | None = None, **extras: Any
    ) -> Packed:
        """Samples of words alone, each trained on whole; pictures may stand beside them, not among them.

        >>> batch = Packed.texts([[5, 3, 8], [7, 2]])
        >>> batch.boundaries.tolist(), batch.positions[0].tolist(), batch.normaliser
        ([0, 3, 5], [0, 1, 2, 0, 1], 3.0)

        Args:
            samples: token ids.
            visuals: what each tower sees, e.g. one picture a caption.
            extras: see above, e.g. `pairs` of captions.
        """
        lengths = [len(sample) for sample in samples]
        ids = torch.tensor([token for sample in samples for token in sample], dtype=torch.long)
        places = [place for length in lengths for place in range(length)]
        return cls(
            ids=ids,
            labels=ids,
            weights=torch.ones(len(ids)),
            positions=torch.tensor(places, dtype=torch.long).repeat(3, 1),
            boundaries=torch.tensor([0, *accumulate(lengths)], dtype=torch.int32),
            lengths=lengths,
            visual_slots=torch.zeros(0, dtype=torch.long),
            modality=torch.zeros_like(ids),
            tags=[],
            visuals=dict(visuals or {}),
            extras=extras,
            # The first token of a sample is nobody's next.
            normaliser=float(max(1, sum(max(0, length - 1) for length in lengths))),
        )

    def to(self, device: torch.device | str) -> Packed:
        """The same batch on another device; tags and lengths stay on the host."""
        return moved(self, device)


def moved(batch: Any, device: torch.device | str) -> Any:
    """A dataclass with its tensors on another device, those in its dictionaries and in nested batches too."""

    def move(value: Any) -> Any:
        if isinstance(value, Tensor | Visuals):
            return value.to(device) if isinstance(value, Tensor) else moved(value, device)
        if isinstance(value, dict):
            return {key: move(part) for key, part in value.items()}
        return value

    return replace(batch, **{part.name: move(getattr(batch, part.name)) for part in fields(batch)})


def shift(values: Tensor, boundaries: Tensor, by: int, fill: float) -> Tensor:
    """What stands `by` tokens later in the same sample; `fill` where the sample has ended.

    With two samples A and B, by = 1: `[A0, A1, A2, B0, B1] -> [A1, A2, fill, B1, fill]`.

    Args:
        values: `[T]`.
        boundaries: `[B + 1]`.
        by: how far ahead; 1 for the next token, 1 + k for the head of depth k.
        fill: the value beyond a sample's end (`IGNORE` for labels, 0 for weights).
    """
    total = values.shape[0]
    index = torch.arange(total, device=values.device)
    lengths = boundaries[1:] - boundaries[:-1]
    end = torch.repeat_interleave(boundaries[1:].long(), lengths.long(), output_size=total)
    ahead = index + by
    inside = ahead < end
    return torch.where(
        inside, values[ahead.clamp(max=max(total - 1, 0))], torch.as_tensor(fill, dtype=values.dtype)
    )
