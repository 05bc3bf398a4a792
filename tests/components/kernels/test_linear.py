"""A few rows turned over are the same product, and what has gradients or is traced is left alone."""

import pytest
import torch

from vlmloom.components.kernels.linear import MOST, Linear


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("rows", range(1, MOST + 3))
@pytest.mark.parametrize("bias", [True, False])
def test_the_product_is_that_of_a_linear_layer(two_threads, rows, bias):
    torch.manual_seed(0)
    layer = Linear(24, 40, bias=bias)
    plain = torch.nn.Linear(24, 40, bias=bias)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(rows, 24)
    with torch.inference_mode():
        out = layer(x)
        torch.testing.assert_close(out, plain(x), atol=1e-5, rtol=1e-5)
    assert out.is_contiguous()


def test_a_few_rows_are_turned_over_and_nothing_else_is(two_threads, monkeypatch):
    calls = []
    monkeypatch.setattr(
        torch.nn.functional, "linear", lambda x, weight, bias=None: calls.append(len(x)) or x @ weight.t()
    )
    layer, few, many = Linear(4, 4, bias=False), torch.randn(3, 4), torch.randn(MOST + 1, 4)
    with torch.inference_mode():
        layer(few)
        assert calls == []
        layer(many), layer(few[:1]), layer(few[None])
        torch.set_num_threads(1)
        layer(few)
        torch.set_num_threads(2)
        layer.bfloat16()(few.bfloat16())
    layer.float()(few).sum().backward()
    assert calls == [MOST + 1, 1, 1, 3, 3, 3] and layer.weight.grad is not None
