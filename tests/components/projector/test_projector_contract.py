"""What every registered projector keeps. A new projector needs one line in `PROJECTORS`."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from vlmloom.components.contracts.patches import reorder
from vlmloom.components.contracts.spec import ShapeMismatch, Spec
from vlmloom.components.contracts.visuals import VisualFeatures
from vlmloom.registry import catalog

PROJECTORS = {
    "projector/linear": [{}, {"block": 2}],
    "projector/mlp": [{}, {"block": 2, "layers": 3, "hidden": 20}, {"layers": 1}],
    "projector/merger": [{}, {"block": 1}, {"hidden": 20, "limit": 0.5}],
}
NAMES = {entry.name for entry in catalog().list() if entry.name.startswith("projector/")}
CASES = [
    pytest.param(name, case, id=f"{name}-{case}")
    for name in sorted(NAMES)
    for case in PROJECTORS.get(name, [{}])
]
SHAPES = [(1, 4, 6), (1, 2, 2), (2, 2, 4)]


def build(name: str, case: dict):
    torch.manual_seed(0)
    return catalog().resolve(name)(in_width=12, out_width=16, **case)


def features(shapes=tuple(SHAPES), block=2) -> VisualFeatures:
    count = sum(frames * rows * columns for frames, rows, columns in shapes)
    tokens = torch.randn(count, 12, generator=torch.Generator().manual_seed(1))
    return VisualFeatures(tokens, list(shapes), block)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_forward_backward_and_shapes(name, case):
    projector = build(name, case)
    given = features()
    given.tokens.requires_grad_()
    projected, metrics = projector(given)
    grids = projector.merged_grids(SHAPES)
    assert projected.shapes == grids
    assert projected.tokens.shape == (sum(f * r * c for f, r, c in grids), 16)
    assert all(value.ndim == 0 for value in metrics.values())
    projected.tokens.square().mean().backward()
    assert given.tokens.grad.abs().sum() > 0
    assert not [name for name, parameter in projector.named_parameters() if parameter.grad is None]
    spec = projector.shapes(Spec("visual", 12, tuple(SHAPES)))
    assert (spec.stream, spec.width, spec.grids) == ("visual", 16, tuple(grids))
    with pytest.raises(ShapeMismatch, match=f"{name} takes visual of width 12, but is handed width 13"):
        projector.shapes(Spec("visual", 13))


@pytest.mark.parametrize(("name", "case"), CASES)
def test_packed_equals_one_by_one(name, case):
    projector, packed = build(name, case), features()
    parts = packed.tokens.split([f * r * c for f, r, c in SHAPES])
    alone = [
        projector(VisualFeatures(part, [shape], 2))[0].tokens
        for part, shape in zip(parts, SHAPES, strict=True)
    ]
    torch.testing.assert_close(projector(packed)[0].tokens, torch.cat(alone), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_the_order_of_the_given_tokens_does_not_matter(name, case):
    projector, grouped = build(name, case), features()
    plain = VisualFeatures(grouped.tokens[reorder(SHAPES, 2, 1)], SHAPES, 1)
    torch.testing.assert_close(projector(plain)[0].tokens, projector(grouped)[0].tokens, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_state_survives_saving(name, case, tmp_path):
    projector, other = build(name, case), build(name, case)
    with torch.no_grad():
        for parameter in projector.parameters():
            parameter.add_(torch.randn_like(parameter))
    torch.save(projector.state_dict(), tmp_path / "projector.pt")
    other.load_state_dict(torch.load(tmp_path / "projector.pt", weights_only=True))
    torch.testing.assert_close(other(features())[0].tokens, projector(features())[0].tokens, atol=0, rtol=0)


@pytest.mark.parametrize(("name", "case"), CASES)
def test_flops_are_those_counted(name, case):
    projector = build(name, case)
    with FlopCounterMode(display=False) as counter:
        projector(features())
    assert projector.flops(SHAPES) == counter.get_total_flops()


@pytest.mark.parametrize(("name", "case"), CASES)
def test_blank_gives_zero_gradients_and_not_none(name, case):
    projector = build(name, case)
    projected, _ = projector(VisualFeatures(torch.zeros(4, 12), [(1, 2, 2)], 2))
    (projected.tokens * 0.0).sum().backward()
    for parameter in projector.parameters():
        assert parameter.grad is not None and not parameter.grad.any()


def test_a_group_is_four_neighbours():
    linear = build("projector/linear", {"block": 2})
    given = VisualFeatures(torch.arange(8.0)[:, None].expand(8, 12).clone(), [(1, 2, 4)], 1)
    expected = torch.tensor([[0, 1, 4, 5], [2, 3, 6, 7.0]]).repeat_interleave(12, 1)
    torch.testing.assert_close(linear.group(given), expected)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            lambda: build("projector/linear", {"block": 0}),
            "projector/linear: found block 0; 1 .* would be right",
        ),
        (lambda: build("projector/mlp", {"layers": 0}), "projector/mlp: found 0 layers; 1 or more"),
        (
            lambda: build("projector/merger", {}).merged_grids([(1, 3, 4)]),
            "found a grid of 1 x 3 x 4; rows and columns divisible by block 2 would be right",
        ),
    ],
)
def test_errors_say_what_would_be_right(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
