"""Attention written down token by token, masks by name, and inputs."""

import torch

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
# Beyond what a CPU takes by plain products, and more than a block of FlexAttention.
LONG = (70, 3, 66, 0, 90)


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
