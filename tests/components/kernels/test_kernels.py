"""rms_norm and linear_cross_entropy against PyTorch's own formulas, forth and back."""

import pytest
import torch
from largest import Largest
from torch.nn import functional as F

from vlmloom.components.kernels import RMSNorm, linear_cross_entropy, rms_norm


def gradients(loss, *inputs):
    return torch.autograd.grad(loss, inputs)


@pytest.mark.parametrize("shape", [(7, 16), (2, 3, 8), (1, 4), (0, 8)])
def test_norm_and_its_gradients_are_pytorchs(shape):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator).requires_grad_()
    weight = torch.rand(shape[-1], generator=generator).requires_grad_()
    cotangent = torch.randn(shape, generator=generator)
    ours = rms_norm(x, weight, 1e-5)
    theirs = F.rms_norm(x, (shape[-1],), weight, 1e-5)
    torch.testing.assert_close(ours, theirs)
    mine = gradients((ours * cotangent).sum(), x, weight)
    torch.testing.assert_close(mine, gradients((theirs * cotangent).sum(), x, weight))


def test_norm_of_zeros_is_finite_and_its_gradient_too():
    x = torch.zeros(2, 4, requires_grad=True)
    module = RMSNorm(4, eps=1e-5)
    module(x).sum().backward()
    assert torch.isfinite(x.grad).all()
    torch.testing.assert_close(x.grad, torch.full((2, 4), 1e-5**-0.5))


def test_norm_passes_gradcheck():
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(5, dtype=torch.float64, requires_grad=True)
    from vlmloom.components.kernels.rms_norm import _RMSNorm

    assert torch.autograd.gradcheck(lambda a, b: _RMSNorm.apply(a, b, 1e-5), (x, weight))


def test_a_norm_in_low_precision_is_pytorchs_own():
    x, module = torch.randn(3, 8, dtype=torch.bfloat16), RMSNorm(8, eps=1e-5).bfloat16()
    assert torch.equal(module(x), F.rms_norm(x, (8,), module.weight, 1e-5))


def test_a_norm_of_bf16_with_a_weight_in_fp32_is_taken_in_fp32_and_rounded_once(recwarn):
    x, module = torch.randn(300, 8).bfloat16().requires_grad_(), RMSNorm(8, eps=1e-5)
    with torch.no_grad():
        module.weight.uniform_(0.5, 2)
    out = module(x)
    assert torch.equal(out, F.rms_norm(x.float(), (8,), module.weight, 1e-5).bfloat16())
    out.sum().backward()
    assert x.grad.dtype == torch.bfloat16 and module.weight.grad.dtype == torch.float32
    assert not recwarn.list


def draw(targets, vocab=11, width=6):
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(targets, width, generator=generator).requires_grad_()
    weight = torch.randn(vocab, width, generator=generator).requires_grad_()
    target = torch.randint(0, vocab, (targets,), generator=generator)
    factor = torch.rand(targets, generator=generator)
    return hidden, weight, target, factor


@pytest.mark.parametrize("rows", [None, 1, 4, 9, 100])
def test_loss_and_gradients_are_those_of_the_plain_formula(rows):
    hidden, weight, target, factor = draw(9)
    loss, right = linear_cross_entropy(hidden, weight, target, factor, rows)
    logits = hidden @ weight.T
    plain = (F.cross_entropy(logits, target, reduction="none") * factor).sum()
    torch.testing.assert_close(loss, plain)
    assert int(right) == int((logits.argmax(-1) == target).sum())
    torch.testing.assert_close(gradients(3 * loss, hidden, weight), gradients(3 * plain, hidden, weight))


def test_no_targets_give_gradients_of_zero_and_not_none():
    hidden, weight, target, factor = draw(0)
    loss, right = linear_cross_entropy(hidden, weight, target, factor)
    assert loss.item() == 0 and right.item() == 0
    to_hidden, to_weight = gradients(loss, hidden, weight)
    assert to_hidden.shape == (0, 6) and torch.equal(to_weight, torch.zeros(11, 6))


def test_a_frozen_side_gets_no_gradient():
    hidden, weight, target, factor = draw(5)
    loss, _ = linear_cross_entropy(hidden, weight.detach(), target, factor)
    (to_hidden,) = gradients(loss, hidden)
    plain = (F.cross_entropy(hidden @ weight.detach().T, target, reduction="none") * factor).sum()
    torch.testing.assert_close(to_hidden, gradients(plain, hidden)[0])


def test_large_logits_overflow_nothing():
    hidden, weight, target, factor = draw(5)
    loss, _ = linear_cross_entropy(hidden * 1e3, weight * 1e3, target, factor)
    assert torch.isfinite(loss)


def test_under_autocast_products_are_in_its_dtype_and_the_loss_is_fp32():
    hidden, weight, target, factor = draw(9)
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = linear_cross_entropy(hidden, weight, target, factor)
    logits = (hidden.bfloat16() @ weight.bfloat16().T).float()
    plain = (F.cross_entropy(logits, target, reduction="none") * factor).sum()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, plain, rtol=1e-5, atol=1e-5)
    assert gradients(loss, hidden)[0].dtype == torch.float32


def test_no_more_than_the_rows_at_a_time_exist():
    """The peak of the forward pass grows with `rows`, not with the number of targets."""
    hidden, weight, target, factor = draw(64, vocab=512)
    with Largest() as largest:
        linear_cross_entropy(hidden, weight, target, factor, 4)
    assert largest.found <= 512 * 6
