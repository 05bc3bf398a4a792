"""What every registered tower keeps. A new tower needs one line in `TOWERS`."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from vlmloom import registry
from vlmloom.components.attention.sdpa import SDPA
from vlmloom.components.contracts.resizing import PixelBudget
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.contracts.visuals import Visuals
from vlmloom.components.ffn.swiglu import SwiGLU
from vlmloom.registry import catalog
from vlmloom.registry.errors import ConfigError

SMALL = {"embed_dim": 32, "depth": 2, "num_heads": 2}
FFN = {"ffn": {"use": "ffn/swiglu", "hidden": 48}}
LANGUAGE = {"use": "language/glm", "vocab": 1, "width": 32, "depth": 2, "heads": 2, "layers": [FFN, FFN]}
TOWERS = {
    "vision/cogvit": {
        "width": 32,
        "depth": 2,
        "heads": 2,
        "patch": 8,
        "attention": SDPA(),
        "ffn": partial(SwiGLU, bias=True),
    },
    "vision/aimv2_glm": {"width": 32, "depth": 2, "heads": 2, "hidden": 48, "patch": 8, "table": 3},
    "vision/dinov3": {"width": 32, "depth": 2, "heads": 2, "hidden": 48, "patch": 8},
    "vision/llm_init": {"language": LANGUAGE, "patch": 8, "clip_merge": 1},
    "vision/timm": {"model": "naflexvit_base_patch16_gap", "options": SMALL},
}
NAMES = [entry.name for entry in catalog().list() if entry.name.startswith("vision/")]


def build(name: str):
    torch.manual_seed(0)
    # A tower takes the blocks of its language part, so each has its own.
    made = {key: registry.build(value) if key == "language" else value for key, value in TOWERS[name].items()}
    return catalog().resolve(name)(**made)


def visuals(tower, *shapes) -> Visuals:
    count = sum(frames * rows * columns for frames, rows, columns in shapes)
    patches = torch.randn(count, 3 * tower.patch_spec.patch**2, generator=torch.Generator().manual_seed(1))
    return Visuals(patches, torch.tensor(shapes), list(shapes), 2)


SHAPES = ((1, 4, 2), (1, 2, 2), (2, 2, 4))


@pytest.mark.parametrize("name", NAMES)
def test_forward_backward_and_shapes(name):
    tower = build(name)
    given = visuals(tower, *SHAPES)
    features, metrics = tower(given)
    grids = tower.token_grids(given.shapes)
    assert features.shapes == grids and features.block == 2
    assert features.tokens.shape == (sum(f * r * c for f, r, c in grids), tower.out_width)
    assert all(value.ndim == 0 for value in metrics.values())
    features.tokens.square().mean().backward()
    missing = [name for name, parameter in tower.named_parameters() if parameter.grad is None]
    assert not missing
    spec = tower.shapes(Spec("patches", given.patches.shape[1], SHAPES))
    assert (spec.stream, spec.width, spec.grids) == ("visual", tower.out_width, tuple(grids))


@pytest.mark.parametrize("name", NAMES)
def test_packed_equals_one_by_one(name):
    tower = build(name).eval()
    packed = visuals(tower, *SHAPES)
    parts = packed.patches.split([f * r * c for f, r, c in SHAPES])
    alone = [
        tower(Visuals(part, torch.tensor([shape]), [shape], 2))[0].tokens
        for part, shape in zip(parts, SHAPES, strict=True)
    ]
    torch.testing.assert_close(tower(packed)[0].tokens, torch.cat(alone), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_blank_gives_zero_gradients_and_not_none(name):
    tower = build(name)
    blank = Visuals.blank(tower.patch_spec.with_block(2))
    features, _ = tower(blank)
    (features.tokens * blank.weight).sum().backward()
    for parameter in tower.parameters():
        assert parameter.grad is not None and not parameter.grad.any()


@pytest.mark.parametrize("name", NAMES)
def test_state_survives_saving(name, tmp_path):
    tower, other = build(name).eval(), build(name).eval()
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    torch.save(tower.state_dict(), tmp_path / "tower.pt")
    other.load_state_dict(torch.load(tmp_path / "tower.pt", weights_only=True))
    given = visuals(tower, *SHAPES)
    torch.testing.assert_close(other(given)[0].tokens, tower(given)[0].tokens, atol=0, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_stays_bfloat16_and_near(name):
    tower = build(name).eval()
    given = visuals(tower, *SHAPES)
    exact = tower(given)[0].tokens
    given.patches = given.patches.bfloat16()
    rough = tower.to(torch.bfloat16)(given)[0].tokens
    assert rough.dtype == torch.bfloat16
    assert (rough - exact).norm() < 0.1 * exact.norm()


@pytest.mark.parametrize("name", NAMES)
def test_flops_add_up_over_pictures(name):
    tower = build(name)
    assert tower.flops(SHAPES) == sum(tower.flops([shape]) for shape in SHAPES) > 0


@pytest.mark.parametrize("name", ["vision/cogvit", "vision/aimv2_glm"])
def test_a_yaml_names_the_rules_of_size_and_frames(name):
    plain = {key: value for key, value in TOWERS["vision/aimv2_glm"].items() if key != "table"}
    resize = {"still": [12544, 47040000], "pad": True}
    made = registry.build({"use": name, **plain, "resize": resize, "sampling": "glm46v"})
    assert made.patch_spec.resize == PixelBudget(still=(12544, 47040000), pad=True)
    assert made.patch_spec.sampling == "glm46v"
    with pytest.raises(ConfigError, match=r"resize\.stills: PixelBudget has no such key"):
        registry.build({"use": name, **plain, "resize": {"stills": [1, 2]}})
