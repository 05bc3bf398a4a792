"""The space of pictures and texts that a run has learned, by its parts `vision`, `text` and `align`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vlmloom.components.alignment.two_tower import TwoTower
from vlmloom.components.contracts.frozen import Frozen
from vlmloom.components.contracts.sample import Sample, Scene
from vlmloom.components.contracts.visuals import VisualFeatures
from vlmloom.pipelines.data.module import PackedData
from vlmloom.pipelines.data.views import pack
from vlmloom.pipelines.experiment import Training


class RunSpace:
    """See `SharedSpace`. A text is read as a caption was in training, its end token included.

    Args:
        text: the text tower.
        align: of both towers.
        data: connected; its tokenizer gives the text tower's ids.
    """

    def __init__(self, text: torch.nn.Module, align: TwoTower, data: PackedData) -> None:
        self.text, self.align, self.data = Frozen(text), Frozen(align), data

    def embed_pictures(self, features: VisualFeatures) -> Float[Tensor, "pictures width"]:
        """Unit vectors."""
        return self.align.module.embed_pictures(features).float()

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str], batch: int = 64) -> Float[Tensor, "texts width"]:
        """Unit vectors, so many texts at a time."""
        processor, intake = self.data.processor, self.data.intake
        assert processor is not None and intake is not None
        found, text = [], self.text.module
        for start in range(0, len(texts), batch):
            samples = [
                Sample("caption", "test", index, [], words, Scene("", ()))
                for index, words in enumerate(texts[start : start + batch])
            ]
            packed = pack(intake, [processor.encode(sample, []) for sample in samples], [])
            hidden, _ = text(text.embed(packed.ids), packed.positions, packed.lengths)
            found.append(self.align.module.embed_captions(hidden, packed.boundaries).float())
        return torch.cat(found)


def space_of(training: Training) -> RunSpace | None:
    """The space of a loaded run, None where it has learned none."""
    text, align = (getattr(training.subject, part, None) for part in ("text", "align"))
    if not isinstance(text, torch.nn.Module) or not isinstance(align, TwoTower):
        return None
    return RunSpace(text, align, training.data)
