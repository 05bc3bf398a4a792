from __future__ import annotations

from functools import partial

import pytest
import torch
from glm_towers import PlainProducts, draw

from vlmloom.components.attention.sdpa import SDPA
from vlmloom.components.contracts.spec import ShapeMismatch, Spec
from vlmloom.components.contracts.visuals import Visuals
from vlmloom.components.ffn.swiglu import SwiGLU
from vlmloom.components.vision.cogvit import CogViT

PATCH, PIXELS = 4, 48


def tower(**changes) -> CogViT:
    torch.manual_seed(0)
    arguments = {"width": 32, "depth": 2, "heads": 2, "hidden": 48, "patch": PATCH}
    ffn = partial(SwiGLU, bias=True)
    return CogViT(**{**arguments, "attention": SDPA(), "ffn": ffn, **changes})


def visuals(*shapes) -> Visuals:
    return draw(list(shapes), PATCH)


def test_names_of_the_weights_are_fixed():
    """Checkpoints are mapped onto these names."""
    made = tower(depth=1)
    assert {name: tuple(value.shape) for name, value in made.state_dict().items()} == {
        "patch_embed.weight": (32, 2 * PIXELS),
        "patch_embed.bias": (32,),
        "blocks.0.norm1.weight": (32,),
        "blocks.0.norm2.weight": (32,),
        "blocks.0.q_norm": (16,),
        "blocks.0.k_norm": (16,),
        "blocks.0.qkv.weight": (96, 32),
        "blocks.0.qkv.bias": (96,),
        "blocks.0.proj.weight": (32, 32),
        "blocks.0.proj.bias": (32,),
        "blocks.0.ffn.gate_up.weight": (96, 32),
        "blocks.0.ffn.gate_up.bias": (96,),
        "blocks.0.ffn.down.weight": (32, 48),
        "blocks.0.ffn.down.bias": (32,),
        "norm.weight": (32,),
    }


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
    cogvit, given = (
        tower(rope_theta=123.0, attention=PlainProducts()),
        visuals((1, 4, 4), (2, 2, 2), (1, 2, 2)),
    )
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


@pytest.mark.parametrize("shapes", [[(1, 4, 6), (1, 2, 2)], [(4, 2, 4)], [(1, 2, 2), (2, 4, 4)]])
def test_flops_are_those_counted(shapes):
    from torch.utils.flop_counter import FlopCounterMode

    cogvit = tower(attention=PlainProducts())
    with FlopCounterMode(display=False) as counter:
        cogvit(visuals(*shapes))
    assert cogvit.flops(shapes) == counter.get_total_flops()


def test_attention_backends_agree():
    given = visuals((1, 4, 6), (2, 2, 2))
    torch.testing.assert_close(
        tower()(given)[0].tokens, tower(attention=PlainProducts())(given)[0].tokens, atol=1e-5, rtol=1e-5
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


def test_the_largest_logit_is_that_of_all_blocks_within_frames(monkeypatch):
    torch.manual_seed(0)
    watched, seen = tower(watch_logits=True), []
    attention = watched.blocks[0].attention  # the blocks share it
    inner = attention.forward

    @torch.no_grad()
    def measure(query, key, lengths):
        for one, other in zip(query.split(lengths), key.split(lengths), strict=True):
            logits = torch.einsum("qhs,khs->hqk", one, other) * one.shape[-1] ** -0.5
            seen.append(float(logits.abs().max()))

    def look(query, key, value, lengths, mask):
        measure(query, key, lengths)
        return inner(query, key, value, lengths, mask)

    monkeypatch.setattr(attention, "forward", look)
    metrics = watched(visuals((1, 4, 4), (2, 2, 2)))[1]
    assert float(metrics["logit"]) == pytest.approx(max(seen), rel=1e-6)
    assert len(seen) == 2 * len(watched.blocks) and not metrics["logit"].requires_grad
    assert "logit" not in tower()(visuals((1, 4, 4)))[1]
