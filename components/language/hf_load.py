"""A causal language model of transformers from a folder, from a configuration, or as it was handed in."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from vlmloom.components.language.embedding import outside
from vlmloom.registry.errors import nearest, one_line

WHO = "language/hf"
NOT_PACKED = ("attn_logit_softcapping", "attention_chunk_size", "attention_dropout", "attn_pdrop")
"""What a configuration must not ask of attention where samples are packed."""


def library() -> Any:
    """The package transformers.

    Raises:
        ValueError: it is not installed.
    """
    try:
        import transformers
    except ImportError:
        raise ValueError(f"{WHO}: transformers is not installed; pip install 'vlmloom[hf]'") from None
    return transformers


def load(folder: str | None, config: Mapping[str, Any] | None, model: Any, dtype: str) -> Any:
    """The model, of which nothing is fetched from anywhere.

    Args:
        folder: a local folder with `config.json` and weights.
        config: `model_type` and what else its configuration takes; weights are random.
        model: an instance.
        dtype: of the weights; `auto` is what the folder says.

    Raises:
        ValueError: none or several are given, or transformers refuses what is given.
    """
    given = [
        name
        for name, value in (("folder", folder), ("config", config), ("model", model))
        if value is not None
    ]
    if len(given) != 1:
        raise ValueError(
            f"{WHO}: give one of folder, config and model; found {' and '.join(given) or 'none'}"
        )
    transformers = library()
    if model is not None:
        if not isinstance(model, transformers.PreTrainedModel):
            raise ValueError(f"{WHO}: model is a {type(model).__name__}; it must be a model of transformers")
        return model
    auto = transformers.AutoModelForCausalLM
    kind = dtype if dtype == "auto" else getattr(torch, dtype)
    try:
        if config is not None:
            if "model_type" not in config:
                raise ValueError("config has no model_type, e.g. llama")
            known = transformers.models.auto.modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
            if (name := config["model_type"]) not in known:
                hint = nearest(str(name), known)
                raise ValueError(f"transformers has no causal language model of model_type {name}; {hint}")
            described = transformers.AutoConfig.for_model(**config)
            return auto.from_config(described, dtype=torch.float32 if dtype == "auto" else kind)
        if not (Path(str(folder)) / "config.json").is_file():
            raise ValueError(
                f"folder {folder} holds no config.json; it must be a local folder of transformers"
            )
        if torch.get_default_device().type == "meta":
            described = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
            return auto.from_config(described)
        return auto.from_pretrained(folder, local_files_only=True, dtype=kind)
    except Exception as error:  # What a library of hundreds of models raises is told in one line.
        raise ValueError(f"{WHO}: {textwrap.shorten(one_line(error), 300)}") from None


def logit_factor(model: Any) -> float:
    """What a model multiplies its logits by.

    Raises:
        ValueError: it does more to them than `head/lm` can.
    """
    output, config = model.get_output_embeddings(), model.config
    if not isinstance(output, nn.Linear):
        raise ValueError(
            f"{WHO}: {type(model).__name__} has no output matrix; it must be a causal language model"
        )
    done = ["a bias"] * (output.bias is not None)
    for name in ("final_logit_softcapping", "lm_head_multiplier", "logits_mup_width_multiplier"):
        if getattr(config, name, None) not in (None, 1, 1.0):
            done.append(name)
    if done:
        raise ValueError(
            f"{WHO}: {type(model).__name__} has logits with {' and '.join(done)}; head/lm gives the plain "
            "product"
        )
    factor = float(getattr(config, "logit_scale", None) or 1.0)
    return factor / float(getattr(config, "logits_scaling", None) or 1.0)


def can_pack(model: Any) -> bool:
    """Whether all that tokens of a model know of each other is plain attention that can be handed in."""
    config = model.get_decoder().config
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return (
        model._can_set_attn_implementation()
        and not getattr(model, "_is_stateful", False)
        and getattr(config, "is_causal", True)
        and kinds <= {"full_attention", "sliding_attention"}
        and not any(getattr(config, name, None) for name in NOT_PACKED)
        and not any(isinstance(part, nn.Conv1d) or hasattr(part, "sinks") for part in model.modules())
    )


def check_ids(embedding: nn.Module, arguments: tuple[Tensor, ...]) -> None:
    """Name an id that is outside the vocabulary; a GPU's kernel asserts by itself."""
    ids, rows = arguments[0], cast(Tensor, embedding.weight).shape[0]
    if ids.device.type == "cpu" and ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < rows:
        raise outside(ids, rows, WHO)
