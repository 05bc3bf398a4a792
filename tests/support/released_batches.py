"""The same random samples for an imported model and for transformers' own: text, stills, clips, mixtures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from glm_towers import as_reference
from released import IMAGE
from torch import Tensor

from vlmloom.assemblies.assembly import Assembly
from vlmloom.components.contracts.packed import IGNORE, Packed, Span
from vlmloom.components.contracts.visuals import Grid, PatchSpec, Visuals

Part = int | Grid
"""So many tokens of text, or an item: stored frames, rows and columns of merged patches."""
BATCHES: dict[str, list[list[Part]]] = {
    "text": [[9]],
    "ragged text": [[11], [1], [4], [17], [2]],
    "image": [[3, (1, 2, 3), 4]],
    "images": [[2, (1, 2, 2), 1, (1, 1, 3), 2, (1, 3, 1), 3]],
    "video": [[2, (4, 2, 2), 3]],
    "mixed": [[2, (1, 2, 3), 3], [7], [1, (1, 1, 2), 2, (1, 1, 1), 4]],
    "stills and clips": [[2, (1, 2, 3), 3], [1, (4, 1, 2), 2], [5]],
}


@dataclass
class Batch:
    """The same samples for both sides.

    Attributes:
        ours: packed.
        theirs: keyword arguments and which places `[B, L]` are real: one padded batch, or one a sample where
            there are both stills and clips, which their models do not take together.
    """

    ours: Packed
    theirs: list[tuple[dict[str, Any], Tensor]]


def batch_of(samples: list[list[Part]], assembly: Assembly, seed: int = 5) -> Batch:
    """Random samples; a clip stands as its frame pairs with a token of text between, as GLM writes it."""
    spec = assembly.patch_specs().get("vision", PatchSpec(1))
    generator = torch.Generator().manual_seed(seed)
    ids: list[list[int]] = []
    types: list[list[int]] = []
    layouts: list[list[Span]] = []
    order: list[list[Grid]] = []
    for sample in samples:
        ids.append([])
        types.append([])
        layouts.append([])
        order.append([])

        def words(count: int, layout: list[Span] = layouts[-1]) -> None:
            ids[-1].extend(torch.randint(0, IMAGE, (count,), generator=generator).tolist())
            types[-1].extend([0] * count)
            layout.append(Span(count))

        for part in sample:
            if isinstance(part, int):
                words(part)
                continue
            frames, rows, columns = part
            merged = (1, rows, columns)
            for pair in range(max(1, frames // 2)):
                if pair:
                    words(1)
                slots = merged[1] * merged[2]
                ids[-1].extend([IMAGE] * slots)
                types[-1].extend([2 if frames > 1 else 1] * slots)
                layouts[-1].append(Span(slots, merged))
            order[-1].append((frames, rows * spec.block, columns * spec.block))
    lengths = [len(sample) for sample in ids]
    flat = torch.tensor([token for sample in ids for token in sample])
    visual = torch.tensor([kind > 0 for sample in types for kind in sample])
    packed = Packed(
        ids=flat,
        labels=torch.where(visual, IGNORE, flat),
        weights=torch.ones(len(flat)),
        positions=torch.cat([torch.from_numpy(assembly.positions(layout)) for layout in layouts], dim=1),
        boundaries=torch.tensor([0, *lengths]).cumsum(0).int(),
        lengths=lengths,
        visual_slots=visual.nonzero().squeeze(1),
        modality=visual.long(),
        tags=[],
    )
    shapes = [shape for sample in order for shape in sample]
    if shapes:
        packed.visuals["vision"] = draw(shapes, spec, generator)
    rows = list(range(len(samples)))
    apart = len({frames > 1 for frames, *_ in shapes}) == 2
    groups = [[row] for row in rows] if apart else [rows]
    return Batch(packed, [_theirs(packed, ids, types, order, group) for group in groups])


def _theirs(
    packed: Packed, ids: list[list[int]], types: list[list[int]], order: list[list[Grid]], rows: list[int]
) -> tuple[dict[str, Any], Tensor]:
    """Some of the samples as transformers takes them, padded on the right."""
    longest = max(len(ids[row]) for row in rows)
    padded = torch.zeros(len(rows), longest, dtype=torch.long)
    kinds, real = torch.zeros_like(padded), torch.zeros_like(padded)
    for place, row in enumerate(rows):
        length = len(ids[row])
        padded[place, :length], real[place, :length] = torch.tensor(ids[row]), 1
        kinds[place, :length] = torch.tensor(types[row])
    theirs: dict[str, Any] = {"input_ids": padded}
    if len(rows) > 1:
        theirs["attention_mask"] = real
    before = sum(_area(shape) for sample in order[: rows[0]] for shape in sample)
    shapes = [shape for row in rows for shape in order[row]]
    if shapes:
        theirs["mm_token_type_ids"] = kinds
        clips = shapes[0][0] > 1
        count = sum(map(_area, shapes))
        patches = packed.visuals["vision"].patches[before : before + count]
        items = Visuals(patches, torch.tensor(shapes), shapes, packed.visuals["vision"].block)
        theirs["pixel_values_videos" if clips else "pixel_values"] = as_reference(items)[0]
        theirs["video_grid_thw" if clips else "image_grid_thw"] = torch.tensor(
            [[max(1, frames // 2), height, width] for frames, height, width in shapes]
        )
    return theirs, real.bool()


def _area(shape: Grid) -> int:
    frames, rows, columns = shape
    return frames * rows * columns


def draw(shapes: list[Grid], spec: PatchSpec, generator: torch.Generator) -> Visuals:
    """Random patches of these items, in groups as they are merged."""
    patches = torch.randn(sum(map(_area, shapes)), 3 * spec.patch**2, generator=generator)
    return Visuals(patches, torch.tensor(shapes), list(shapes), spec.block)


def our_logits(assembly: Any, batch: Batch) -> Tensor:
    """Logits at every place, `[T, V]`."""
    hidden, _ = assembly.hidden(batch.ours)
    return assembly.logits(hidden)


def their_logits(model: Any, batch: Batch) -> Tensor:
    """The same of transformers' model, padding taken out."""
    found = []
    for arguments, real in batch.theirs:
        if hasattr(model.model, "rope_deltas"):
            model.model.rope_deltas = None
        found.append(model(**arguments, use_cache=False).logits[real])
    return torch.cat(found)
