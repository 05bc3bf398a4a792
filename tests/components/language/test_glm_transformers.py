"""language/glm equals transformers' GLM-4.5V and GLM-4.1V text models, weights copied."""

from functools import partial

import numpy as np
import pytest
import torch

from vlmloom.components.attention import SDPA
from vlmloom.components.contracts.packed import Span
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.language import GLM
from vlmloom.components.language.rotary import positions_of
from vlmloom.components.moe import SigmoidBias

transformers = pytest.importorskip("transformers")

WIDTH, HEADS, KV_HEADS, VOCAB = 48, 4, 2, 41
LAYOUT = [Span(3), Span(12, (1, 3, 4)), Span(2), Span(4, (1, 2, 2)), Span(5)]


def rope(sections):
    return {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.5,
        "mrope_section": list(sections),
    }


def copy_attention(block, theirs):
    size = block.head_size
    parts = [HEADS * size, KV_HEADS * size, KV_HEADS * size]
    projections = (theirs.self_attn.q_proj, theirs.self_attn.k_proj, theirs.self_attn.v_proj)
    for weight, bias, projection in zip(
        block.qkv.weight.split(parts), block.qkv.bias.split(parts), projections, strict=True
    ):
        projection.weight.copy_(weight)
        projection.bias.copy_(bias)
    theirs.self_attn.o_proj.weight.copy_(block.out.weight)
    theirs.input_layernorm.weight.copy_(block.attention_norm.weight)
    theirs.post_attention_layernorm.weight.copy_(block.ffn_norm.weight)


def shake(module):
    """Make norms and biases matter."""
    generator = torch.Generator().manual_seed(5)
    for name, parameter in module.named_parameters():
        if parameter.dim() == 1:
            noise = torch.rand(parameter.shape, generator=generator)
            parameter.copy_(noise + 0.5 if "norm" in name else noise - 0.5)


@pytest.fixture
def sample():
    torch.manual_seed(1)
    positions = torch.from_numpy(positions_of(LAYOUT))
    return torch.randint(0, VOCAB, (positions.shape[1],)), positions


@torch.no_grad()
def test_glm4v_moe(sample):
    ids, positions = sample
    torch.manual_seed(0)
    shared = partial(SwiGLU, hidden=20, init_std=0.2)
    sparse = partial(
        SigmoidBias, hidden=20, experts=6, top_k=2, routed_scale=1.5, shared=shared, init_std=0.2
    )
    layers = [{"ffn": partial(SwiGLU, hidden=56, init_std=0.2)}, {"ffn": sparse}, {"ffn": sparse}]
    ours = GLM(
        vocab=VOCAB, width=WIDTH, depth=3, heads=HEADS, kv_heads=KV_HEADS, head_size=16, layers=layers,
        attention=SDPA(), mrope_sections=(1, 1, 2), init_std=0.2,
    )  # fmt: skip
    shake(ours)
    config = transformers.Glm4vMoeTextConfig(
        vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=56, num_hidden_layers=3,
        num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, head_dim=16, rms_norm_eps=1e-5,
        attention_bias=True, moe_intermediate_size=20, num_experts_per_tok=2, n_shared_experts=1,
        n_routed_experts=6, routed_scaling_factor=1.5, first_k_dense_replace=1, norm_topk_prob=True,
        rope_parameters=rope((1, 1, 2)), pad_token_id=0,
    )  # fmt: skip
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    theirs = transformers.models.glm4v_moe.modeling_glm4v_moe.Glm4vMoeTextModel(config).eval()
    theirs.embed_tokens.weight.copy_(ours.embed.weight)
    theirs.norm.weight.copy_(ours.norm.weight)
    for block, layer in zip(ours.blocks, theirs.layers, strict=True):
        copy_attention(block, layer)
        ffn, mlp = block.ffn, layer.mlp
        if isinstance(ffn, SigmoidBias):
            mlp.gate.weight.copy_(ffn.router)
            ffn.selection_bias.copy_(torch.linspace(-0.1, 0.1, 6))
            mlp.gate.e_score_correction_bias.copy_(ffn.selection_bias)
            mlp.experts.gate_up_proj.copy_(ffn.experts.gate_up)
            mlp.experts.down_proj.copy_(ffn.experts.down)
            ffn, mlp = ffn.shared, mlp.shared_experts
        gate, up = ffn.gate_up.weight.chunk(2)
        mlp.gate_proj.weight.copy_(gate)
        mlp.up_proj.weight.copy_(up)
        mlp.down_proj.weight.copy_(ffn.down.weight)
    wanted = theirs(input_ids=ids[None], position_ids=positions[:, None]).last_hidden_state[0]
    got, _ = ours(ours.embed(ids), positions, [len(ids)])
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_glm4v(sample):
    ids, positions = sample
    torch.manual_seed(0)
    ours = GLM(
        vocab=VOCAB, width=WIDTH, depth=2, heads=HEADS, kv_heads=KV_HEADS, rotary_fraction=0.5,
        layers=[{"ffn": partial(SwiGLU, hidden=56, init_std=0.2)}] * 2, attention=SDPA(),
        rotation="interleaved", sandwich_norm=True, mrope_sections=(1, 1, 1), init_std=0.2,
    )  # fmt: skip
    shake(ours)
    config = transformers.Glm4vTextConfig(
        vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=56, num_hidden_layers=2,
        num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, rms_norm_eps=1e-5,
        rope_parameters=rope((1, 1, 1)), pad_token_id=0,
    )  # fmt: skip
    config._attn_implementation = "eager"
    theirs = transformers.models.glm4v.modeling_glm4v.Glm4vTextModel(config).eval()
    theirs.embed_tokens.weight.copy_(ours.embed.weight)
    theirs.norm.weight.copy_(ours.norm.weight)
    for block, layer in zip(ours.blocks, theirs.layers, strict=True):
        copy_attention(block, layer)
        layer.post_self_attn_layernorm.weight.copy_(block.attention_post_norm.weight)
        layer.post_mlp_layernorm.weight.copy_(block.ffn_post_norm.weight)
        layer.mlp.gate_up_proj.weight.copy_(block.ffn.gate_up.weight)
        layer.mlp.down_proj.weight.copy_(block.ffn.down.weight)
    wanted = theirs(input_ids=ids[None], position_ids=positions[:, None]).last_hidden_state[0]
    got, _ = ours(ours.embed(ids), positions, [len(ids)])
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)


def rope_index(types, **grids):
    """transformers' rule for one sample, asked without building a whole model."""
    from types import SimpleNamespace

    from transformers.models.glm4v.modeling_glm4v import Glm4vModel

    asked = SimpleNamespace(config=SimpleNamespace(vision_config=SimpleNamespace(spatial_merge_size=2)))
    asked.get_vision_position_ids = partial(Glm4vModel.get_vision_position_ids, asked)
    ids = torch.zeros(1, len(types), dtype=torch.long)
    found, _ = Glm4vModel.get_rope_index(asked, ids, torch.tensor([types]), **grids)
    return found[:, 0].numpy()


def test_positions_of_pictures():
    types = [kind for span in LAYOUT for kind in [0 if span.grid is None else 1] * span.length]
    grids = [(1, 2 * span.grid[1], 2 * span.grid[2]) for span in LAYOUT if span.grid]
    np.testing.assert_array_equal(positions_of(LAYOUT), rope_index(types, image_grid_thw=torch.tensor(grids)))


def test_positions_of_a_clip():
    """Frames that stand apart in the text, as GLM writes them, and the same frames as one span."""
    layout = [Span(1), Span(6, (1, 2, 3)), Span(2), Span(6, (1, 2, 3)), Span(1)]
    types = [kind for span in layout for kind in [0 if span.grid is None else 2] * span.length]
    np.testing.assert_array_equal(
        positions_of(layout), rope_index(types, video_grid_thw=torch.tensor([[2, 4, 6]]))
    )
    touching = [Span(1), Span(6, (1, 2, 3)), Span(6, (1, 2, 3)), Span(1)]
    np.testing.assert_array_equal(
        positions_of([Span(1), Span(12, (2, 2, 3)), Span(1)]), positions_of(touching)
    )


def test_positions_of_nothing_and_of_a_wrong_span():
    assert positions_of([]).shape == (3, 0)
    with pytest.raises(ValueError, match=r"a span of 5 tokens has the grid \(1, 2, 2\); these do not agree"):
        positions_of([Span(5, (1, 2, 2))])
