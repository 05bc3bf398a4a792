from __future__ import annotations

import pytest
import torch
from glm_towers import PlainProducts, draw
from torch.utils.flop_counter import FlopCounterMode

from vlmloom.components.contracts.patches import reorder
from vlmloom.components.contracts.visuals import Visuals
from vlmloom.components.vision.aimv2_glm import AIMv2GLM


def tower(**changes) -> AIMv2GLM:
    torch.manual_seed(0)
    return AIMv2GLM(**{"width": 16, "depth": 2, "heads": 2, "hidden": 24, "patch": 4, "table": 3, **changes})


def test_names_of_the_weights_are_fixed():
    """Checkpoints are mapped onto these names."""
    block = [
        "norm1.weight",
        "norm2.weight",
        "qkv.weight",
        "proj.weight",
        "ffn.gate_up.weight",
        "ffn.down.weight",
    ]
    assert {name: tuple(value.shape) for name, value in tower(depth=1).state_dict().items()} == {
        "patch_embed.weight": (16, 2 * 3 * 4 * 4),
        "patch_embed.bias": (16,),
        "patch_norm.weight": (16,),
        "positions.weight": (9, 16),
        **dict(
            zip(
                [f"blocks.0.{name}" for name in block],
                [(16,), (16,), (48, 16), (16, 16), (48, 16), (16, 24)],
                strict=True,
            )
        ),
        "norm.weight": (16,),
    }
    assert "blocks.0.qkv.bias" in tower(qkv_bias=True).state_dict()


def test_a_clip_of_two_equal_frames_is_a_still():
    made, still = tower(), draw([(1, 4, 4)], 4)
    clip = Visuals(still.patches.repeat(2, 1), torch.tensor([[2, 4, 4]]), [(2, 4, 4)], 2)
    torch.testing.assert_close(made(clip)[0].tokens, made(still)[0].tokens, atol=1e-5, rtol=1e-5)


def test_the_order_of_patches_changes_only_the_order_of_tokens():
    made, shapes = tower(), [(1, 4, 6), (1, 2, 2)]
    grouped = draw(shapes, 4)
    index = reorder(shapes, 2, 1)
    plain = Visuals(grouped.patches[index], grouped.grids, shapes, 1)
    torch.testing.assert_close(made(plain)[0].tokens, made(grouped)[0].tokens[index], atol=1e-5, rtol=1e-5)


def test_positions_differ_within_a_picture_and_not_between_frames():
    made = tower(temporal=1)
    positions = made.positions([(2, 4, 6)], 2).view(2, 24, 16)
    torch.testing.assert_close(positions[0], positions[1], atol=0, rtol=0)
    assert len(positions[0].unique(dim=0)) == 24


def test_flops_are_those_counted():
    def bags(weight, places, *rest, out_shape=None, **options):
        return 2 * places[0] * weight[1]

    mapping = {torch.ops.aten._embedding_bag: bags, torch.ops.aten._embedding_bag_forward_only: bags}
    shapes = [(1, 4, 6), (4, 2, 2), (1, 10, 10)]
    made = tower(attention=PlainProducts())
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        made(draw(shapes, 4))
    assert made.flops(shapes) == counter.get_total_flops()


def test_errors_say_what_would_be_right():
    with pytest.raises(
        ValueError, match="vision/aimv2_glm: found a table of side 0; 1 or more would be right"
    ):
        tower(table=0)
    with pytest.raises(ValueError, match="vision/aimv2_glm: width 18 over 4 heads is no multiple of four"):
        tower(width=18, heads=4)
    with pytest.raises(ValueError, match="vision/aimv2_glm: found a clip of 3 frames"):
        tower()(draw([(3, 2, 2)], 4))
