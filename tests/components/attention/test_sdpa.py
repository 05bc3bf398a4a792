"""attention/sdpa against a dense reference that is written down token by token."""

import pytest
import torch
from attended import EQUAL, LONG, MASKS, RAGGED, SINGLE, dense, inputs, pictures

from vlmloom.components.attention import SDPA
from vlmloom.components.attention.plan import group, plan_for
from vlmloom.components.contracts.mask import (
    Bidirectional,
    BlockCausal,
    Causal,
    CausalWithImages,
    SlidingWindow,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("lengths", [RAGGED, EQUAL, SINGLE, LONG], ids=["ragged", "equal", "single", "long"])
def test_equals_dense_reference_forward_and_backward(name, lengths):
    total = sum(lengths)
    mask, parts = MASKS[name](total), inputs(total)
    expected = dense(*parts, lengths, mask)
    towards = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, parts, towards)
    got = SDPA()(*parts, lengths, mask)
    torch.testing.assert_close(got, expected)
    for one, other in zip(torch.autograd.grad(got, parts, towards), wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_one_layers_mask_serves_the_next_layer():
    mask = CausalWithImages(pictures(sum(RAGGED)))
    parts = inputs(sum(RAGGED))
    torch.testing.assert_close(SDPA()(*parts, RAGGED, mask), SDPA()(*parts, RAGGED, mask))


def test_scale_and_equal_heads():
    parts = inputs(sum(RAGGED), heads=2, kv_heads=2)
    got = SDPA()(*parts, RAGGED, Causal(), scale=0.3)
    torch.testing.assert_close(got, dense(*parts, RAGGED, Causal(), scale=0.3))


@pytest.mark.parametrize("lengths", [(), (0,), (0, 0)])
def test_nothing_to_attend_to(lengths):
    parts = inputs(0)
    out = SDPA()(*parts, lengths, Causal())
    assert out.shape == (0, 4, 8)


def test_equal_lengths_move_nothing():
    plan = plan_for((6, 0, 6, 6), CPU, False)
    assert plan.gather is None and len(plan.buckets) == 1 and plan.padded == plan.tokens == 18


def test_plan_is_shared_and_waste_is_bounded():
    lengths = tuple(torch.randint(20, 64, (100,), generator=torch.Generator().manual_seed(1)).tolist())
    plan = plan_for(lengths, CPU, False)
    assert plan_for(lengths, CPU, False) is plan
    assert plan.padded <= 1.25 * plan.tokens
    assert len(plan.buckets) < 12


def test_buckets_cost_no_more_than_one_for_all_or_one_each():
    lengths = sorted([5] * 40 + [6] * 40 + [300])
    assert group(lengths, False) == [80, 81]


@pytest.mark.parametrize(
    ("lengths", "heads", "mask", "message"),
    [
        ((3, 3), 4, Causal(), "lengths sum to 6, but there are 5 tokens"),
        ((5,), 3, Causal(), "2 kv heads do not divide 3 heads"),
        ((5,), 4, SlidingWindow(0), "a window holds at least the token itself"),
        ((5,), 4, BlockCausal(0), "a block holds at least one token"),
    ],
)
def test_errors_are_one_line(lengths, heads, mask, message):
    with pytest.raises(ValueError, match=message) as caught:
        SDPA()(*inputs(5, heads=heads), lengths, mask)
    assert "\n" not in str(caught.value)


def test_unknown_mask():
    with pytest.raises(TypeError, match="str is not a mask"):
        SDPA()(*inputs(5), (5,), "causal")


def test_a_plan_made_in_inference_mode_serves_a_training_step():
    lengths = [8, 3, 9, 80]
    query = torch.randn(100, 4, 8, requires_grad=True)
    for mask in (Bidirectional(), Causal(), BlockCausal(4)):
        with torch.inference_mode():
            SDPA()(query, query, query, lengths, mask)
        SDPA()(query, query, query, lengths, mask).sum().backward()
    assert query.grad is not None and torch.isfinite(query.grad).all()
