"""moe/megablocks: weights go both ways exactly, and its kernels are told what moe/sigmoid_bias computes.

MegaBlocks builds only where a GPU is, so its kernels are stood in for by what they are documented to do; with
a CUDA device and MegaBlocks installed the real ones are compared.
"""

import importlib.util
import sys
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from vlmloom.components.contracts.factors import Factors
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.moe import MegaBlocks, SigmoidBias
from vlmloom.components.moe.megablocks import from_megablocks, to_megablocks
from vlmloom.components.optimizer.muon_adamw import MuonAdamW
from vlmloom.registry.errors import UserError

SIZES = {"width": 16, "hidden": 8, "experts": 4, "top_k": 2, "init_std": 0.4, "limit": 0.8}


def pair():
    """Both kinds with the same weights."""
    torch.manual_seed(0)
    shared = partial(SwiGLU, hidden=12)
    one, other = SigmoidBias(shared=shared, **SIZES), MegaBlocks(shared=shared, **SIZES)
    one.selection_bias += torch.linspace(-0.1, 0.1, 4)
    other.load_state_dict(to_megablocks(one.state_dict()))
    return one, other


def gather(x, indices, bin_ids, bins, top_k):
    return x[indices.long() // top_k]


def scatter(x, indices, bin_ids, weights, bins, top_k):
    weighted = x * weights[indices.long(), None]
    out = x.new_zeros(len(indices) // top_k, x.shape[1])
    return out.index_add(0, indices.long() // top_k, weighted)


def gmm(a, b, sizes, trans_b=False):
    assert sizes.device.type == "cpu" and a.dtype == b.dtype == torch.bfloat16
    pairs = zip(a.split(sizes.tolist()), b, strict=True)
    parts = [rows @ (matrix.mT if trans_b else matrix) for rows, matrix in pairs]
    return torch.cat(parts)


@pytest.fixture
def kernels(monkeypatch):
    """MegaBlocks' kernels, by what they are documented to do."""
    ops = SimpleNamespace(gather=gather, scatter=scatter)
    module = SimpleNamespace(ops=ops, grouped_gemm_util=SimpleNamespace(ops=SimpleNamespace(gmm=gmm)))
    monkeypatch.setitem(sys.modules, "megablocks", module)
    monkeypatch.setattr(MegaBlocks, "available", classmethod(lambda cls: None))


def test_weights_round_trip_exactly():
    one, other = pair()
    model = nn.ModuleDict({"a": one, "b": nn.Sequential(SigmoidBias(**SIZES)), "c": nn.Linear(2, 2)})
    state = model.state_dict()
    converted = to_megablocks(state)
    assert {"a.experts.w1", "a.experts.v1", "b.0.experts.w2", "c.weight", "a.router"} <= converted.keys()
    assert not any(key.endswith(("gate_up", "down")) for key in converted if "experts" in key)
    assert converted["a.experts.w2"].shape == (4 * 8, 16)
    back = from_megablocks(converted)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)
    assert all(
        torch.equal(other.state_dict()[key], value)
        for key, value in to_megablocks(from_megablocks(other.state_dict())).items()
    )


def test_layout_is_that_of_the_gated_matrices():
    one, other = pair()
    gate, up = one.experts.gate_up[2].chunk(2)
    rows = slice(2 * 8, 3 * 8)
    assert torch.equal(other.experts.w1[rows], gate) and torch.equal(other.experts.v1[rows], up)
    assert torch.equal(other.experts.w2[rows], one.experts.down[2].T)


def test_kernels_are_told_what_sigmoid_bias_computes(kernels):
    one, other = pair()
    x = torch.randn(23, 16, requires_grad=True)
    twin = x.detach().clone().requires_grad_()
    (out, parts), (got, told) = one(x, [23]), other(twin, [23])
    assert got.dtype == x.dtype
    torch.testing.assert_close(got, out, atol=3e-2, rtol=3e-2)
    assert torch.equal(told["loss/expert_balance"], parts["loss/expert_balance"])
    assert torch.equal(one.load, other.load)
    towards = torch.randn_like(out)
    for value in (out, got):
        (value * towards).sum().backward()
    down = other.experts.w2.grad.unflatten(0, (4, 8)).mT
    for got, wanted in (
        (twin.grad, x.grad),
        (down, one.experts.down.grad),
        (other.router.grad, one.router.grad),
    ):
        assert (got - wanted).norm() < 0.03 * wanted.norm()


def test_no_tokens_give_gradients_of_zero(kernels):
    _, other = pair()
    out, _ = other(torch.zeros(0, 16), [])
    assert out.shape == (0, 16)
    out.sum().backward()
    for weight in other.experts.parameters():
        assert weight.grad is not None and not weight.grad.any()


def test_muon_takes_each_expert_for_a_matrix_of_its_own():
    _, other = pair()
    optimizer = MuonAdamW().build([(other.named_parameters(), Factors())])
    assert optimizer.splits[other.experts.w1] == (8, 8, 8, 8)


def test_without_megablocks_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    _, other = pair()
    with pytest.raises(UserError) as caught:
        other(torch.randn(3, 16), [3])
    (line,) = caught.value.lines
    print(line)
    assert line.startswith('moe/megablocks: megablocks is not installed; pip install "vlmloom[megablocks]"')
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert MegaBlocks.available() == (
        "moe/megablocks: runs on CUDA alone, and this machine has no CUDA device"
    )


@pytest.mark.parametrize(
    ("change", "convert", "told"),
    [
        ({"experts.down": None}, to_megablocks, "the state dict lacks experts.down"),
        ({"experts.w2": None}, from_megablocks, "the state dict lacks experts.w2"),
        ({"selection_bias": None}, from_megablocks, "found experts.w1 but no selection_bias"),
    ],
)
def test_a_state_dict_that_lacks_a_tensor_is_one_line(change, convert, told):
    one, other = pair()
    state = (one if convert is to_megablocks else other).state_dict()
    state = {key: value for key, value in state.items() if key not in change}
    with pytest.raises(ValueError, match=told) as caught:
        convert(state)
    assert "\n" not in str(caught.value)


@pytest.mark.gpu
def test_on_cuda_it_equals_sigmoid_bias():
    if MegaBlocks.available() is not None:
        pytest.skip(MegaBlocks.available())
    sizes = SIZES | {"width": 256, "hidden": 128}
    torch.manual_seed(0)
    one, other = SigmoidBias(**sizes).cuda(), MegaBlocks(**sizes).cuda()
    other.load_state_dict(to_megablocks(one.state_dict()))
    x = torch.randn(300, 256, device="cuda")
    with torch.autocast("cuda", torch.bfloat16):
        torch.testing.assert_close(other(x, [300])[0], one(x, [300])[0], atol=5e-2, rtol=5e-2)
