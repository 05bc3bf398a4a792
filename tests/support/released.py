"""Tiny checkpoints of the published architectures, as transformers saves them, and batches for both sides."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from glm_towers import as_reference
from references import randomise
from safetensors.torch import save_file
from torch import Tensor

from vlmloom.assemblies.assembly import Assembly
from vlmloom.assemblies.native.families import FAMILIES
from vlmloom.assemblies.native.families.described import described
from vlmloom.assemblies.native.families.keys import Link
from vlmloom.components.contracts.packed import IGNORE, Packed, Span
from vlmloom.components.contracts.visuals import Grid, Visuals
from vlmloom.pipelines.loading import compose_assembly
from vlmloom.registry.walk import check

VOCAB, IMAGE, PATCH = 61, 59, 4
EAGER = {"attn_implementation": "eager", "experts_implementation": "eager"}


def rope(fraction: float, *sections: int) -> dict[str, Any]:
    return {
        "rope_type": "default", "rope_theta": 10000.0,
        "partial_rotary_factor": fraction, "mrope_section": list(sections),
    }  # fmt: skip


AIMV2 = {
    "depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 24, "image_size": 20,
    "patch_size": PATCH,
}  # fmt: skip
COGVIT = {"depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 24, "patch_size": PATCH}
EXPERTS = {
    "moe_intermediate_size": 12, "n_routed_experts": 6, "num_experts_per_tok": 2,
    "routed_scaling_factor": 1.5,
}  # fmt: skip
LATENT = {
    "q_lora_rank": 20, "kv_lora_rank": 12, "qk_rope_head_dim": 8, "qk_nope_head_dim": 12, "v_head_dim": 10,
    "index_topk": 6, "index_head_dim": 12, "index_n_heads": 3,
}  # fmt: skip


def text(width: int, heads: int, kv: int, depth: int, **more: Any) -> dict[str, Any]:
    return {
        "vocab_size": VOCAB, "hidden_size": width, "intermediate_size": width + 8, "num_hidden_layers": depth,
        "num_attention_heads": heads, "num_key_value_heads": kv, **more,
    }  # fmt: skip


CONFIGS: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {
    "glm_ocr": [
        (COGVIT, text(32, 4, 2, 2, head_dim=16, rope_parameters=rope(1.0, 2, 3, 3))),
        (
            {**COGVIT, "hidden_size": 48, "num_heads": 4, "depth": 1, "rms_norm_eps": 1e-3},
            text(40, 5, 5, 3, rms_norm_eps=1e-4, rope_parameters=rope(1.0, 1, 1, 2)),
        ),
    ],
    "glm4v": [
        (AIMV2, text(32, 4, 2, 2, rope_parameters=rope(0.5, 1, 1, 0))),
        ({**AIMV2, "num_heads": 4, "image_size": 14}, text(48, 4, 1, 3, rope_parameters=rope(0.5, 1, 1, 1))),
    ],
    "glm46v": [
        (AIMV2, text(48, 3, 3, 2, rope_parameters=rope(0.5, 1, 2, 1))),
        ({**AIMV2, "depth": 1}, text(32, 2, 1, 1, rope_parameters=rope(1.0, 2, 3, 3))),
    ],
    "glm4v_moe": [
        (AIMV2, text(32, 4, 2, 3, head_dim=16, rope_parameters=rope(0.5, 1, 1, 2), **EXPERTS)),
        (
            {**AIMV2, "attention_bias": True},
            text(
                40, 4, 4, 3, attention_bias=False, first_k_dense_replace=2, n_shared_experts=2, n_group=3,
                topk_group=2, norm_topk_prob=False, rope_parameters=rope(1.0, 2, 2, 1), **EXPERTS,
            ),
        ),
    ],
    "glm_moe_dsa": [
        ({}, text(32, 4, 4, 4, first_k_dense_replace=1, **LATENT, **EXPERTS)),
        (
            {},
            text(
                48, 2, 2, 4, attention_bias=True, first_k_dense_replace=2, **EXPERTS,
                **{**LATENT, "indexer_types": ["full", "shared", "full", "shared"], "index_topk": 40},
            ),
        ),
    ],
}  # fmt: skip
"""By family, the vision and the text part of several models."""
EVERY = [(family, number) for family, models in CONFIGS.items() for number in range(len(models))]


def classes(family: str) -> tuple[Any, Any]:
    """The configuration and the model of a family in transformers."""
    import transformers

    architecture = FAMILIES[family].architecture
    config = architecture.partition("For")[0] + "Config"
    return getattr(transformers, config), getattr(transformers, architecture)


Sizes = tuple[dict[str, Any], dict[str, Any]]
"""The vision and the text part of a configuration."""


def model_of(family: str, number: int = 0, seed: int = 3, sizes: Sizes | None = None, **more: Any) -> Any:
    """A model with every weight random; `sizes` are those of one that is not in the table."""
    vision, words = sizes or CONFIGS[family][number]
    configuration, architecture = classes(family)
    if family == "glm_moe_dsa":
        config = configuration(**words | more)
    else:
        kinds = ("glm4v_vision", "glm4v_text") if family == "glm46v" else (None, None)
        vision = {**vision, "out_hidden_size": words["hidden_size"]}
        parts = [
            part if kind is None else {**part, "model_type": kind}
            for part, kind in zip((vision, words), kinds, strict=True)
        ]
        config = configuration(
            vision_config=parts[0],
            text_config=parts[1],
            image_token_id=IMAGE,
            video_token_id=IMAGE + 1,
            **more,
        )
    model = architecture._from_config(config, **EAGER).eval()
    randomise(model, seed)
    return model


def save(family: str, folder: Path, number: int = 0, shard: str = "20KB", **more: Any) -> Any:
    """Save such a model, in several shards; returns it."""
    model = model_of(family, number, **more)
    model.save_pretrained(folder, max_shard_size=shard)
    return model


def load(family: str, folder: Path, **more: Any) -> tuple[Any, dict[str, Any]]:
    """transformers' model from a folder, and what it says about its loading."""
    return classes(family)[1].from_pretrained(folder, output_loading_info=True, **EAGER, **more)


def clean(info: dict[str, Any]) -> bool:
    """Whether nothing is missing, unexpected or mismatched."""
    return not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"))


def add_modules(
    folder: Path, family: str, model: Any, count: int = 1, tables: bool = True
) -> dict[str, Tensor]:
    """Put multi-token modules into a saved checkpoint, as released ones have them: layers beyond the last."""
    config = model.config.get_text_config()
    prefix, depth, width = FAMILIES[family].language, config.num_hidden_layers, config.hidden_size
    generator = torch.Generator().manual_seed(11)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    last = f"{prefix}layers.{depth - 1}."
    shapes = {}
    for name, file in index["weight_map"].items():
        if name.startswith(last):
            from safetensors import safe_open

            with safe_open(folder / file, "pt") as opened:
                shapes[name.removeprefix(last)] = opened.get_slice(name).get_shape()
    shapes |= {"enorm.weight": [width], "hnorm.weight": [width], "eh_proj.weight": [width, 2 * width]}
    shapes["shared_head.norm.weight"] = [width]
    if tables:
        shapes |= {"embed_tokens.weight": [VOCAB, width], "shared_head.head.weight": [VOCAB, width]}
    tensors = {
        f"{prefix}layers.{depth + step}.{name}": torch.randn(shape, generator=generator) * 0.2
        for step in range(count)
        for name, shape in shapes.items()
    }
    save_file(tensors, folder / "model-mtp.safetensors", {"format": "pt"})
    index["weight_map"] |= dict.fromkeys(tensors, "model-mtp.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return tensors


def links_of(folder: Path, family: str, assembly: Assembly) -> list[Link]:
    """How the tensors of an imported model correspond to theirs."""
    shapes = {name: tuple(tensor.shape) for name, tensor in assembly.state_dict().items()}
    return FAMILIES[family].links(described(check(compose_assembly(folder))), shapes)


Part = int | Grid
"""So many tokens of text, or an item of stored frames, rows and columns in patches."""
BATCHES: dict[str, list[list[Part]]] = {
    "text": [[9]],
    "image": [[3, (1, 4, 6), 4]],
    "images": [[2, (1, 4, 4), 1, (1, 2, 6), 2, (1, 6, 2), 3]],
    "video": [[2, (4, 4, 4), 3]],
    "mixed": [[2, (1, 4, 6), 3], [7], [1, (1, 2, 4), 2, (1, 2, 2), 4]],
    "stills and clips": [[2, (1, 4, 6), 3], [1, (4, 2, 4), 2], [5]],
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
            merged = (1, rows // 2, columns // 2)
            for pair in range(max(1, frames // 2)):
                if pair:
                    words(1)
                slots = merged[1] * merged[2]
                ids[-1].extend([IMAGE] * slots)
                types[-1].extend([2 if frames > 1 else 1] * slots)
                layouts[-1].append(Span(slots, merged))
            order[-1].append(part)
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
        packed.visuals["vision"] = draw(shapes, generator)
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
        items = Visuals(patches, torch.tensor(shapes), shapes, 2)
        theirs["pixel_values_videos" if clips else "pixel_values"] = as_reference(items)[0]
        theirs["video_grid_thw" if clips else "image_grid_thw"] = torch.tensor(
            [[max(1, frames // 2), height, width] for frames, height, width in shapes]
        )
    return theirs, real.bool()


def _area(shape: Grid) -> int:
    frames, rows, columns = shape
    return frames * rows * columns


def draw(shapes: list[Grid], generator: torch.Generator) -> Visuals:
    """Random patches of these items, in groups of two by two."""
    patches = torch.randn(sum(map(_area, shapes)), 3 * PATCH**2, generator=generator)
    return Visuals(patches, torch.tensor(shapes), list(shapes), 2)


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
