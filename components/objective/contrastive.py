"""Contrastive alignment of a vision part with a text part."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from vlmloom.components.contracts.component import Metrics, beside, declared_losses
from vlmloom.components.contracts.objective import Objective
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.contracts.visuals import VisualFeatures, Visuals
from vlmloom.registry import name_of, register

Embedded = tuple[Tensor, Tensor, Metrics]


@register("objective/contrastive")
class Contrastive(Objective):
    """Image-text alignment over a batch of pictures and captions, by the module's `align` part.

    With `chunk` the batch is embedded that many pairs at a time, of which the embeddings alone are kept; on
    the way back each chunk runs again, with the gradients of its embeddings at hand. So the batch, and with
    it the number of negatives, may be as large as memory holds pictures and embeddings, at the price of one
    more forward pass. Loss and gradients are those of the whole; reports of the towers are means over pairs.

    >>> import torch
    >>> from vlmloom.components.contracts.packed import Packed
    >>> from vlmloom.components.contracts.visuals import Visuals
    >>> from vlmloom.registry import build, compose
    >>> towers = build(compose("two_tower"))
    >>> pictures = {"vision": Visuals.noise([(1, 2, 2), (1, 2, 4)], patch=16)}
    >>> batch = Packed.texts([[5, 3, 8], [7, 2]], pictures, pairs=torch.arange(2))
    >>> (whole, _), (halves, _) = Contrastive()(towers, batch), Contrastive(chunk=1)(towers, batch)
    >>> torch.allclose(whole, halves)
    True

    Reference: arXiv 2101.06983 (GradCache); arXiv 2303.15343 (SigLIP).
    """

    views = ("captions",)

    def __init__(self, *, chunk: int | None = None) -> None:
        """Say how much is embedded at once.

        Args:
            chunk: pairs whose activations are held at a time; None holds those of all.

        Raises:
            ValueError: the chunk is below one.
        """
        super().__init__()
        if chunk is not None and chunk < 1:
            raise ValueError(f"objective/contrastive: chunk is {chunk}; 1 or more, or null, would be right")
        self.chunk = chunk

    def check(self, module: Any) -> None:
        """See `Objective.check`."""
        lacks = [part for part in ("vision", "text", "align") if getattr(module, part, None) is None]
        if lacks:
            who = name_of(self)
            raise ValueError(
                f"{who} aligns vision with text, but {type(module).__name__} has no part "
                f"{', '.join(lacks)}; assembly/two_tower has them"
            )

    def forward(self, module: Any, batch: Packed) -> tuple[Tensor, Metrics]:
        """Align pictures with their captions.

        Args:
            module: an assembly with the parts `vision`, `text` and `align`.
            batch: captions packed as text, with one picture a caption in `visuals["vision"]` and the
                captions' identities in `extras["pairs"]` (equal numbers are the same caption).

        A batch without pairs, whose pictures were all corrupt, costs 0.

        Raises:
            ValueError: there are not as many pictures as captions.
        """
        visuals, pairs = paired(batch, "objective/contrastive"), max(len(batch.lengths), 1)
        chunk = pairs if self.chunk is None else min(self.chunk, pairs)
        run = _embed if chunk == pairs else partial(checkpoint, _embed, use_reentrant=False)
        parts: list[Embedded] = [run(module, *piece) for piece in _pieces(batch, visuals, chunk)]
        pictures = torch.cat([seen for seen, _, _ in parts])
        captions = torch.cat([read for _, read, _ in parts])
        loss, found = module.align.compare(pictures, captions, batch.extras["pairs"], lost(batch))
        sizes = [len(pictures) for pictures, _, _ in parts]
        reports = [metrics for _, _, metrics in parts]
        seen: dict[str, Any] = {
            name: sum(size * report[name] for size, report in zip(sizes, reports, strict=True)) / pairs
            for name in reports[0]
        }
        return loss + declared_losses(seen), seen | found

    def flops(self, module: Any, batch: Packed) -> dict[str, int]:
        """See `Objective.flops`."""
        grids = batch.visuals["vision"].shapes
        return {
            "vision": module.vision.flops(grids),
            "text": module.text.flops(batch.lengths),
            "align": module.align.flops(module.vision.token_grids(grids)),
        }


def _embed(module: Any, ids: Tensor, positions: Tensor, lengths: list[int], visuals: Visuals) -> Embedded:
    """Unit vectors of pictures and of captions, and what the towers report."""
    features, seen = module.vision(visuals)
    pictures, captions, read = embed(module, features, ids, positions, lengths)
    return pictures, captions, beside(seen, read, "text")


def embed(
    module: Any, features: VisualFeatures, ids: Tensor, positions: Tensor, lengths: list[int]
) -> Embedded:
    """Unit vectors of pictures that the tower has seen and of captions, and what the text tower reports."""
    hidden, read = module.text(module.text.embed(ids), positions, lengths)
    boundaries = torch.tensor([0, *lengths], device=ids.device).cumsum(0)
    # Without pairs one blank picture has been looked at, so that all ranks reduce the same gradients.
    pictures = module.align.embed_pictures(features)[: len(lengths)]
    return pictures, module.align.embed_captions(hidden, boundaries), read


def paired(batch: Packed, who: str) -> Visuals:
    """The pictures of a batch, one a caption; a blank one, of weight 0, where there is no pair.

    Raises:
        ValueError: there are not as many pictures as captions.
    """
    visuals = batch.visuals["vision"]
    if len(visuals.shapes) != len(batch.lengths) and (batch.lengths or visuals.weight):
        raise ValueError(
            f"{who}: found {len(visuals.shapes)} pictures for {len(batch.lengths)} captions; "
            "one a caption would be right"
        )
    return visuals


def lost(batch: Packed) -> int:
    """How many pairs of a batch were left out because their pictures were corrupt."""
    return len(batch.extras.get("corrupt", []))


def _pieces(
    batch: Packed, visuals: Visuals, chunk: int
) -> Iterator[tuple[Tensor, Tensor, list[int], Visuals]]:
    """The batch, `chunk` pairs at a time."""
    sizes = [frames * rows * columns for frames, rows, columns in visuals.shapes]
    token = patch = 0
    for start in range(0, max(len(batch.lengths), 1), chunk):
        items = slice(start, start + chunk)
        tokens = slice(token, token := token + sum(batch.lengths[items]))
        patches = slice(patch, patch := patch + sum(sizes[items]))
        piece = Visuals(
            visuals.patches[patches],
            visuals.grids[items],
            visuals.shapes[items],
            visuals.block,
            visuals.weight,
        )
        yield batch.ids[tokens], batch.positions[:, tokens], batch.lengths[items], piece
