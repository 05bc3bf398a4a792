"""In training on a CPU the fused kernel runs in fp32, whatever autocast says."""

import torch

from vlmloom.components.attention.sdpa import SDPA
from vlmloom.components.contracts.mask import Causal


def attended(dtype, autocast):
    generator = torch.Generator().manual_seed(0)
    parts = [
        torch.randn(200, heads, 16, generator=generator).to(dtype).requires_grad_() for heads in (4, 2, 2)
    ]
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        out = SDPA()(*parts, [100, 100], Causal())
    out.float().square().sum().backward()
    return out, [part.grad for part in parts]


def test_autocast_does_not_lower_what_comes_in_fp32():
    wanted, slopes = attended(torch.float32, autocast=False)
    found, others = attended(torch.float32, autocast=True)
    assert found.dtype == torch.float32 and torch.equal(found, wanted)
    assert all(torch.equal(one, other) for one, other in zip(slopes, others, strict=True))


def test_bf16_comes_out_as_bf16_and_is_rounded_at_the_ends_alone():
    out, slopes = attended(torch.bfloat16, autocast=False)
    assert out.dtype == torch.bfloat16 and all(slope.dtype == torch.bfloat16 for slope in slopes)
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(200, heads, 16, generator=generator).bfloat16().float() for heads in (4, 2, 2)]
    with torch.no_grad():
        wanted = SDPA()(*parts, [100, 100], Causal())
    assert torch.equal(out, wanted.bfloat16())
