"""language/glm_dsa equals transformers' glm_moe_dsa: logits and gradients, random tiny configurations."""

from functools import partial

import pytest
import references
import torch

from vlmloom.components.attention import SDPA
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.language import GLMDSA
from vlmloom.components.moe import SigmoidBias

transformers = pytest.importorskip("transformers")


def draw(seed, make):
    """A tiny configuration of theirs; more tokens than a query selects, except for every fourth."""
    generator = torch.Generator().manual_seed(seed)

    def one_of(*values):
        return values[int(torch.randint(len(values), (), generator=generator))]

    depth, groups = one_of(2, 3, 4), one_of(1, 2)
    heads = one_of(2, 3, 4)
    indexers = ["full"] + [one_of("full", "shared") for _ in range(depth - 1)]
    return make(
        vocab_size=one_of(31, 50), hidden_size=one_of(24, 32, 40), intermediate_size=one_of(20, 48),
        moe_intermediate_size=one_of(12, 20), num_hidden_layers=depth, num_attention_heads=heads,
        num_key_value_heads=heads, n_shared_experts=1, n_routed_experts=one_of(4, 8), n_group=groups,
        topk_group=1, num_experts_per_tok=2, routed_scaling_factor=2.5, q_lora_rank=one_of(16, 20),
        kv_lora_rank=one_of(12, 16), qk_nope_head_dim=one_of(6, 12), qk_rope_head_dim=one_of(4, 8),
        v_head_dim=one_of(8, 16, 24), index_topk=one_of(4, 7) if seed % 4 else 64,
        index_head_dim=one_of(8, 16), index_n_heads=16,
        first_k_dense_replace=one_of(0, 1, 2), attention_bias=one_of(True, False),
        **({"indexer_types": indexers} if make is transformers.GlmMoeDsaConfig else {}),
        rope_parameters={"rope_type": "default", "rope_theta": one_of(10000.0, 1e6)}, pad_token_id=None,
    )  # fmt: skip


def build_theirs(config, seed):
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    theirs = transformers.AutoModel.from_config(config)
    references.randomise(theirs, seed)
    return theirs


def build_ours(config, theirs, **arguments):
    shared = partial(SwiGLU, hidden=config.moe_intermediate_size)
    sparse = partial(
        SigmoidBias, hidden=config.moe_intermediate_size, experts=config.n_routed_experts,
        top_k=config.num_experts_per_tok, shared=shared, groups=config.n_group, top_groups=config.topk_group,
        routed_scale=config.routed_scaling_factor, balance_loss=0.0,
    )  # fmt: skip
    dense = partial(SwiGLU, hidden=config.intermediate_size)
    indexers = getattr(config, "indexer_types", ["full"] * config.num_hidden_layers)
    layers = [
        {"ffn": sparse if ffn == "sparse" else dense, "indexer": indexer}
        for ffn, indexer in zip(config.mlp_layer_types, indexers, strict=True)
    ]
    arguments = {"index_top_k": config.index_topk, **arguments}
    ours = GLMDSA(
        vocab=config.vocab_size, width=config.hidden_size, depth=config.num_hidden_layers,
        heads=config.num_attention_heads, query_rank=config.q_lora_rank, kv_rank=config.kv_lora_rank,
        nope_size=config.qk_nope_head_dim, rope_size=config.qk_rope_head_dim, value_size=config.v_head_dim,
        layers=layers, attention=SDPA(), index_heads=config.index_n_heads, index_size=config.index_head_dim,
        rope_theta=config.rope_parameters["rope_theta"], attention_bias=config.attention_bias, **arguments,
    )  # fmt: skip
    references.copy_into(ours, theirs, latent=True)
    return ours


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("model", ["GlmMoeDsa", "DeepseekV32"])
def test_logits_and_gradients(model, seed):
    """DeepSeek's indexer differs from GLM's in how it pairs what it rotates."""
    config = draw(seed, getattr(transformers, f"{model}Config"))
    theirs = build_theirs(config, seed)
    half = {"index_rotation": "half", "norm_eps": 1e-6} if model == "DeepseekV32" else {}
    ours = build_ours(config, theirs, **half)
    torch.manual_seed(seed)
    lengths = [19, 5, 11]
    ids = torch.randint(config.vocab_size, (sum(lengths),))
    positions = torch.cat([torch.arange(length) for length in lengths])
    mine, metrics = ours(ours.embed(ids), positions.expand(3, -1), lengths)
    other = torch.cat([theirs(input_ids=own[None]).last_hidden_state[0] for own in ids.split(lengths)])
    output = torch.randn(config.vocab_size, config.hidden_size) * 0.2
    references.compare(ours, theirs, (mine, other), output, ids.roll(-1), latent=True)
    assert "loss/indexer" not in metrics
