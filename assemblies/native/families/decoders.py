"""Language parts and heads of released checkpoints: settings and tensors."""

from __future__ import annotations

from collections.abc import Callable

from vlmloom.assemblies.native.families.keys import Row
from vlmloom.assemblies.native.families.settings import Ours, Setting, Theirs
from vlmloom.assemblies.native.families.settings import Row as Line


def text(prefix: str) -> tuple[Line, ...]:
    """What all decoders of the line have; `prefix` is where config.json speaks of the text model."""
    rope = f"{prefix}rope_parameters."
    before = f"{prefix}rope_scaling."
    return (
        Setting(f"{prefix}vocab_size", "language.vocab"),
        Setting(f"{prefix}hidden_size", "language.width"),
        Setting(f"{prefix}num_hidden_layers", "language.depth"),
        Setting(f"{prefix}num_attention_heads", "language.heads"),
        Setting(f"{prefix}rms_norm_eps", "language.norm_eps", 1e-5),
        Setting((f"{rope}rope_theta", f"{prefix}rope_theta"), "language.rope_theta", 10000.0),
        Theirs((f"{rope}rope_type", f"{before}rope_type", f"{before}type"), "default"),
        Theirs(f"{prefix}hidden_act", "silu"),
        Theirs(f"{prefix}attention_dropout", 0.0),
        Ours("head.lm.use", "head/lm"),
        Setting(
            ("tie_word_embeddings", f"{prefix}tie_word_embeddings"), "head.lm.tied", False, how=any
        ),
        Setting(f"{prefix}rms_norm_eps", "head.mtp.norm_eps", 1e-5),
    )  # fmt: skip


def head_size(ours: Callable[[str], int]) -> int:
    """The size of a head where config.json does not say it."""
    return ours("language.width") // max(1, ours("language.heads"))


def grouped(rotation: str, fraction: float, sandwich: bool, positions: int) -> tuple[Line, ...]:
    """`language/glm`: grouped queries and rotary positions of three axes.

    Args:
        rotation: how components are paired.
        fraction: how much of a head turns where config.json does not say it.
        sandwich: norms after each branch as well.
        positions: the longest context where config.json does not say it.
    """
    rope, prefix = "text_config.rope_parameters.", "text_config."
    return (
        Ours("language.use", "language/glm"),
        *text(prefix),
        Setting(f"{prefix}num_key_value_heads", "language.kv_heads", lambda ours: ours("language.heads")),
        Setting(f"{prefix}head_dim", "language.head_size", head_size),
        Setting(
            (f"{rope}partial_rotary_factor", f"{prefix}partial_rotary_factor"),
            "language.rotary_fraction",
            fraction,
        ),
        Setting(
            (f"{rope}mrope_section", f"{prefix}rope_scaling.mrope_section"),
            "language.mrope_sections",
            [8, 12, 12],
        ),
        Ours("language.rotation", rotation),
        Ours("language.sandwich_norm", sandwich),
        Ours("language.qk_norm", False),
        Setting(f"{prefix}max_position_embeddings", "language.max_positions", positions),
    )


def experts(prefix: str, scale: float) -> tuple[Line, ...]:
    """Mixtures of experts behind a sigmoid router, with a shared expert.

    Args:
        prefix: where config.json speaks of the text model.
        scale: the factor on what routed experts give where config.json does not say it.
    """
    moe = "language.layers.<sparse>.ffn"
    return (
        Ours(f"{moe}.use", "moe/sigmoid_bias"),
        Setting(f"{prefix}moe_intermediate_size", f"{moe}.hidden"),
        Setting((f"{prefix}n_routed_experts", f"{prefix}num_experts"), f"{moe}.experts"),
        Setting(f"{prefix}num_experts_per_tok", f"{moe}.top_k"),
        Setting(f"{prefix}routed_scaling_factor", f"{moe}.routed_scale", scale),
        Setting(f"{prefix}n_group", f"{moe}.groups", 1),
        Setting(f"{prefix}topk_group", f"{moe}.top_groups", 1),
        Setting(f"{prefix}norm_topk_prob", f"{moe}.normalise", True),
        Ours(f"{moe}.shared.use", "ffn/swiglu"),
        Setting(f"{prefix}n_shared_experts", f"{moe}.shared.hidden", 1, per=f"{moe}.hidden"),
    )


def dense(prefix: str) -> tuple[Line, ...]:
    """Dense feed-forward blocks."""
    return (
        Ours("language.layers.<dense>.ffn.use", "ffn/swiglu"),
        Setting(f"{prefix}intermediate_size", "language.layers.<dense>.ffn.hidden"),
    )


GROUPED = (
    Row("attention_norm.weight", ("input_layernorm.weight",)),
    Row("ffn_norm.weight", ("post_attention_layernorm.weight",)),
    Row("attention_post_norm.weight", ("post_self_attn_layernorm.weight",)),
    Row("ffn_post_norm.weight", ("post_mlp_layernorm.weight",)),
    Row("qkv.weight", ("self_attn.{q,k,v}_proj.weight",), shares=("query", "key", "key")),
    Row("qkv.bias", ("self_attn.{q,k,v}_proj.bias",), shares=("query", "key", "key")),
    Row("query_norm.weight", ("self_attn.q_norm.weight",)),
    Row("key_norm.weight", ("self_attn.k_norm.weight",)),
    Row("out.weight", ("self_attn.o_proj.weight",)),
)
"""The attention of a decoder layer with grouped queries, and its norms."""

LATENT = (
    Row("attention_norm.weight", ("input_layernorm.weight",)),
    Row("ffn_norm.weight", ("post_attention_layernorm.weight",)),
    Row("attention.query_down.weight", ("self_attn.q_a_proj.weight",)),
    Row("attention.query_down.bias", ("self_attn.q_a_proj.bias",)),
    Row("attention.query_norm.weight", ("self_attn.q_a_layernorm.weight",)),
    Row("attention.query_up.weight", ("self_attn.q_b_proj.weight",)),
    Row("attention.kv_down.weight", ("self_attn.kv_a_proj_with_mqa.weight",)),
    Row("attention.kv_down.bias", ("self_attn.kv_a_proj_with_mqa.bias",)),
    Row("attention.kv_norm.weight", ("self_attn.kv_a_layernorm.weight",)),
    Row("attention.kv_up.weight", ("self_attn.kv_b_proj.weight",)),
    Row("attention.out.weight", ("self_attn.o_proj.weight",)),
    Row("attention.out.bias", ("self_attn.o_proj.bias",)),
    Row("attention.indexer.query.weight", ("self_attn.indexer.wq_b.weight",)),
    Row("attention.indexer.key.weight", ("self_attn.indexer.wk.weight",)),
    Row("attention.indexer.key_norm.weight", ("self_attn.indexer.k_norm.weight",)),
    Row("attention.indexer.key_norm.bias", ("self_attn.indexer.k_norm.bias",)),
    Row("attention.indexer.weight.weight", ("self_attn.indexer.weights_proj.weight",)),
)
"""Latent attention to keys that an indexer selects, and the norms of its layer."""

FUSED_FFN = (
    Row("ffn.gate_up.weight", ("mlp.gate_up_proj.weight",)),
    Row("ffn.down.weight", ("mlp.down_proj.weight",)),
)
"""The dense block of GLM-4.1V and GLM-OCR, whose files hold gate and up as one matrix."""

EXPERTS = (
    Row("ffn.gate_up.weight", ("mlp.{gate,up}_proj.weight",)),
    Row("ffn.down.weight", ("mlp.down_proj.weight",)),
    Row("ffn.router", ("mlp.gate.weight",)),
    Row("ffn.selection_bias", ("mlp.gate.e_score_correction_bias",)),
    Row("ffn.load"),
    Row(
        "ffn.experts.gate_up",
        ("mlp.experts.{expert}.{gate,up}_proj.weight",),
        fused="mlp.experts.gate_up_proj",
    ),
    Row("ffn.experts.down", ("mlp.experts.{expert}.down_proj.weight",), fused="mlp.experts.down_proj"),
    Row("ffn.shared.gate_up.weight", ("mlp.shared_experts.{gate,up}_proj.weight",)),
    Row("ffn.shared.down.weight", ("mlp.shared_experts.down_proj.weight",)),
)
"""A dense block with gate and up apart, or a mixture of experts; a layer has the one or the other."""

ENDS = (
    Row("embed.weight", ("embed_tokens.weight",)),
    Row("norm.weight", ("norm.weight",)),
)
OUTPUT = (Row("unembed.weight", ("lm_head.weight",)),)

MTP = (
    Row("enorm.weight", ("enorm.weight",)),
    Row("hnorm.weight", ("hnorm.weight",)),
    Row("eh_proj.weight", ("eh_proj.weight",)),
    Row("post_norm.weight", ("shared_head.norm.weight",)),
    Row("embed.weight", ("embed_tokens.weight",)),
    Row("unembed.weight", ("shared_head.head.weight",)),
)
"""A multi-token module; its block stands at the same prefix as those of other layers."""
