"""CogViT with the merger, and the same weights in transformers' glm_ocr tower and in timm's NaFlexViT."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

import torch
from einops import rearrange
from torch import Tensor

from benchmarks.models import Shape
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.projector.merger import Merger
from vlmloom.components.vision.block import Block
from vlmloom.components.vision.cogvit import CogViT


def build_tower(shape: Shape, seed: int = 0) -> tuple[CogViT, Merger]:
    """A tower and its merger; the blocks are four times as wide inside, as CogViT-L's are."""
    torch.manual_seed(seed)
    tower = CogViT(
        width=shape.vision_width, depth=shape.vision_depth, heads=shape.vision_heads, patch=shape.patch
    )
    return tower, Merger(in_width=tower.width, out_width=shape.width)


def glm_ocr(tower: CogViT, merger: Merger) -> Any:
    """GlmOcrVisionModel, which holds a merger of its own, with our weights."""
    import transformers

    blocks = [cast(Block, block) for block in tower.blocks]
    config = transformers.GlmOcrVisionConfig(
        depth=tower.depth, hidden_size=tower.width, num_heads=tower.heads,
        intermediate_size=cast(SwiGLU, blocks[0].ffn).hidden, patch_size=tower.patch_spec.patch,
        temporal_patch_size=tower.temporal, spatial_merge_size=merger.block,
        out_hidden_size=merger.down.out_features, attention_bias=True, rms_norm_eps=tower.norm.eps,
        attn_implementation="sdpa",
    )  # fmt: skip
    model = transformers.GlmOcrVisionModel(config)
    state = {
        "patch_embed.proj.weight": rearrange(
            tower.patch_embed.weight, "w (t c y x) -> w c t y x", c=3, t=tower.temporal, y=config.patch_size
        ),
        "patch_embed.proj.bias": tower.patch_embed.bias,
        "post_layernorm.weight": tower.norm.weight,
        "downsample.weight": rearrange(
            merger.downsample.weight, "o (y x i) -> o i y x", y=merger.block, x=merger.block
        ),
        "downsample.bias": merger.downsample.bias,
        "merger.proj.weight": merger.proj.weight,
        "merger.post_projection_norm.weight": merger.norm.weight,
        "merger.post_projection_norm.bias": merger.norm.bias,
        "merger.down_proj.weight": merger.down.weight,
        **_halves("merger", merger.gate_up.weight, "weight"),
    }
    for index, block in enumerate(blocks):
        state |= _block(block, f"blocks.{index}.")
        for end in ("weight", "bias"):
            state |= _halves(f"blocks.{index}.mlp", getattr(block.ffn.gate_up, end), end)
            state[f"blocks.{index}.mlp.down_proj.{end}"] = getattr(block.ffn.down, end)
    model.load_state_dict(state)
    return model


def naflexvit(tower: CogViT) -> Any:
    """timm's NaFlexViT in the shape of our tower, without its merger, with our weights."""
    from timm.layers import RmsNorm
    from timm.models.naflexvit import NaFlexVit, NaFlexVitCfg

    blocks = [cast(Block, block) for block in tower.blocks]
    config = NaFlexVitCfg(
        patch_size=tower.patch_spec.patch, embed_dim=tower.width, depth=tower.depth, num_heads=tower.heads,
        mlp_ratio=cast(SwiGLU, blocks[0].ffn).hidden / tower.width, swiglu_mlp=True, qk_norm=True,
        pos_embed="none", rope_type="axial", rope_temperature=tower.rope_theta, rope_rotate_half=True,
        norm_layer=cast(Any, partial(RmsNorm, eps=tower.norm.eps)), global_pool="", fc_norm=False,
        embed_proj_type="linear", patchify_channels_last=False,
    )  # fmt: skip
    model = NaFlexVit(config, num_classes=0)
    # Patches of a still lie there once as well, so the kernels of the two frames become their sum.
    kernel = tower.patch_embed.weight.view(tower.width, tower.temporal, -1).sum(1)
    state = {
        "embeds.proj.weight": kernel,
        "embeds.proj.bias": tower.patch_embed.bias,
        "norm.weight": tower.norm.weight,
    }
    for index, block in enumerate(blocks):
        state |= _block(block, f"blocks.{index}.")
        for end in ("weight", "bias"):
            state[f"blocks.{index}.mlp.fc1.{end}"] = getattr(block.ffn.gate_up, end)
            state[f"blocks.{index}.mlp.fc2.{end}"] = getattr(block.ffn.down, end)
    model.load_state_dict(state)
    return model


def _block(block: Block, prefix: str) -> dict[str, Tensor]:
    """What has the same name in both."""
    names = ("norm1.weight", "norm2.weight")
    found = {prefix + name: block.get_parameter(name) for name in names}
    names = ("qkv.weight", "qkv.bias", "proj.weight", "proj.bias")
    found |= {f"{prefix}attn.{name}": block.get_parameter(name) for name in names}
    names = ("q_norm", "k_norm")
    return found | {f"{prefix}attn.{name}.weight": block.get_parameter(name) for name in names}


def _halves(prefix: str, both: Tensor, end: str) -> dict[str, Tensor]:
    gate, up = both.chunk(2)
    return {f"{prefix}.gate_proj.{end}": gate, f"{prefix}.up_proj.{end}": up}
