"""Tiny checkpoints of the published architectures, as transformers saves them."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import torch
from references import randomise
from safetensors.torch import save_file
from torch import Tensor

from vlmloom.assemblies.assembly import Assembly
from vlmloom.assemblies.native.families import FAMILIES
from vlmloom.assemblies.native.families.described import described
from vlmloom.assemblies.native.families.keys import Link
from vlmloom.pipelines.loading import compose_assembly
from vlmloom.registry.walk import check

VOCAB, IMAGE = 61, 59
Sizes = tuple[dict[str, Any], dict[str, Any]]
"""The vision and the text part of a configuration."""
EAGER = {"attn_implementation": "eager", "experts_implementation": "eager"}


def rope(fraction: float, *sections: int) -> dict[str, Any]:
    return {
        "rope_type": "default", "rope_theta": 10000.0,
        "partial_rotary_factor": fraction, "mrope_section": list(sections),
    }  # fmt: skip


AIMV2 = {
    "depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 24, "image_size": 20,
    "patch_size": 4,
}  # fmt: skip
COGVIT = {"depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 24, "patch_size": 4}
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


CONFIGS: dict[str, Sizes] = {
    "glm_ocr": (COGVIT, text(32, 4, 2, 2, head_dim=16, rope_parameters=rope(1.0, 2, 3, 3))),
    "glm4v": (AIMV2, text(32, 4, 2, 2, rope_parameters=rope(0.5, 1, 1, 0))),
    "glm46v": (AIMV2, text(48, 3, 3, 2, rope_parameters=rope(0.5, 1, 2, 1))),
    "glm4v_moe": (AIMV2, text(32, 4, 2, 3, head_dim=16, rope_parameters=rope(0.5, 1, 1, 2), **EXPERTS)),
    "glm_moe_dsa": ({}, text(32, 4, 4, 4, first_k_dense_replace=1, **LATENT, **EXPERTS)),
}
"""One model a family."""
DRAWN, SEED = 4, 1990
"""How many others are drawn, by a seed with which all that is drawn for a family differs among them."""
EVERY = [(family, number) for family in CONFIGS for number in range(1, 1 + DRAWN)]


def sizes_of(family: str, number: int = 0) -> Sizes:
    """The model of the table, or from 1 on one that is drawn: the same for the same number."""
    if not number:
        return CONFIGS[family]
    draw = Random(f"{family} {number} {SEED}")
    depth = draw.randint(2, 4)
    words: dict[str, Any] = {"rms_norm_eps": draw.choice([1e-5, 1e-3])}
    if family in ("glm4v_moe", "glm_moe_dsa"):
        words |= _experts(draw)
    if family == "glm_moe_dsa":
        return {}, words | _latent(draw, depth)
    words |= _grouped(draw, depth, free=family in ("glm_ocr", "glm4v_moe"))
    if family == "glm4v_moe":
        words |= {
            "attention_bias": draw.random() < 0.5,
            "first_k_dense_replace": draw.randrange(depth),
        }
    return _tower(draw, table=family != "glm_ocr"), words


def _grouped(draw: Random, depth: int, free: bool) -> dict[str, Any]:
    """Grouped queries; `free` is a head size that does not follow from the width."""
    heads, size, fraction = draw.randint(1, 5), draw.choice([8, 12, 16]), draw.choice([0.5, 1.0])
    width = draw.randint(5, 12) * 4 if free else heads * size
    pairs = int(size * fraction) // 2
    cuts = sorted(draw.choices(range(pairs + 1), k=2))
    sections = [cuts[0], cuts[1] - cuts[0], pairs - cuts[1]]
    kv = draw.choice([count for count in range(1, heads + 1) if heads % count == 0])
    turned = {**rope(fraction, *sections), "rope_theta": draw.choice([1e2, 1e4])}
    found = text(width, heads, kv, depth, rope_parameters=turned)
    return {**found, "head_dim": size} if free else found


def _experts(draw: Random) -> dict[str, Any]:
    """A router over groups of experts; two are chosen at least.

    The normalised weight of a single one is 1, and what reaches the router is then rounding alone.
    """
    groups, each = draw.randint(1, 3), draw.randint(2, 4)
    chosen = draw.randint(1, groups)
    return {
        "moe_intermediate_size": draw.randint(2, 6) * 4,
        "n_routed_experts": groups * each,
        "num_experts_per_tok": draw.randint(2, min(4, chosen * each)),
        "n_group": groups,
        "topk_group": chosen,
        "n_shared_experts": draw.randint(1, 2),
        "norm_topk_prob": draw.random() < 0.5,
        "routed_scaling_factor": draw.choice([1.0, 1.5, 2.5]),
    }


def _latent(draw: Random, depth: int) -> dict[str, Any]:
    """Latent attention to fewer keys than long samples have; some layers take the choice of another.

    A score of the indexer is exactly 0 where no head sees the key. With few heads such scores tie for the
    last places, and transformers breaks the ties of a padded sample otherwise than those of the sample alone.
    """
    heads, turned = draw.randint(1, 5), draw.choice([4, 8])
    return {
        **text(draw.randint(5, 12) * 4, heads, heads, depth),
        "q_lora_rank": draw.randint(3, 6) * 4,
        "kv_lora_rank": draw.randint(2, 5) * 4,
        "qk_rope_head_dim": turned,
        "qk_nope_head_dim": draw.randint(2, 8) * 2,
        "v_head_dim": draw.randint(2, 8) * 2,
        "index_topk": draw.randint(2, 6),
        "index_head_dim": turned + draw.randint(1, 4) * 2,
        "index_n_heads": draw.choice([8, 12, 16]),
        "attention_bias": draw.random() < 0.5,
        "indexer_types": ["full", *draw.choices(["full", "shared"], k=depth - 1)],
        "mlp_layer_types": [*draw.choices(["dense", "sparse"], k=depth - 1), "sparse"],
        "rope_parameters": {"rope_type": "default", "rope_theta": draw.choice([1e2, 1e4])},
    }


def _tower(draw: Random, table: bool) -> dict[str, Any]:
    """A tower; `table` is one with learned positions."""
    heads, patch = draw.randint(1, 4), draw.randint(2, 4)
    found = {
        "depth": draw.randint(1, 3),
        "num_heads": heads,
        "hidden_size": heads * draw.choice([8, 12, 16]),
        "intermediate_size": draw.randint(5, 9) * 4,
        "patch_size": patch,
        "spatial_merge_size": draw.choice([2, 3]),
        "attention_bias": draw.random() < 0.5,
        "rms_norm_eps": draw.choice([1e-5, 1e-3]),
    }
    return {**found, "image_size": draw.randint(2, 6) * patch + draw.randrange(patch)} if table else found


def classes(family: str) -> tuple[Any, Any]:
    """The configuration and the model of a family in transformers."""
    import transformers

    architecture = FAMILIES[family].architecture
    config = architecture.partition("For")[0] + "Config"
    return getattr(transformers, config), getattr(transformers, architecture)


def model_of(family: str, number: int = 0, seed: int = 3, sizes: Sizes | None = None, **more: Any) -> Any:
    """A model with every weight random; `sizes` are those of one that is neither in the table nor drawn."""
    vision, words = sizes or sizes_of(family, number)
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
