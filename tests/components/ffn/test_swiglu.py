"""ffn/swiglu against its formula."""

import pytest
import torch
from torch.nn import functional as F

from vlmloom.components.contracts.spec import Spec
from vlmloom.components.ffn import SwiGLU


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("limit", [None, 0.5])
def test_equals_formula(bias, limit):
    torch.manual_seed(0)
    ffn = SwiGLU(width=8, hidden=12, bias=bias, limit=limit, init_std=0.5)
    if bias:
        torch.nn.init.normal_(ffn.gate_up.bias)
    x = torch.randn(5, 8)
    both = F.linear(x, ffn.gate_up.weight, ffn.gate_up.bias)
    gate, up = both[:, :12], both[:, 12:]
    if limit is not None:
        assert (gate > limit).any() and (gate < -limit).any() and (up.abs() > limit).any()
        gate = torch.where(gate > limit, limit, gate)
        up = torch.where(up.abs() > limit, limit * up.sign(), up)
    expected = F.linear(gate * torch.sigmoid(gate) * up, ffn.down.weight, ffn.down.bias)
    out, metrics = ffn(x, [5])
    torch.testing.assert_close(out, expected)
    assert metrics == {}
    assert len(list(ffn.parameters())) == (4 if bias else 2)


def test_no_tokens_and_shapes():
    ffn = SwiGLU(width=8, hidden=12)
    assert ffn(torch.zeros(0, 8), [0])[0].shape == (0, 8)
    assert ffn.shapes(Spec("hidden", 8)) == Spec("hidden", 8)
    assert ffn.active_parameters() == 3 * 8 * 12


@pytest.mark.parametrize("wrong", [{"width": 0}, {"hidden": -1}, {"limit": 0.0}])
def test_errors_are_one_line(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=rf"^ffn/swiglu: {name} is {value}; it must be positive$"):
        SwiGLU(**{"width": 8, "hidden": 8, **wrong})
