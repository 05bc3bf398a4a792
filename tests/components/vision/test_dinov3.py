"""DINOv3's tower: equal to the one of transformers, and what its prefix and its box of positions are for."""

from __future__ import annotations

import pytest
import torch
from glm_towers import PlainProducts
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from vlmloom.components.contracts.patches import reorder
from vlmloom.components.contracts.visuals import Visuals
from vlmloom.components.vision.dinov3 import DINOv3Tower


def tower(**changes) -> DINOv3Tower:
    torch.manual_seed(0)
    sizes = {"width": 32, "depth": 2, "heads": 2, "hidden": 48, "patch": 4}
    return DINOv3Tower(**sizes | changes).eval()


def of_the_peer(peer: DINOv3ViTModel) -> dict[str, torch.Tensor]:
    """The weights of transformers' model by our names."""
    own = {}
    theirs = dict(peer.state_dict())
    embeddings = "embeddings."
    own["patch_embed.weight"] = theirs[f"{embeddings}patch_embeddings.weight"].flatten(1)
    own["patch_embed.bias"] = theirs[f"{embeddings}patch_embeddings.bias"]
    own["prefix"] = torch.cat(
        [theirs[f"{embeddings}cls_token"][0], theirs[f"{embeddings}register_tokens"][0]]
    )
    for name in ("weight", "bias"):
        own[f"norm.{name}"] = theirs[f"norm.{name}"]
    for index in range(peer.config.num_hidden_layers):
        here = f"blocks.{index}."
        (layer,) = {name[: name.index("norm1")] for name in theirs if f".{index}.norm1" in f".{name}"}
        part = layer + "attention."
        own[here + "qkv.weight"] = torch.cat([theirs[f"{part}{one}_proj.weight"] for one in "qkv"])
        own[here + "query_bias"] = theirs[f"{part}q_proj.bias"]
        own[here + "value_bias"] = theirs[f"{part}v_proj.bias"]
        for kind in ("weight", "bias"):
            own[here + f"proj.{kind}"] = theirs[f"{part}o_proj.{kind}"]
            gate, up = (theirs[f"{layer}mlp.{one}_proj.{kind}"] for one in ("gate", "up"))
            own[here + f"ffn.gate_up.{kind}"] = torch.cat([gate, up])
            own[here + f"ffn.down.{kind}"] = theirs[f"{layer}mlp.down_proj.{kind}"]
            for norm in ("norm1", "norm2"):
                own[here + f"{norm}.{kind}"] = theirs[f"{layer}{norm}.{kind}"]
        for number in "12":
            own[here + f"scale{number}"] = theirs[f"{layer}layer_scale{number}.lambda1"]
    return own


@pytest.mark.parametrize(("rows", "columns", "registers"), [(4, 4, 4), (3, 5, 4), (2, 2, 0)])
def test_features_are_those_of_transformers(rows, columns, registers):
    torch.manual_seed(1)
    config = DINOv3ViTConfig(
        patch_size=4,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_register_tokens=registers,
        use_gated_mlp=True,
        hidden_act="silu",
        image_size=16,
    )
    peer = DINOv3ViTModel(config).eval()
    for parameter in peer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    own = tower(registers=registers)
    own.load_state_dict(of_the_peer(peer))
    pixels = torch.randn(3, 3, 4 * rows, 4 * columns)
    patches = pixels.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).reshape(-1, 48)
    shapes = [(1, rows, columns)] * 3
    with torch.no_grad():
        wanted = peer(pixels)
        found, _ = own(Visuals(patches, torch.tensor(shapes), shapes))
    torch.testing.assert_close(found.pooled, wanted.pooler_output, atol=1e-4, rtol=1e-4)
    there = wanted.last_hidden_state[:, 1 + registers :].flatten(0, 1)
    torch.testing.assert_close(found.tokens, there, atol=1e-4, rtol=1e-4)


def test_pictures_of_a_pack_do_not_see_each_other():
    made = tower()
    shapes = [(1, 2, 3), (2, 1, 2), (1, 4, 1)]
    together = Visuals.noise(shapes, patch=4)
    whole, _ = made(together)
    start = 0
    for index, shape in enumerate(shapes):
        count = shape[0] * shape[1] * shape[2]
        patches = together.patches[start : start + count]
        alone, _ = made(Visuals(patches, torch.tensor([shape]), [shape]))
        torch.testing.assert_close(whole.tokens[start : start + count], alone.tokens, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(whole.pooled[index], alone.pooled[0], atol=1e-5, rtol=1e-5)
        start += count


def test_the_order_of_patches_changes_only_the_order_of_tokens():
    made, shapes = tower(), [(1, 4, 6), (1, 2, 2)]
    plain = Visuals.noise(shapes, patch=4)
    index = reorder(shapes, 1, 2)
    grouped = Visuals(plain.patches[index], plain.grids, shapes, 2)
    (one, _), (other, _) = made(plain), made(grouped)
    torch.testing.assert_close(one.tokens[index], other.tokens, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(one.pooled, other.pooled, atol=1e-5, rtol=1e-5)


def test_registers_and_class_token_are_read_by_patches_and_turn_with_no_place():
    made, visuals = tower(), Visuals.noise([(1, 3, 3)], patch=4)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    before, _ = made(visuals)
    with torch.no_grad():
        made.prefix[-1] = torch.randn(32)
    after, _ = made(visuals)
    assert (before.tokens - after.tokens).abs().max() > 1e-3
    assert (before.pooled - after.pooled).abs().max() > 1e-3
    # Without positions of its own, a register could stand anywhere in the row of registers.
    with torch.no_grad():
        made.prefix[1:] = made.prefix[1:].flip(0).clone()
    torch.testing.assert_close(made(visuals)[0].tokens, after.tokens, atol=1e-5, rtol=1e-5)


def test_training_stretches_the_box_of_positions_anew_for_every_step():
    made, visuals = tower(), Visuals.noise([(1, 3, 3)], patch=4)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    still = made(visuals)[0].tokens
    made.train()
    first = made(visuals)[0].tokens
    assert (first - still).abs().max() > 1e-4
    # Chunks, a pass that is computed anew, and a resumed training see the box of their step.
    torch.testing.assert_close(made(visuals)[0].tokens, first, atol=0, rtol=0)
    resumed = tower(layer_scale=0.5).train()
    resumed.load_state_dict(made.state_dict())
    torch.testing.assert_close(resumed(visuals)[0].tokens, first, atol=0, rtol=0)
    factors = []
    for _ in range(200):
        factors.append(made._stretch())
        with torch.no_grad():
            made.prefix += 1e-6
    assert 0.5 <= min(factors) < 0.6
    assert 1.8 < max(factors) <= 2.0
    assert 0.9 < torch.tensor(factors).log().mean().exp() < 1.1


def test_a_pass_that_is_computed_anew_has_the_gradients_of_one_that_was_kept():
    grads = []
    for again in (False, True):
        made, visuals = tower().train(), Visuals.noise([(1, 3, 3)], patch=4)
        features, _ = checkpoint(made, visuals, use_reentrant=False) if again else made(visuals)
        tokens = features.tokens
        tokens.square().sum().backward()
        grads.append(made.blocks[0].qkv.weight.grad)
    torch.testing.assert_close(*grads)


def test_operations_are_those_that_run():
    made, shapes = tower(attention=PlainProducts()), [(1, 2, 3), (2, 1, 2)]
    with FlopCounterMode(display=False) as counter:
        made(Visuals.noise(shapes, patch=4))
    assert made.flops(shapes) == counter.get_total_flops()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"heads": 5}, "no multiple of four"),
        ({"registers": -1}, "registers is -1; 0 or more"),
        ({"rescale": 0.5}, "rescale is 0.5; 1 or more"),
        ({"rescale": float("nan")}, "rescale is nan; 1 or more"),
        ({"layer_scale": -1.0}, "layer_scale is -1.0; 0 or more"),
        ({"depth": -1}, "depth is -1"),
        ({"width": 0}, "width is 0"),
    ],
)
def test_settings_out_of_range_are_told(changes, words):
    with pytest.raises(ValueError, match=words):
        tower(**changes)


def test_a_tap_that_is_not_there_is_told():
    with pytest.raises(ValueError, match="no block 2 to tap; 0 to 1 would be right"):
        tower()(Visuals.noise([(1, 2, 2)], patch=4), taps=[2])
