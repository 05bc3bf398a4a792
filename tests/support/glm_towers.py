"""The published towers in transformers, tiny, with random weights; and their weights in our layout."""

from __future__ import annotations

from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.visuals import Grid, Visuals
from vlmloom.components.projector.merger import Merger
from vlmloom.components.vision.aimv2_glm import AIMv2GLM
from vlmloom.components.vision.cogvit import CogViT
from vlmloom.components.vision.frames import FrameTower

COGVIT = ("glm_ocr", "glm5_next")
AIMV2 = ("glm4v", "glm4v_moe", "glm46v")


class PlainProducts(Attention):
    """Attention by plain products, which the counter of FLOPs sees."""

    def forward(self, query, key, value, lengths, mask, scale=None):
        """See `Attention.forward`."""
        parts = zip(
            *(tensor.transpose(0, 1).split(lengths, 1) for tensor in (query, key, value)), strict=True
        )
        size = query.shape[-1] ** -0.5
        out = [torch.softmax(q @ k.mT * size, -1) @ v for q, k, v in parts]
        return torch.cat(out, 1).transpose(0, 1)


def reference(family: str, **changes: Any) -> Any:
    """A tower with its merger; every weight random, those of norms around one."""
    import transformers as hf

    torch.manual_seed(2)
    sizes = {
        "depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 48, "patch_size": 4,
        "out_hidden_size": 24, "image_size": 20, "attn_implementation": "eager", **changes,
    }  # fmt: skip
    if family in COGVIT:
        del sizes["image_size"]
    if family == "glm_ocr":
        model = hf.GlmOcrVisionModel(hf.GlmOcrVisionConfig(**sizes))
    elif family == "glm5_next":
        from transformers.models.glm5_next import modeling_glm5_next as next_

        sizes = {"projection_intermediate_size": 40, "swiglu_limit": 0.3, **sizes}
        model = next_.Glm5NextVisionModel(next_.Glm5NextVisionConfig(**sizes))
    elif family == "glm4v":
        model = hf.Glm4vVisionModel(hf.Glm4vVisionConfig(**sizes))
    elif family == "glm4v_moe":
        model = hf.Glm4vMoeVisionModel(hf.Glm4vMoeVisionConfig(**sizes))
    else:
        # GLM-4.6V has no tower class of its own: its configuration names GLM-4.1V's.
        config = hf.Glm46VConfig(vision_config={"model_type": "glm4v_vision", **sizes}).vision_config
        model = hf.AutoModel.from_config(config, attn_implementation="eager")
    for name, parameter in model.named_parameters():
        nn.init.normal_(parameter, mean=float("norm" in name and "bias" not in name), std=0.2)
    return model.eval()


def built(config: Any) -> tuple[FrameTower, Merger]:
    """Our tower and merger for a vision configuration."""
    given = {
        "width": config.hidden_size, "depth": config.depth, "heads": config.num_heads,
        "patch": config.patch_size, "temporal": config.temporal_patch_size,
        "qkv_bias": config.attention_bias, "eps": config.rms_norm_eps,
        "rope_theta": config.rope_parameters["rope_theta"],
    }  # fmt: skip
    limit = getattr(config, "swiglu_limit", None)
    if config.model_type.startswith(("glm_ocr", "glm5_next")):
        tower: FrameTower = CogViT(hidden=config.intermediate_size, swiglu_limit=limit, **given)
        inner = getattr(config, "projection_intermediate_size", 3 * config.out_hidden_size)
    else:
        side = config.image_size // config.patch_size
        tower = AIMv2GLM(hidden=config.out_hidden_size, table=side, **given)
        inner = config.intermediate_size
    merger = Merger(in_width=config.hidden_size, out_width=config.out_hidden_size, hidden=inner, limit=limit)
    return tower, merger


def tower_state(given: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tower's weights, or their gradients, under our names."""
    named = {
        "patch_embed.weight": rearrange(given["patch_embed.proj.weight"], "w c t y x -> w (t c y x)"),
        "patch_embed.bias": given["patch_embed.proj.bias"],
        "norm.weight": given["post_layernorm.weight"],
    }
    optional = {
        "patch_norm.weight": "post_conv_layernorm.weight",
        "positions.weight": "embeddings.position_embedding.weight",
    }
    named |= {ours: given[theirs] for ours, theirs in optional.items() if theirs in given}
    for index in range(1 + max(int(key.split(".")[1]) for key in given if key.startswith("blocks."))):
        prefix = f"blocks.{index}."
        here = {key.removeprefix(prefix): value for key, value in given.items() if key.startswith(prefix)}
        block = {name: here[name] for name in ("norm1.weight", "norm2.weight")}
        for name in ("qkv.weight", "qkv.bias", "proj.weight", "proj.bias"):
            if f"attn.{name}" in here:
                block[name] = here[f"attn.{name}"]
        for name in ("q_norm", "k_norm"):
            if f"attn.{name}.weight" in here:
                block[name] = here[f"attn.{name}.weight"]
        for end in ("weight", "bias"):
            if f"mlp.down_proj.{end}" in here:
                block[f"ffn.gate_up.{end}"] = torch.cat(
                    (here[f"mlp.gate_proj.{end}"], here[f"mlp.up_proj.{end}"])
                )
                block[f"ffn.down.{end}"] = here[f"mlp.down_proj.{end}"]
        named |= {prefix + name: value for name, value in block.items()}
    return named


def merger_state(given: dict[str, Tensor]) -> dict[str, Tensor]:
    """The merger's weights, or their gradients, under our names."""
    return {
        "downsample.weight": rearrange(given["downsample.weight"], "o i y x -> o (y x i)"),
        "downsample.bias": given["downsample.bias"],
        "proj.weight": given["merger.proj.weight"],
        "norm.weight": given["merger.post_projection_norm.weight"],
        "norm.bias": given["merger.post_projection_norm.bias"],
        "gate_up.weight": torch.cat((given["merger.gate_proj.weight"], given["merger.up_proj.weight"])),
        "down.weight": given["merger.down_proj.weight"],
    }


def draw(shapes: list[Grid], patch: int, seed: int = 1) -> Visuals:
    """Random patches of these stored grids, in groups of two by two."""
    count = sum(frames * rows * columns for frames, rows, columns in shapes)
    patches = torch.randn(count, 3 * patch * patch, generator=torch.Generator().manual_seed(seed))
    return Visuals(patches, torch.tensor(shapes), list(shapes), 2)


def as_reference(visuals: Visuals, temporal: int = 2) -> tuple[Tensor, Tensor]:
    """The same patches as the reference stores them, each folded frame as an item of its own.

    There a row holds `temporal` frames of a patch, channel first, and a still is stored `temporal` times.
    """
    rows, grids = [], []
    sizes = [frames * height * width for frames, height, width in visuals.shapes]
    for patches, (frames, height, width) in zip(visuals.patches.split(sizes), visuals.shapes, strict=True):
        stored = rearrange(patches, "(f n) (c p) -> f n c p", f=frames, c=3)
        if frames == 1:
            stored = stored.expand(temporal, -1, -1, -1)
        rows.append(rearrange(stored, "(f t) n c p -> (f n) (c t p)", t=temporal))
        grids += [(1, height, width)] * max(1, frames // temporal)
    return torch.cat(rows), torch.tensor(grids)
