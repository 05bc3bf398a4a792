"""Pictures by pictures and, for towers that share a space with text, pictures by words and words by pictures.

Reference: CLIP, arXiv 2103.00020 (zero-shot classification by an ensemble of prompts, recall at k).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from vlmloom.components.contracts.vision import SharedSpace
from vlmloom.components.source.folder import captions_in
from vlmloom.registry.errors import UserError, one_line

TEMPLATES = ("a picture of a {}", "a drawing of a {}", "an icon of a {}", "a small {}", "a large {}", "{}")
"""What a name is put into: zero-shot takes the mean over all, retrieval the first as the caption."""
AT = (1, 5, 10)


def hits(
    queries: Float[Tensor, "queries width"],
    gallery: Float[Tensor, "entries width"],
    relevant: Bool[Tensor, "queries entries"],
    at: int,
) -> np.ndarray:
    """Whether something relevant is among the `at` entries nearest to each query, `[Q]`.

    The mean is recall at k as image-text retrieval reports it. Vectors are of length 1.
    """
    from torchmetrics.functional.retrieval import retrieval_hit_rate

    cosines = queries @ gallery.t()
    return np.array(
        [
            float(retrieval_hit_rate(row, wanted, top_k=at))
            for row, wanted in zip(cosines, relevant, strict=True)
        ]
    )


def guess(relevant: Bool[Tensor, "queries entries"], at: int) -> float:
    """What `hits` is on average when entries lie in random order.

    >>> guess(torch.tensor([[True, False, False, False]]), 1)
    0.25
    """
    entries = relevant.shape[1]
    misses = (
        [comb(entries - int(own), at) / comb(entries, at) for own in relevant.sum(1)] if at < entries else [0]
    )
    return 1 - sum(misses) / len(misses)


def instances(
    bank: Tensor, known: np.ndarray, queries: Tensor, things: np.ndarray
) -> tuple[np.ndarray, float]:
    """Whether one of the 5 known pictures that are nearest to a picture shows the same thing; and chance.

    Args:
        bank: `[N, E]` pooled features of known pictures.
        known: `[N]` things in them.
        queries: `[Q, E]` of others.
        things: `[Q]` in those.
    """
    relevant = torch.from_numpy(things[:, None] == known)
    return hits(F.normalize(queries, dim=-1), F.normalize(bank, dim=-1), relevant, 5), guess(relevant, 5)


def classes(
    space: SharedSpace, names: Sequence[str], templates: Sequence[str]
) -> Float[Tensor, "names width"]:
    """One unit vector a name: the mean over templates, each of length 1."""
    texts = [template.replace("{}", name) for name in names for template in templates]
    return F.normalize(space.embed_texts(texts).reshape(len(names), len(templates), -1).mean(1), dim=-1)


@dataclass(frozen=True)
class Pairs:
    """A user's own pictures with captions, one pair a line.

    Attributes:
        frames: uint8 `[H, W, 3]` of each picture, of any size.
        captions: the captions, each once.
        relevant: bool `[pictures, captions]`, which belong together.
    """

    frames: list[np.ndarray]
    captions: list[str]
    relevant: Tensor


def read_pairs(file: Path) -> Pairs:
    """Lines `{"image": "a.jpg", "text": "a dog"}` as of `source/folder`; paths are relative to the file.

    A picture or a caption that stands in several lines belongs to all of their partners.

    Raises:
        BadInput: a line is broken; the message names it.
        UserError: a picture cannot be read, or there are fewer than two captions.
    """
    places: dict[str, int] = {}
    captions: dict[str, int] = {}
    together, frames = [], []
    if not file.is_file():
        raise UserError(f"evaluate-vision: --captions {file} is no file")
    for record, origin in captions_in(file):
        picture, caption = record["image"], record["text"]
        if picture not in places:
            try:
                with Image.open(file.parent / picture) as opened:
                    frames.append(np.asarray(opened.convert("RGB")))
            except (OSError, UnidentifiedImageError) as fault:
                raise UserError(f"{origin}: {picture} cannot be read ({one_line(fault)})") from None
        together.append(
            (places.setdefault(picture, len(places)), captions.setdefault(caption, len(captions)))
        )
    if len(captions) < 2:
        raise UserError(f"{file}: has {len(captions)} captions; 2 or more would be right")
    relevant = torch.zeros(len(places), len(captions), dtype=torch.bool)
    relevant[tuple(np.array(together).T)] = True
    return Pairs(frames, list(captions), relevant)


def both_ways(
    pictures: Float[Tensor, "pictures width"],
    captions: Float[Tensor, "captions width"],
    relevant: Bool[Tensor, "pictures captions"],
) -> Iterator[tuple[str, np.ndarray, float]]:
    """Recall at 1, 5 and 10 of captions by pictures and of pictures by captions: name, hits, chance."""
    for name, queries, gallery, wanted in (
        ("image_to_text", pictures, captions, relevant),
        ("text_to_image", captions, pictures, relevant.t()),
    ):
        for at in AT:
            yield f"{name}_r{at}", hits(queries, gallery, wanted, at), guess(wanted, at)
