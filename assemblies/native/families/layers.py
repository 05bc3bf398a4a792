"""What each layer of a decoder is, in words, and how config.json says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vlmloom.assemblies.native.families.settings import Tree, Unfit, dig
from vlmloom.assemblies.native.families.values import counted, named

KINDS = {"ffn/swiglu": "dense", "moe/sigmoid_bias": "sparse"}
FIRST_LETTERS = {"F": "full", "S": "shared", "full": "full", "shared": "shared"}


def kind_of(layer: Mapping[str, Any]) -> str:
    """What one of our layers is."""
    return KINDS.get(dig(layer, "ffn.use"), "other")


def all_dense(config: Mapping[str, Any]) -> list[str]:
    """Every layer has a dense feed-forward part."""
    return ["dense"] * counted(config, "text_config.num_hidden_layers")


def need_dense(kinds: Sequence[str]) -> Tree:
    """Nothing to say; every layer has to be dense."""
    if other := [number for number, kind in enumerate(kinds) if kind != "dense"]:
        raise Unfit([f"language.layers.{other[0]}.ffn is a mixture of experts; ffn/swiglu would fit"])
    return {}


def dense_first(config: Mapping[str, Any]) -> list[str]:
    """So many dense layers first, then mixtures of experts."""
    depth = counted(config, "text_config.num_hidden_layers")
    first = counted(config, "text_config.first_k_dense_replace", 1)
    return ["dense"] * min(first, depth) + ["sparse"] * max(0, depth - first)


def say_dense_first(kinds: Sequence[str]) -> Tree:
    """How many layers are dense; they have to come first."""
    count = list(kinds).count("dense")
    if "sparse" not in kinds:
        raise Unfit(
            ["language.layers has no mixture of experts; moe/sigmoid_bias after the dense layers would fit"]
        )
    if late := [number for number, kind in enumerate(kinds) if kind == "dense" and number >= count]:
        raise Unfit(
            [f"language.layers.{late[0]}.ffn is dense behind a mixture of experts; dense layers come first"]
        )
    return {"text_config.first_k_dense_replace": count}


def indexed_kind(layer: Mapping[str, Any]) -> str:
    """What one of our layers is, and whether it has an indexer of its own."""
    return f"{kind_of(layer)} {layer.get('indexer') or 'full'}"


def indexed(config: Mapping[str, Any]) -> list[str]:
    """Dense or sparse, and `full` or `shared` by the indexer.

    Reference: transformers, models/glm_moe_dsa/configuration_glm_moe_dsa.py.
    """
    depth = counted(config, "num_hidden_layers")
    ffns = named(config, "mlp_layer_types", depth, {"dense": "dense", "sparse": "sparse"})
    if ffns is None:
        first = counted(config, "first_k_dense_replace", 3)
        ffns = ["dense" if number < first else "sparse" for number in range(depth)]
    indexers = named(config, "indexer_types", depth, {"full": "full", "shared": "shared"})
    if indexers is None:
        indexers = named(config, "index_topk_pattern", depth, FIRST_LETTERS)
    if indexers is None:
        every = max(counted(config, "index_topk_freq", 1), 1)
        offset = counted(config, "index_skip_topk_offset", 2)
        turns = (max(number - offset + 1, 0) % every for number in range(depth))
        indexers = ["shared" if turn else "full" for turn in turns]
    return [f"{ffn} {indexer}" for ffn, indexer in zip(ffns, indexers, strict=True)]


def say_indexed(kinds: Sequence[str]) -> Tree:
    """The kinds layer by layer, and how many are dense before the first that is not."""
    ffns, indexers = zip(*(kind.split() for kind in kinds), strict=True)
    if other := [number for number, ffn in enumerate(ffns) if ffn == "other"]:
        raise Unfit([f"language.layers.{other[0]}.ffn is neither ffn/swiglu nor moe/sigmoid_bias"])
    dense = next((number for number, ffn in enumerate(ffns) if ffn != "dense"), len(ffns))
    return {
        "first_k_dense_replace": dense,
        "mlp_layer_types": list(ffns),
        "indexer_types": list(indexers),
    }
