"""What a stage sees of a sample: its size before it is drawn, its pixels and tokens, and a batch of them.

Views of a question (with pictures, without them, with the scene in words instead) give `Packed`; `captions`
gives `Packed` captions with one picture each, `pictures` pictures without text; `scenes` gives `Pictures`
with the truth about them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import torch

from vlmloom.components.contracts.intake import Intake
from vlmloom.components.contracts.packed import IGNORE, Packed, Span, Tag
from vlmloom.components.contracts.patches import cut, join
from vlmloom.components.contracts.processor import Encoded, Processor
from vlmloom.components.contracts.resizing import Resolution, UnfitPicture
from vlmloom.components.contracts.sample import CorruptPicture, Picture, Sample, describe
from vlmloom.components.contracts.suite import Suite
from vlmloom.components.contracts.visuals import PatchSpec, Pictures
from vlmloom.pipelines.data.packing import Draw, Size

PIXELS_A_TOKEN = 16 * 16
"""In the `scenes` view a frame weighs as many tokens as it has squares of this many pixels."""
CORRUPT = Size(1)
"""The size of an item whose picture has none to read: it goes into a pack, is found out there and counted."""


@dataclass
class Drawn:
    """One item as a worker hands it over.

    Attributes:
        tag: where it comes from.
        encoded: its tokens.
        pixels: one uint8 array `[frames, height, width, 3]` a picture.
        sample: the plan.
        normaliser: of the pack that it is for.
        weight: what it has in the normaliser.
        corrupt: the message of a picture that could not be decoded; the item is then left out of its batch.
    """

    tag: Tag
    sample: Sample
    normaliser: float
    weight: float = 0.0
    encoded: Encoded | None = None
    pixels: list[np.ndarray] = field(default_factory=list)
    corrupt: str | None = None


def tag_of(sample: Sample) -> Tag:
    """Where a sample comes from."""
    return Tag(sample.task, sample.index, sample.source, sample.split)


def without_pictures(sample: Sample) -> Sample:
    """The same question with its pictures withheld."""
    return replace(sample, prompt=[part for part in sample.prompt if isinstance(part, str)])


def in_words(sample: Sample, words: str | None = None) -> Sample:
    """The same question with the scene in words where its first picture stood.

    Args:
        sample: the question.
        words: what perception says; None is the truth.
    """
    prompt: list[str | Picture] = []
    told = False
    for part in sample.prompt:
        if isinstance(part, str):
            prompt.append(part)
        elif not told:
            prompt.append(f"{words if words is not None else describe(sample.scene)} . ")
            told = True
    return replace(sample, prompt=prompt)


class View:
    """Questions as packed batches; the base of the other views.

    Attributes:
        pictures: `shown`, `withheld` or `described`.
        resolution: at which `vision` sees pictures; None leaves it to the tower.
    """

    def __init__(
        self,
        suite: Suite,
        processor: Processor,
        intake: Intake,
        *,
        split: str,
        pictures: str = "shown",
        resolution: Resolution | None = None,
    ) -> None:
        self.suite, self.processor, self.intake = suite, processor, intake
        self.split, self.pictures, self.resolution = split, pictures, resolution
        self.specs = intake.patch_specs()
        self.plan = lru_cache(maxsize=8192)(self._plan)

    def _plan(self, index: int) -> Sample:
        sample = self.suite.plan(self.split, index)
        if self.pictures == "withheld":
            return without_pictures(sample)
        return in_words(sample) if self.pictures == "described" else sample

    def __getstate__(self) -> dict[str, object]:
        return {key: value for key, value in self.__dict__.items() if key != "plan"}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self.plan = lru_cache(maxsize=8192)(self._plan)

    def spec(self, tower: str, sample: Sample) -> PatchSpec:
        """How a sample's pictures are cut for a tower."""
        spec = self.specs[tower]
        if self.resolution is None or tower != "vision":
            return spec
        return spec.at(self.resolution, "tokens", sample.task, sample.split, sample.index)

    def grids(self, sample: Sample) -> list[tuple[int, int, int]]:
        """The grids of visual tokens of a sample's pictures.

        Raises:
            CorruptPicture: a picture has a size that the tower cannot take.
        """
        if "vision" not in self.specs or not sample.pictures:
            return []
        spec = self.spec("vision", sample)
        grids = []
        for picture in sample.pictures:
            try:
                grids.append(spec.grid(picture.frames, picture.height, picture.width))
            except UnfitPicture as fault:
                raise CorruptPicture(f"{getattr(picture, 'path', picture.key)}: {fault}") from None
        return self.intake.merged_grids(grids)

    def size(self, index: int) -> Size:
        """See `Size`; drawn from the plan alone."""
        try:
            encoded = self.encoded(self.plan(index))
        except CorruptPicture:
            return CORRUPT
        return Size(len(encoded), float(sum(label != IGNORE for label in encoded.labels)))

    def encoded(self, sample: Sample) -> Encoded:
        """The tokens of a sample in this view."""
        return self.processor.encode(sample, self.grids(sample))

    def draw(self, draw: Draw) -> Drawn:
        """Render and encode one item."""
        sample = self.plan(draw.item)
        drawn = Drawn(tag_of(sample), sample, draw.normaliser, draw.weight)
        try:
            drawn.pixels = [picture.render() for picture in sample.pictures]
            drawn.encoded = self.encoded(sample)
        except CorruptPicture as fault:
            drawn.corrupt = str(fault)
        return drawn

    def collate(self, items: Sequence[Drawn]) -> Packed:
        """One packed batch; what could not be decoded is left out and named in `extras["corrupt"]`.

        What it would have weighed in the normaliser is `extras["lost_weight"]`.
        """
        good = [item for item in items if item.corrupt is None]
        batch = pack(
            self.intake,
            [item.encoded for item in good if item.encoded is not None],
            [item.tag for item in good],
        )
        batch.normaliser = items[0].normaliser
        batch.extras["corrupt"] = [item.corrupt for item in items if item.corrupt]
        batch.extras["lost_weight"] = sum(item.weight for item in items if item.corrupt)
        for tower, spec in self.specs.items():
            cuts = [cut(pixels, self.spec(tower, item.sample)) for item in good for pixels in item.pixels]
            batch.visuals[tower] = join(cuts, spec)
        return batch


def pack(intake: Intake, encoded: Sequence[Encoded], tags: Sequence[Tag]) -> Packed:
    """Samples on one flat axis, without their pixels."""
    lengths = [len(item) for item in encoded]
    edges = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    ids = np.fromiter((token for item in encoded for token in item.ids), np.int64, int(edges[-1]))
    labels = np.fromiter((token for item in encoded for token in item.labels), np.int64, int(edges[-1]))
    slots = [start + place for start, item in zip(edges, encoded, strict=False) for place in item.visual]
    modality = np.zeros(len(ids), np.int64)
    modality[slots] = 1
    positions = [_positions(intake, tuple(item.layout)) for item in encoded]
    stacked = np.concatenate(positions, axis=1) if positions else np.zeros((3, 0), np.int64)
    return Packed(
        ids=torch.from_numpy(ids),
        labels=torch.from_numpy(labels),
        weights=torch.from_numpy((labels != IGNORE).astype(np.float32)),
        positions=torch.from_numpy(stacked),
        boundaries=torch.from_numpy(edges),
        lengths=lengths,
        visual_slots=torch.tensor(slots, dtype=torch.int64),
        modality=torch.from_numpy(modality),
        tags=list(tags),
    )


@lru_cache(maxsize=65536)
def _positions(intake: Intake, layout: tuple[Span, ...]) -> np.ndarray:
    return intake.positions(list(layout))


class PictureView(View):
    """The pictures of a sample without any text, cut for each tower; samples without a picture are left out.

    The batch is `Packed` without tokens: every sample has length 0, and `visuals` holds its pictures.
    """

    def encoded(self, sample: Sample) -> Encoded:
        """No tokens."""
        return Encoded([], [], [], [])

    def size(self, index: int) -> Size:
        """See `Size`: the visual tokens."""
        try:
            grids = self.grids(self.plan(index))
        except CorruptPicture:
            return CORRUPT
        return Size(sum(frames * rows * columns for frames, rows, columns in grids), 1.0)


class SceneView(View):
    """Whole pictures and the things in them, for specialists."""

    def size(self, index: int) -> Size:
        """See `Size`: the area of all frames."""
        pictures = self.plan(index).pictures
        try:
            area = sum(picture.frames * picture.height * picture.width for picture in pictures)
        except CorruptPicture:
            return CORRUPT
        return Size(-(-area // PIXELS_A_TOKEN), float(bool(pictures)))

    def encoded(self, sample: Sample) -> None:  # type: ignore[override]
        """Nothing: specialists read no tokens."""

    def collate(self, items: Sequence[Drawn]) -> Pictures:  # type: ignore[override]
        """Frames with their things; `Thing.frame` counts a clip's frames and several pictures alike."""
        batch = Pictures(frames=[], things=[], keys=[], owners=[])
        for item in items:
            if item.corrupt is not None:
                batch.corrupt.append(item.corrupt)
                continue
            number = 0
            for picture, pixels in zip(item.sample.pictures, item.pixels, strict=True):
                for frame in pixels:
                    batch.frames.append(torch.from_numpy(np.ascontiguousarray(frame)))
                    batch.things.append(
                        tuple(thing for thing in item.sample.scene.things if thing.frame == number)
                    )
                    batch.keys.append(f"{picture.key}#{number}")
                    batch.owners.append(len(batch.tags))
                    number += 1
            batch.tags.append(item.tag)
        return batch
