"""One ragged batch, packed for our side and padded for theirs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.models import Shape
from vlmloom.assemblies.spliced import Spliced
from vlmloom.components.contracts.packed import IGNORE, Packed, Span, Tag
from vlmloom.components.contracts.visuals import Grid, Visuals


@dataclass(frozen=True)
class Ragged:
    """Samples of unequal length.

    Attributes:
        texts: `[count]` runs of ids around the pictures: a sample of n pictures has n + 1 of them.
        grids: of each sample's pictures, in patches.
        patches: `[P, 3 * patch * patch]` of all pictures, four patches of a merge group side by side.
    """

    texts: list[list[Tensor]]
    grids: list[list[Grid]]
    patches: Tensor

    @classmethod
    def draw(
        cls,
        shape: Shape,
        count: int,
        tokens: tuple[int, int],
        pictures: tuple[int, int] = (0, 0),
        sides: tuple[int, int] = (2, 8),
        seed: int = 0,
    ) -> Ragged:
        """Draw `count` samples.

        Args:
            shape: of the models.
            count: of samples.
            tokens: the fewest and the most text tokens of a sample.
            pictures: the fewest and the most pictures of a sample.
            sides: the least and the greatest side of a picture in merge groups of 2 x 2 patches.
            seed: of the draws.
        """
        dice = np.random.default_rng(seed)
        texts: list[list[Tensor]] = []
        grids: list[list[Grid]] = []
        # Lengths spread evenly over the range, so that a short list is as ragged as a long one.
        for length in dice.permutation(np.linspace(*tokens, count).round().astype(int)):
            own: list[Grid] = []
            for _ in range(dice.integers(pictures[0], pictures[1] + 1)):
                rows, columns = dice.integers(sides[0], sides[1] + 1, 2).tolist()
                own.append((1, 2 * rows, 2 * columns))
            cuts = np.sort(dice.choice(np.arange(1, length), len(own), replace=False)).tolist()
            ids = torch.from_numpy(dice.integers(1, shape.image_id, length))
            texts.append(list(ids.tensor_split(cuts)))
            grids.append(own)
        total = sum(rows * columns for own in grids for _, rows, columns in own)
        pixels = dice.standard_normal((total, 3 * shape.patch**2), dtype=np.float32)
        return cls(texts, grids, torch.from_numpy(pixels))

    def without_pictures(self) -> Ragged:
        """The same text with the pictures withheld."""
        return replace(
            self,
            texts=[[torch.cat(runs)] for runs in self.texts],
            grids=[[] for _ in self.grids],
            patches=self.patches[:0],
        )

    def samples(self, shape: Shape) -> list[tuple[Tensor, list[Span]]]:
        """Ids and spans of each sample, visual tokens included."""
        found = []
        for runs, grids in zip(self.texts, self.grids, strict=True):
            ids, spans = [runs[0]], [Span(len(runs[0]))]
            for (_, rows, columns), run in zip(grids, runs[1:], strict=True):
                visual = (rows // 2) * (columns // 2)
                ids += [torch.full((visual,), shape.image_id), run]
                spans += [Span(visual, (1, rows // 2, columns // 2)), Span(len(run))]
            found.append((torch.cat(ids), spans))
        return found

    def tokens(self, shape: Shape) -> tuple[int, int]:
        """Real tokens, and tokens once padded."""
        lengths = [len(ids) for ids, _ in self.samples(shape)]
        return sum(lengths), len(lengths) * max(lengths)


def pack(ragged: Ragged, shape: Shape, model: Spliced) -> Packed:
    """Our batch: one flat axis. Every text token is a target."""
    samples = ragged.samples(shape)
    lengths = [len(ids) for ids, _ in samples]
    ids = torch.cat([ids for ids, _ in samples])
    visual = ids == shape.image_id
    boundaries = torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int32)
    grids = [grid for own in ragged.grids for grid in own]
    targets = ~visual
    targets[boundaries[:-1].long()] = False
    return Packed(
        ids=ids,
        labels=ids.masked_fill(visual, IGNORE),
        weights=(~visual).float(),
        positions=torch.from_numpy(np.concatenate([model.positions(spans) for _, spans in samples], axis=1)),
        boundaries=boundaries,
        lengths=lengths,
        visual_slots=visual.nonzero().squeeze(1),
        modality=visual.long(),
        tags=[Tag("benchmark", index) for index in range(len(lengths))],
        visuals={"vision": Visuals(ragged.patches, torch.tensor(grids), grids, 2)} if grids else {},
        normaliser=float(targets.sum()),
    )


def pad(ragged: Ragged, shape: Shape, model: Any, left: bool) -> dict[str, Tensor]:
    """Their batch, with rotary positions worked out beforehand, as ours are."""
    samples = [ids for ids, _ in ragged.samples(shape)]
    longest = max(map(len, samples))
    ids = torch.zeros(len(samples), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, own in enumerate(samples):
        place = slice(longest - len(own), None) if left else slice(len(own))
        ids[row, place], mask[row, place] = own, 1
    batch = {"input_ids": ids, "attention_mask": mask}
    grids = torch.tensor([grid for own in ragged.grids for grid in own])
    visual = (ids == shape.image_id) & mask.bool()
    if len(grids):
        # A still counts as two equal frames; ours folds that into the weights.
        still = ragged.patches.unflatten(1, (3, 1, -1)).expand(-1, -1, 2, -1)
        batch |= {"pixel_values": still.flatten(1).contiguous(), "image_grid_thw": grids}
    if not left:
        batch["labels"] = ids.masked_fill(visual | ~mask.bool(), IGNORE)
        batch["position_ids"], _ = model.model.get_rope_index(
            ids, visual.int(), attention_mask=mask, image_grid_thw=grids if len(grids) else None
        )
    return batch
