"""attention/sdpa against a dense reference that is written down token by token."""

import pytest
import torch

from vlmloom.components.attention import SDPA
from vlmloom.components.attention.plan import group, plan_for
from vlmloom.components.contracts.mask import (
    Bidirectional,
    BlockCausal,
    Causal,
    CausalWithImages,
    MessageTree,
    SlidingWindow,
)

RAGGED = (3, 1, 17, 0, 5, 17, 9, 40, 1, 33, 0, 6)
EQUAL = (8, 8, 8)
SINGLE = (19,)
# Beyond what a CPU takes by plain products, so that the fused kernel is tested too.
LONG = (70, 3, 66, 0, 90)
CPU = torch.device("cpu")


def pictures(total):
    numbers = torch.full((total,), -1)
    numbers[2:6], numbers[6:9], numbers[12:15] = 0, 1, 2
    return numbers


def branches(total):
    return torch.arange(total) // 4 % 3


def sees(mask, q, k, start):
    """Whether place q of a segment that starts at `start` sees place k of it."""
    match mask:
        case Bidirectional():
            return True
        case Causal():
            return k <= q
        case SlidingWindow(window):
            return q - window < k <= q
        case BlockCausal(block):
            return k // block <= q // block
        case CausalWithImages(picture, everywhere):
            a, b = picture[start + q].item(), picture[start + k].item()
            return k <= q or (a >= 0 and b >= 0 and (everywhere or a == b))
        case MessageTree(branch):
            a, b = branch[start + q].item(), branch[start + k].item()
            return k <= q and b in (0, a)


def dense(query, key, value, lengths, mask, scale=None):
    share = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(share, 1), value.repeat_interleave(share, 1)
    total = len(query)
    seen = torch.zeros(total, total, dtype=torch.bool)
    start = 0
    for length in lengths:
        for q in range(length):
            for k in range(length):
                seen[start + q, start + k] = sees(mask, q, k, start)
        start += length
    scores = torch.einsum("qhs,khs->hqk", query, key) * (scale or query.shape[-1] ** -0.5)
    return torch.einsum("hqk,khs->qhs", scores.masked_fill(~seen, -torch.inf).softmax(-1), value)


def inputs(total, heads=4, kv_heads=2, size=8):
    torch.manual_seed(0)
    shapes = ((total, heads, size), (total, kv_heads, size), (total, kv_heads, size))
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


MASKS = {
    "bidirectional": lambda total: Bidirectional(),
    "causal": lambda total: Causal(),
    "window": lambda total: SlidingWindow(4),
    "wide_window": lambda total: SlidingWindow(400),
    "block": lambda total: BlockCausal(3),
    "wide_block": lambda total: BlockCausal(400),
    "images": lambda total: CausalWithImages(pictures(total)),
    "all_images": lambda total: CausalWithImages(pictures(total), everywhere=True),
    "no_images": lambda total: CausalWithImages(torch.full((total,), -1)),
    "tree": lambda total: MessageTree(branches(total)),
    "trunk": lambda total: MessageTree(torch.zeros(total, dtype=torch.long)),
}


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
