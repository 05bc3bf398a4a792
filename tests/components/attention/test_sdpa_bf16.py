"""Training in bf16 on a CPU: short segments as products, long ones by the fused kernel in fp32."""

import pytest
import torch

from vlmloom.components.attention.sdpa import SDPA
from vlmloom.components.contracts.mask import Causal

LONG, MIDDLING = (600, 20), (300, 170)


def parts_of(lengths):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(sum(lengths), heads, 16, generator=generator) for heads in (4, 2, 2)]


def attended(parts, lengths, autocast=False):
    parts = [part.clone().requires_grad_() for part in parts]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        out = SDPA()(*parts, lengths, Causal())
    out.float().square().sum().backward()
    return [out.detach(), *(part.grad for part in parts)]


def eager(parts, lengths):
    """Attention as transformers writes it: scores in bf16, softmax in fp32."""
    parts = [part.bfloat16().requires_grad_() for part in parts]
    outs = []
    for query, key, value in zip(*(part.split(lengths) for part in parts), strict=True):
        key, value = (part.repeat_interleave(2, 1).transpose(0, 1) for part in (key, value))
        scores = query.transpose(0, 1) @ key.mT * 16**-0.5
        hidden = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1)
        weights = scores.masked_fill(hidden, float("-inf")).softmax(-1, dtype=torch.float32)
        outs.append((weights.bfloat16() @ value).transpose(0, 1))
    out = torch.cat(outs)
    out.float().square().sum().backward()
    return [out.detach(), *(part.grad for part in parts)]


def test_the_fused_kernel_is_not_lowered_by_autocast():
    parts = parts_of(LONG[:1])
    for found, wanted in zip(
        attended(parts, LONG[:1], autocast=True), attended(parts, LONG[:1]), strict=True
    ):
        assert found.dtype == torch.float32 and torch.equal(found, wanted)


def test_long_segments_in_bf16_are_rounded_at_the_ends_alone():
    parts = [part.bfloat16() for part in parts_of(LONG[:1])]
    out, *slopes = attended(parts, LONG[:1])
    assert out.dtype == torch.bfloat16 and all(slope.dtype == torch.bfloat16 for slope in slopes)
    with torch.no_grad():
        wanted = SDPA()(*(part.float() for part in parts), LONG[:1], Causal())
    assert torch.equal(out, wanted.bfloat16())


@pytest.mark.parametrize("autocast", [True, False], ids=["autocast", "bf16 weights"])
def test_products_in_bf16_are_as_near_to_fp32_as_eager_attention(autocast):
    parts = [part.bfloat16().float() for part in parts_of(MIDDLING)]
    exact = attended(parts, MIDDLING)
    given = parts if autocast else [part.bfloat16() for part in parts]
    for own, peer, right in zip(
        attended(given, MIDDLING, autocast), eager(parts, MIDDLING), exact, strict=True
    ):
        assert 0 < (own.float() - right).norm() <= 1.2 * (peer.float() - right).norm()


def test_segments_of_both_kinds_stand_in_one_pack():
    parts = parts_of(LONG)
    both = attended(parts, LONG, autocast=True)[0]
    alone = [
        attended([part.split(LONG)[index] for part in parts], LONG[index : index + 1], autocast=True)[0]
        for index in range(2)
    ]
    assert torch.equal(both.float(), torch.cat([out.float() for out in alone]))
