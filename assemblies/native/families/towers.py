"""Vision towers and the merger of released checkpoints: settings and tensors."""

from __future__ import annotations

from vlmloom.assemblies.native.families.family import Table
from vlmloom.assemblies.native.families.keys import Row
from vlmloom.assemblies.native.families.settings import Ours, Setting, Theirs

SHAPE = (
    Setting("vision_config.hidden_size", "vision.width"),
    Setting(("vision_config.depth", "vision_config.num_hidden_layers"), "vision.depth"),
    Setting(("vision_config.num_heads", "vision_config.num_attention_heads"), "vision.heads"),
    Setting("vision_config.patch_size", "vision.patch", 14),
    Setting("vision_config.temporal_patch_size", "vision.temporal", 2),
    Setting("vision_config.rms_norm_eps", "vision.eps", 1e-5),
    Setting("vision_config.rope_parameters.rope_theta", "vision.rope_theta", 10000.0),
    Theirs("vision_config.rope_parameters.rope_type", "axial"),
    Theirs("vision_config.in_channels", 3),
    Theirs("vision_config.hidden_act", "silu"),
    Theirs("vision_config.attention_dropout", 0.0),
)
"""What all towers of the line have."""

COGVIT = (
    Ours("vision.use", "vision/cogvit"),
    *SHAPE,
    Setting("vision_config.intermediate_size", "vision.hidden"),
    Setting("vision_config.attention_bias", "vision.qkv_bias", True),
    Ours("vision.qk_norm", True),
)

AIMV2 = (
    Ours("vision.use", "vision/aimv2_glm"),
    *SHAPE,
    Setting("vision_config.out_hidden_size", "vision.hidden"),
    Setting("vision_config.attention_bias", "vision.qkv_bias", False),
    Setting("vision_config.image_size", "vision.table", 336, over="vision.patch"),
    Setting("vision_config.intermediate_size", "projector.hidden"),
)
"""Here `intermediate_size` is the merger's, and the blocks are as wide inside as the merger's output."""

MERGER = (
    Ours("projector.use", "projector/merger"),
    Setting("vision_config.spatial_merge_size", "projector.block", 2),
    Setting("vision_config.out_hidden_size", "language.width"),
)

BLOCK = (
    Row("norm1.weight", ("norm1.weight",)),
    Row("norm2.weight", ("norm2.weight",)),
    Row("qkv.weight", ("attn.qkv.weight",)),
    Row("qkv.bias", ("attn.qkv.bias",)),
    Row("proj.weight", ("attn.proj.weight",)),
    Row("proj.bias", ("attn.proj.bias",)),
    Row("q_norm", ("attn.q_norm.weight",)),
    Row("k_norm", ("attn.k_norm.weight",)),
    Row("ffn.gate_up.weight", ("mlp.{gate,up}_proj.weight",)),
    Row("ffn.gate_up.bias", ("mlp.{gate,up}_proj.bias",)),
    Row("ffn.down.weight", ("mlp.down_proj.weight",)),
    Row("ffn.down.bias", ("mlp.down_proj.bias",)),
)

STEM = (
    Row(
        "patch_embed.weight",
        ("patch_embed.proj.weight",),
        order="out channel frame y x -> out (frame channel y x)",
    ),
    Row("patch_embed.bias", ("patch_embed.proj.bias",)),
    Row("norm.weight", ("post_layernorm.weight",)),
)

MERGE = (
    Row(
        "downsample.weight",
        ("downsample.weight",),
        order="out channel row column -> out (row column channel)",
    ),
    Row("downsample.bias", ("downsample.bias",)),
    Row("proj.weight", ("merger.proj.weight",)),
    Row("norm.weight", ("merger.post_projection_norm.weight",)),
    Row("norm.bias", ("merger.post_projection_norm.bias",)),
    Row("gate_up.weight", ("merger.{gate,up}_proj.weight",)),
    Row("down.weight", ("merger.down_proj.weight",)),
)

VISUAL = "model.visual."
COGVIT_TABLES = (
    Table(STEM, "vision.", VISUAL),
    Table(BLOCK, "vision.blocks.{n}.", VISUAL + "blocks.{n}.", count="vision.depth"),
)
AIMV2_TABLES = (
    *COGVIT_TABLES,
    Table(
        (
            Row("patch_norm.weight", ("post_conv_layernorm.weight",)),
            Row("positions.weight", ("embeddings.position_embedding.weight",)),
        ),
        "vision.",
        VISUAL,
    ),
)
MERGER_TABLES = (Table(MERGE, "projector.", VISUAL),)
