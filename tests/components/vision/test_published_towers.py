"""Our towers and merger beside those of transformers: outputs, and gradients of every parameter."""

from __future__ import annotations

import pytest
import torch
from glm_towers import AIMV2, COGVIT, as_reference, built, draw, merger_state, reference, tower_state

from vlmloom.components.vision.aimv2_glm import AIMv2GLM

pytest.importorskip("transformers")

STILL = [(1, 4, 6)]
STILLS = [(1, 4, 6), (1, 2, 2), (1, 14, 2), (1, 10, 10)]
CLIP = [(4, 2, 4)]
MIXED = [(1, 4, 4), (4, 2, 4), (1, 2, 6), (2, 6, 4)]
SIZES = {
    "plain": {},
    "wide": {"hidden_size": 48, "num_heads": 4, "depth": 3, "intermediate_size": 40, "out_hidden_size": 16},
    "other": {
        "hidden_size": 16, "num_heads": 4, "depth": 1, "patch_size": 2, "image_size": 14,
        "rms_norm_eps": 1e-3, "temporal_patch_size": 3,
    },
}  # fmt: skip


def relative(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float(((ours - theirs).norm() / theirs.norm().clamp(min=1e-7)).detach())


@pytest.mark.parametrize("shapes", [STILL, STILLS, CLIP, MIXED], ids=["still", "stills", "clip", "mixed"])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("family", [*COGVIT, *AIMV2])
def test_outputs_and_gradients(family, sizes, shapes):
    model = reference(family, **SIZES[sizes])
    tower, merger = built(model.config)
    state = model.state_dict()
    tower.load_state_dict(tower_state(state))
    merger.load_state_dict(merger_state(state))
    temporal = model.config.temporal_patch_size
    shapes = [(frames // 2 * temporal or 1, rows, columns) for frames, rows, columns in shapes]
    given = draw(shapes, model.config.patch_size)

    seen = {}
    model.post_layernorm.register_forward_hook(lambda *call: seen.update(encoded=call[-1]))
    hidden, grids = as_reference(given, temporal)
    theirs = model(hidden, grid_thw=grids).pooler_output
    features, _ = tower(given)
    ours, _ = merger(features)
    torch.testing.assert_close(features.tokens, seen["encoded"], atol=2e-4, rtol=0)
    torch.testing.assert_close(ours.tokens, theirs, atol=2e-4, rtol=0)

    slope = torch.randn_like(theirs)
    (theirs * slope).sum().backward()
    (ours.tokens * slope).sum().backward()
    wanted = {name: parameter.grad for name, parameter in model.named_parameters()}
    for module, expected in ((tower, tower_state(wanted)), (merger, merger_state(wanted))):
        found = {name: parameter.grad for name, parameter in module.named_parameters()}
        assert found.keys() == expected.keys()
        apart = {name: relative(found[name], expected[name]) for name in found}
        assert max(apart.values()) < 1e-3, apart
    assert all(grad.norm() > 0 for grad in wanted.values()), "every weight is put to the test"


@pytest.mark.parametrize("family", ["glm_ocr", "glm5_next"])
def test_a_clip_of_the_reference_is_one_item(family):
    """The CogViT family also takes a clip as one item; the towers before it fail on that."""
    model = reference(family)
    tower, merger = built(model.config)
    tower.load_state_dict(tower_state(model.state_dict()))
    merger.load_state_dict(merger_state(model.state_dict()))
    given = draw([(6, 2, 4)], 4)
    hidden, _ = as_reference(given)
    theirs = model(hidden, grid_thw=torch.tensor([[3, 2, 4]])).pooler_output
    torch.testing.assert_close(merger(tower(given)[0])[0].tokens, theirs, atol=2e-4, rtol=0)


def test_the_clamp_is_reached():
    """With the clamp of `glm5_next` off the outputs are others: what is equal above are clamped blocks."""
    model = reference("glm5_next")
    tower, _ = built(model.config)
    tower.load_state_dict(tower_state(model.state_dict()))
    given = draw(STILL, 4)
    clamped = tower(given)[0].tokens
    for block in tower.blocks:
        assert block.ffn.limit == 0.3
        block.ffn.limit = None
    assert relative(tower(given)[0].tokens, clamped) > 1e-2


@pytest.mark.parametrize("shapes", [[(1, 24, 24)], [(1, 2, 60)], [(1, 6, 40), (1, 34, 2)]])
def test_positions_are_those_of_grid_sample(shapes):
    """At the published table of 24 x 24: the table itself at its own grid, cubic between and beyond."""
    torch.manual_seed(0)
    tower = AIMv2GLM(width=8, depth=1, heads=2, hidden=8, patch=2)
    table = tower.positions.weight.detach().T.reshape(1, 8, 24, 24)
    expected = []
    for _, rows, columns in shapes:
        x, y = ((torch.arange(length) + 0.5) / length * 2 - 1 for length in (columns, rows))
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)[None]
        sampled = torch.nn.functional.grid_sample(
            table, grid, mode="bicubic", padding_mode="border", align_corners=False
        )
        expected.append(sampled[0].flatten(1).T)
    found = tower.positions(list(shapes), 1)
    torch.testing.assert_close(found, torch.cat(expected), atol=1e-5, rtol=0)
    if shapes == [(1, 24, 24)]:
        torch.testing.assert_close(found, tower.positions.weight, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("family", "millions"), [("glm_ocr", 404.2), ("glm5_next", 404.2), ("glm4v", 682.2)])
def test_published_sizes_have_as_many_parameters(family, millions):
    import transformers as hf
    from transformers.models.glm5_next.modeling_glm5_next import Glm5NextVisionConfig, Glm5NextVisionModel

    config, model = {
        "glm_ocr": (hf.GlmOcrVisionConfig, hf.GlmOcrVisionModel),
        "glm5_next": (Glm5NextVisionConfig, Glm5NextVisionModel),
        "glm4v": (hf.Glm4vVisionConfig, hf.Glm4vVisionModel),
    }[family]
    with torch.device("meta"):
        theirs = model(config())
        ours = built(theirs.config)
    tower, merger = (sum(parameter.numel() for parameter in part.parameters()) for part in ours)
    assert round(tower / 1e6, 1) == millions
    assert tower + merger == sum(parameter.numel() for parameter in theirs.parameters())
