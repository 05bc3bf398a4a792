from __future__ import annotations

import numpy as np
import pytest
import torch
from timm.layers import set_fused_attn
from torch.utils.flop_counter import FlopCounterMode

from vlmloom.components.contracts.patches import cut, join, reorder
from vlmloom.components.contracts.visuals import Visuals
from vlmloom.components.optimizer.muon import splits_of
from vlmloom.components.vision.timm import Timm

OPTIONS = {"embed_dim": 32, "depth": 2, "num_heads": 2}


def native(**options) -> Timm:
    torch.manual_seed(0)
    return Timm(model="naflexvit_base_patch16_gap", options={**OPTIONS, **options})


def fixed(**changes) -> Timm:
    torch.manual_seed(0)
    return Timm(**{"model": "test_vit", "size": 64, **changes})


def visuals(tower: Timm, *sizes: tuple[int, int], block: int = 1) -> Visuals:
    spec = tower.patch_spec.with_block(block)
    rng = np.random.default_rng(0)
    return join([cut(rng.integers(0, 256, (1, *size, 3), dtype=np.uint8), spec) for size in sizes], spec)


SIZES = ((64, 96), (32, 32), (96, 32))


@pytest.mark.parametrize("make", [native, fixed])
def test_query_key_and_value_are_matrices_of_their_own_to_muon(make):
    tower = make()
    splits = {
        name: splits_of(name, parameter, ())
        for name, parameter in tower.named_parameters()
        if "qkv.weight" in name
    }
    assert len(splits) == len(tower.model.blocks) and set(splits.values()) == {(tower.out_width,) * 3}


@pytest.mark.parametrize("pos_embed", ["learned", "factorized", "rope"])
def test_packed_equals_one_by_one(pos_embed):
    extra = {"pos_embed": "none", "rope_type": "axial", "attn_type": "eva"} if pos_embed == "rope" else {}
    tower = native(**{"pos_embed": pos_embed, **extra})
    packed = visuals(tower, *SIZES)
    parts = packed.patches.split([f * r * c for f, r, c in packed.shapes])
    alone = [
        tower(Visuals(part, torch.tensor([shape]), [shape]))[0].tokens
        for part, shape in zip(parts, packed.shapes, strict=True)
    ]
    torch.testing.assert_close(tower(packed)[0].tokens, torch.cat(alone), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("make", [native, fixed])
def test_features_follow_the_order_of_the_patches(make):
    tower = make()
    sizes = SIZES if make is native else ((64, 64), (64, 64))
    plain, grouped = (tower(visuals(tower, *sizes, block=block))[0] for block in (1, 2))
    assert grouped.block == 2
    index = reorder(plain.shapes, 1, 2)
    torch.testing.assert_close(grouped.tokens, plain.tokens[index], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("make", [native, fixed])
def test_a_picture_gives_what_timm_gives(make):
    tower = make().eval()
    picture = np.random.default_rng(1).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    given = join([cut(picture, tower.patch_spec)], tower.patch_spec)
    mean, std = (
        torch.tensor(values)[:, None, None] for values in (tower.patch_spec.mean, tower.patch_spec.std)
    )
    image = (torch.from_numpy(picture[0]).permute(2, 0, 1) / 255 - mean) / std
    with torch.no_grad():
        expected = tower.model.fc_norm(tower.model.forward_features(image[None]))[0, tower.prefix :]
        torch.testing.assert_close(tower(given)[0].tokens, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("make", [native, fixed])
def test_taps_come_in_the_order_of_the_patches(make):
    tower = make()
    given = visuals(tower, *(SIZES if make is native else ((64, 64),)), block=2)
    features, _ = tower(given, taps=(end := len(tower.model.blocks) - 1, 0))
    assert sorted(features.taps) == [0, end]
    last = tower.model.fc_norm(tower.model.norm(features.taps[end]))
    torch.testing.assert_close(last, features.tokens, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(tower(given)[0].tokens, features.tokens, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("make", [native, fixed])
def test_flops_are_those_counted(make):
    set_fused_attn(False)
    try:
        tower = make()
    finally:
        set_fused_attn(True)
    given = visuals(tower, (64, 64), (64, 64))
    with FlopCounterMode(display=False) as counter:
        tower(given)
    assert tower.flops(given.shapes) == counter.get_total_flops()


def test_weights_are_read_from_a_file(tmp_path):
    torch.save(fixed().model.state_dict(), tmp_path / "weights.pt")
    torch.manual_seed(5)
    tower = Timm(model="test_vit", size=64, pretrained=str(tmp_path / "weights.pt"))
    for name, value in fixed().model.state_dict().items():
        torch.testing.assert_close(tower.model.state_dict()[name], value, msg=name)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Timm(model="vit_tini_patch16_224"), "timm knows no model 'vit_tini_patch16_224'; vit_tiny"),
        (
            lambda: Timm(model="test_resnet"),
            "test_resnet is no plain ViT of square images; a name that begins",
        ),
        (lambda: Timm(model="vit_tiny_r_s16_p8_224"), "vit_tiny_r_s16_p8_224 is no plain ViT"),
        (
            lambda: Timm(model="test_vit", pretrained="no.pt"),
            "found no file 'no.pt' to take pretrained weights",
        ),
        (
            lambda: Timm(model="naflexvit_base_patch16_gap", size=64),
            "takes any grid; leave out size, which is 64",
        ),
        (lambda: Timm(model="test_vit", options={"dept": 1}), "test_vit could not be built: .*dept"),
        (
            lambda: fixed().token_grids([(1, 4, 6)]),
            "test_vit takes 64 x 64 pixels, a grid of 4 x 4, but found 1 x 4 x 6; a naflexvit model",
        ),
    ],
)
def test_errors_say_what_would_be_right(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
