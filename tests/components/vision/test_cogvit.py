from __future__ import annotations

from functools import partial

import pytest
import torch
from einops import rearrange
from torch import nn

from vlmloom.components.attention.sdpa import SDPA
from vlmloom.components.contracts.kinds import Attention
from vlmloom.components.contracts.spec import ShapeMismatch, Spec
from vlmloom.components.contracts.visuals import Visuals
from vlmloom.components.ffn.swiglu import SwiGLU
from vlmloom.components.projector.merger import Merger
from vlmloom.components.vision.cogvit import CogViT

PATCH, PIXELS = 4, 48


def tower(**changes) -> CogViT:
    torch.manual_seed(0)
    arguments = {"width": 32, "depth": 2, "heads": 2, "hidden": 48, "patch": PATCH}
    ffn = partial(SwiGLU, bias=True)
    return CogViT(**{**arguments, "attention": SDPA(), "ffn": ffn, **changes})


def visuals(*shapes, block=2) -> Visuals:
    generator = torch.Generator().manual_seed(1)
    count = sum(frames * rows * columns for frames, rows, columns in shapes)
    patches = torch.randn(count, PIXELS, generator=generator)
    return Visuals(patches, torch.tensor(shapes), list(shapes), block)


def reference():
    from transformers import GlmOcrVisionConfig, GlmOcrVisionModel

    torch.manual_seed(2)
    config = GlmOcrVisionConfig(
        depth=2,
        hidden_size=32,
        num_heads=2,
        intermediate_size=48,
        patch_size=PATCH,
        out_hidden_size=24,
        attn_implementation="eager",
    )
    model = GlmOcrVisionModel(config).eval()
    for name, parameter in model.named_parameters():
        nn.init.normal_(parameter, mean=float("norm" in name and "bias" not in name), std=0.1)
    return model


def copy_weights(model, cogvit: CogViT, merger: Merger) -> None:
    given = model.state_dict()
    kernel = rearrange(given["patch_embed.proj.weight"], "w c t y x -> w (t c y x)")
    state = {"patch_embed.weight": kernel, "patch_embed.bias": given["patch_embed.proj.bias"]}
    state["norm.weight"] = given["post_layernorm.weight"]
    for index in range(2):
        here = {key.removeprefix(f"blocks.{index}."): value for key, value in given.items()}
        for ours, theirs in (("norm1.weight", "norm1.weight"), ("norm2.weight", "norm2.weight")):
            state[f"blocks.{index}.{ours}"] = here[theirs]
        for name in ("qkv.weight", "qkv.bias", "proj.weight", "proj.bias"):
            state[f"blocks.{index}.{name}"] = here[f"attn.{name}"]
        for name in ("q_norm", "k_norm"):
            state[f"blocks.{index}.{name}"] = here[f"attn.{name}.weight"]
        for end in ("weight", "bias"):
            gate, up = here[f"mlp.gate_proj.{end}"], here[f"mlp.up_proj.{end}"]
            state[f"blocks.{index}.ffn.gate_up.{end}"] = torch.cat((gate, up))
            state[f"blocks.{index}.ffn.down.{end}"] = here[f"mlp.down_proj.{end}"]
    cogvit.load_state_dict(state)
    gate, up = given["merger.gate_proj.weight"], given["merger.up_proj.weight"]
    merger.load_state_dict(
        {
            "downsample.weight": rearrange(given["downsample.weight"], "o i y x -> o (y x i)"),
            "downsample.bias": given["downsample.bias"],
            "proj.weight": given["merger.proj.weight"],
            "norm.weight": given["merger.post_projection_norm.weight"],
            "norm.bias": given["merger.post_projection_norm.bias"],
            "gate_up.weight": torch.cat((gate, up)),
            "down.weight": given["merger.down_proj.weight"],
        }
    )


@pytest.mark.parametrize(
    "shapes", [[(1, 4, 6)], [(1, 4, 6), (1, 2, 2), (1, 6, 2)], [(4, 2, 4)], [(1, 4, 4), (4, 2, 4), (1, 2, 6)]]
)
def test_equals_the_shipped_tower_and_merger(shapes):
    model, cogvit = reference(), tower()
    merger = Merger(in_width=32, out_width=24)
    copy_weights(model, cogvit, merger)
    given = visuals(*shapes)
    # The reference takes both frames of a token side by side, channel first; a still is stored twice there.
    rows, grids = [], []
    for patches, (frames, height, width) in zip(
        given.patches.split([f * h * w for f, h, w in shapes]), shapes, strict=True
    ):
        stored = patches.view(frames, height * width, 3, PIXELS // 3)
        pairs = stored.repeat(2, 1, 1, 1)[None] if frames == 1 else stored.unflatten(0, (-1, 2))
        rows.append(rearrange(pairs, "f t n c p -> (f n) (c t p)"))
        grids.append((max(1, frames // 2), height, width))
    seen = {}
    model.post_layernorm.register_forward_hook(lambda *call: seen.update(encoded=call[-1]))
    with torch.no_grad():
        merged = model(torch.cat(rows), grid_thw=torch.tensor(grids)).pooler_output
        features, _ = cogvit(given)
        projected, _ = merger(features)
    assert features.shapes == grids
    torch.testing.assert_close(features.tokens, seen["encoded"], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(projected.tokens, merged, atol=1e-4, rtol=1e-4)
    assert projected.shapes == [(f, r // 2, c // 2) for f, r, c in grids]


def test_packed_equals_one_by_one():
    cogvit, shapes = tower(), [(1, 4, 6), (2, 2, 2), (1, 6, 2)]
    packed = visuals(*shapes)
    parts = packed.patches.split([f * r * c for f, r, c in shapes])
    alone = [
        cogvit(Visuals(part, torch.tensor([shape]), [shape], 2))[0].tokens
        for part, shape in zip(parts, shapes, strict=True)
    ]
    torch.testing.assert_close(cogvit(packed)[0].tokens, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_the_order_of_patches_changes_only_the_order_of_tokens():
    from vlmloom.components.contracts.patches import reorder

    cogvit, shapes = tower(), [(1, 4, 6), (1, 2, 2)]
    grouped = visuals(*shapes)
    index = reorder(shapes, 2, 1)
    plain = Visuals(grouped.patches[index], grouped.grids, shapes, 1)
    torch.testing.assert_close(
        cogvit(plain)[0].tokens, cogvit(grouped)[0].tokens[index], atol=1e-5, rtol=1e-5
    )


def test_a_clip_of_two_equal_frames_is_a_still():
    cogvit, still = tower(), visuals((1, 4, 4))
    clip = Visuals(still.patches.repeat(2, 1), torch.tensor([[2, 4, 4]]), [(2, 4, 4)], 2)
    torch.testing.assert_close(cogvit(clip)[0].tokens, cogvit(still)[0].tokens, atol=1e-5, rtol=1e-5)


def test_blank_visuals_give_finite_features_and_gradients():
    cogvit = tower()
    features, _ = cogvit(Visuals.blank(cogvit.patch_spec.with_block(2)))
    assert features.tokens.shape == (4, 32)
    (features.tokens.square().sum() * 0.0).backward()
    for name, parameter in cogvit.named_parameters():
        assert parameter.grad is not None and not parameter.grad.abs().sum(), name


def test_taps_are_the_blocks_outputs_before_the_final_norm():
    cogvit = tower()
    features, _ = cogvit(visuals((1, 4, 4)), taps=(0, 1))
    assert sorted(features.taps) == [0, 1]
    torch.testing.assert_close(cogvit.norm(features.taps[1]), features.tokens)


def test_a_table_made_in_inference_mode_serves_training_afterwards():
    cogvit, given = tower(rope_theta=123.0, attention=Counted()), visuals((1, 4, 4), (2, 2, 2), (1, 2, 2))
    with torch.inference_mode():
        cogvit(given)
    cogvit(given)[0].tokens.sum().backward()
    assert torch.isfinite(cogvit.patch_embed.weight.grad).all()


def test_published_size_has_403_million_parameters_in_its_blocks():
    with torch.device("meta"):
        cogvit = CogViT(
            width=1024, depth=24, heads=16, hidden=4096, attention=SDPA(), ffn=partial(SwiGLU, bias=True)
        )
    blocks = sum(parameter.numel() for parameter in cogvit.blocks.parameters())
    assert round(blocks / 1e6, 2) == 403.02
    assert round(sum(parameter.numel() for parameter in cogvit.parameters()) / 1e6, 1) == 404.2


class Counted(Attention):
    """Attention by plain products, which the counter of FLOPs sees."""

    def forward(self, query, key, value, lengths, mask, scale=None):
        parts = zip(
            *(tensor.transpose(0, 1).split(lengths, 1) for tensor in (query, key, value)), strict=True
        )
        size = query.shape[-1] ** -0.5
        out = [torch.softmax(q @ k.mT * size, -1) @ v for q, k, v in parts]
        return torch.cat(out, 1).transpose(0, 1)


@pytest.mark.parametrize("shapes", [[(1, 4, 6), (1, 2, 2)], [(4, 2, 4)], [(1, 2, 2), (2, 4, 4)]])
def test_flops_are_those_counted(shapes):
    from torch.utils.flop_counter import FlopCounterMode

    cogvit = tower(attention=Counted())
    with FlopCounterMode(display=False) as counter:
        cogvit(visuals(*shapes))
    assert cogvit.flops(shapes) == counter.get_total_flops()


def test_attention_backends_agree():
    given = visuals((1, 4, 6), (2, 2, 2))
    torch.testing.assert_close(
        tower()(given)[0].tokens, tower(attention=Counted())(given)[0].tokens, atol=1e-5, rtol=1e-5
    )


def test_a_template_keeps_what_it_has_fixed():
    assert tower(ffn=partial(SwiGLU, hidden=12)).blocks[0].ffn.hidden == 12
    assert tower(ffn=SwiGLU).blocks[0].ffn.hidden == 48


def test_without_qk_norm_there_are_no_norm_weights():
    cogvit = tower(qk_norm=False, qkv_bias=False)
    assert not any("q_norm" in name for name in cogvit.state_dict())
    assert torch.isfinite(cogvit(visuals((1, 2, 2)))[0].tokens).all()


def test_shapes_are_those_of_the_features():
    cogvit, shapes = tower(), [(1, 4, 6), (4, 2, 2)]
    spec = cogvit.shapes(Spec("patches", PIXELS, tuple(shapes)))
    features, _ = cogvit(visuals(*shapes))
    assert (spec.width, list(spec.grids)) == (features.tokens.shape[1], features.shapes)
    with pytest.raises(
        ShapeMismatch, match="vision/cogvit takes patches of width 48, but is handed width 588"
    ):
        cogvit.shapes(Spec("patches", 588))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: tower(width=30, heads=4), "width 30 over 4 heads is no multiple of four a head; width 32"),
        (lambda: tower()(visuals((3, 2, 2))), r"found a clip of 3 frames \(2 x 2 patches\); a multiple of 2"),
        (lambda: tower()(visuals((1, 2, 2)), taps=(2,)), "there is no block 2 to tap; 0 to 1 would be right"),
    ],
)
def test_errors_say_what_would_be_right(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
