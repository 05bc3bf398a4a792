"""GLM-5: latent attention to keys that an indexer selects, and mixtures of experts; text alone.

Reference: transformers, models/glm_moe_dsa/modeling_glm_moe_dsa.py; arXiv 2602.15763.
"""

from vlmloom.assemblies.native.families import decoders
from vlmloom.assemblies.native.families.family import MTP, Family, decoder_tables
from vlmloom.assemblies.native.families.layers import indexed, indexed_kind, say_indexed
from vlmloom.assemblies.native.families.settings import Ours, Setting, Theirs

GLM_MOE_DSA = Family(
    model_type="glm_moe_dsa",
    architecture="GlmMoeDsaForCausalLM",
    settings=(
        Ours("use", "assembly/native"),
        Ours("language.use", "language/glm_dsa"),
        *decoders.text(""),
        Setting("num_key_value_heads", "language.heads", lambda ours: ours("language.heads")),
        Setting("q_lora_rank", "language.query_rank"),
        Setting("kv_lora_rank", "language.kv_rank"),
        Setting("qk_nope_head_dim", "language.nope_size"),
        Setting("qk_rope_head_dim", "language.rope_size"),
        Setting("v_head_dim", "language.value_size"),
        Setting("index_n_heads", "language.index_heads"),
        Setting("index_head_dim", "language.index_size"),
        Setting("index_topk", "language.index_top_k"),
        Setting("attention_bias", "language.attention_bias", False),
        Setting("max_position_embeddings", "language.max_positions", 202752),
        Theirs("mlp_bias", False, written=False),
        Theirs("rope_interleave", True, written=False),
        Theirs("indexer_rope_interleave", True, written=False),
        Ours("language.rotation", "interleaved"),
        Ours("language.index_rotation", "interleaved"),
        Ours("language.latent_norm_eps", 1e-6),
        Ours("language.layers.<full>.indexer", "full"),
        Ours("language.layers.<shared>.indexer", "shared"),
        *decoders.dense(""),
        *decoders.experts("", scale=2.5),
        Ours(f"{MTP}.use", "head/mtp"),
    ),
    tables=decoder_tables(decoders.LATENT + decoders.EXPERTS, "model."),
    read_layers=indexed,
    write_layers=say_indexed,
    layer_kind=indexed_kind,
    sizes=lambda assembly: {},
    language="model.",
    depth="num_hidden_layers",
    mtp="head/mtp",
    skeleton=(("model_type", "glm_moe_dsa"),),
)
