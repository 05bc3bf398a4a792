"""Parameters that get their first values when they are needed equal those that have them at once."""

import copy

import pytest
import torch
from torch import nn

from vlmloom.pipelines.deferred import deferred, give, materialise, take, values, weights_of
from vlmloom.pipelines.weights.sources import Mapped
from vlmloom.pipelines.weights.starting import start_from
from vlmloom.registry.build import build
from vlmloom.registry.compose import compose

TRUNCATED = nn.init.trunc_normal_
"""As code has it that imported the function itself."""


def both(make):
    """The same built at once and deferred, each from the same seed, and what the generator gives next."""
    torch.manual_seed(3)
    whole, next_whole = make(), torch.rand(1)
    torch.manual_seed(3)
    later, next_later = deferred(make), torch.rand(1)
    assert torch.equal(next_whole, next_later)
    return whole, later


@pytest.mark.parametrize("design", ["native", "adapter", "cascade"])
def test_first_values_are_those_of_a_model_that_is_built_at_once(design):
    whole, later = both(lambda: build(compose(design)))
    matrices = [parameter for parameter in later.parameters() if parameter.ndim > 1 and len(parameter) > 1]
    assert matrices and all(matrix.is_meta for matrix in matrices)
    assert not any(buffer.is_meta for buffer in later.buffers())
    kept = dict(later.named_parameters())
    told = {name: vars(parameter) for name, parameter in whole.named_parameters()}
    torch.manual_seed(7)  # What is drawn later is not drawn from where the generator stands by then.
    materialise(later)
    for (name, own), (_, other) in zip(whole.state_dict().items(), later.state_dict().items(), strict=True):
        assert torch.equal(own, other) and own.stride() == other.stride(), name
    for name, parameter in later.named_parameters():
        assert not parameter.is_meta and parameter is kept[name] and vars(parameter) == told[name], name


class Odd(nn.Module):
    """Fills parts, changes what was filled, copies what was filled, and ties."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(20, 30)
        with torch.no_grad():
            self.one.weight[:3].fill_(2.0)
            self.one.weight.mul_(0.5)
            self.one.bias[4] = 7.0
        self.two = copy.deepcopy(self.one)
        self.three = nn.Linear(20, 30, bias=False)
        self.three.weight = self.one.weight
        self.drawn = nn.Parameter(torch.randn(4))
        self.four = nn.Parameter(nn.init.trunc_normal_(torch.empty(30, 20)))
        self.register_buffer("five", torch.empty(3).fill_(1.5))
        with torch.no_grad():
            self.two.bias.copy_(self.one.bias)


def test_whatever_is_done_in_place_is_done_again():
    whole, later = both(Odd)
    assert later.one.weight.is_meta and not later.drawn.is_meta
    twin = weights_of(later)
    materialise(later)
    assert later.three.weight is later.one.weight
    for name, value in whole.state_dict().items():
        assert torch.equal(later.state_dict()[name], value), name
        assert torch.equal(twin[name], value), name


class Computed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(3, 3).normal_() @ torch.eye(3))


class Asking(nn.Linear):
    def __init__(self) -> None:
        super().__init__(4, 4)
        self.scale = float(self.weight.detach().norm())


class Unseen(nn.Linear):
    """Fills by a function that leaves a tensor without memory as it is."""

    def __init__(self) -> None:
        super().__init__(30, 20)
        TRUNCATED(self.weight)


@pytest.mark.parametrize("make", [Computed, Asking, Unseen])
def test_what_cannot_be_made_later_is_built_whole(make):
    whole, later = both(make)
    assert not later.weight.is_meta and torch.equal(later.weight, whole.weight)


@pytest.mark.parametrize("kind", ["qwen3", "mamba"])
def test_models_of_transformers(kind, tmp_path):
    transformers = pytest.importorskip("transformers")
    sizes = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 1}
    config = sizes | {"model_type": kind} | ({"num_attention_heads": 2} if kind == "qwen3" else {})
    described = transformers.AutoConfig.for_model(**config)
    transformers.AutoModelForCausalLM.from_config(described).save_pretrained(tmp_path)
    for given in ({"config": config}, {"folder": str(tmp_path)}):
        whole, later = both(lambda given=given: build({"use": "language/hf", **given}))
        assert any(one.is_meta for one in later.parameters()) == (kind == "qwen3" and "config" in given)
        materialise(later)
        for (name, own), (_, other) in zip(
            whole.state_dict().items(), later.state_dict().items(), strict=True
        ):
            assert torch.equal(own, other), name


def test_other_values_are_read_when_they_are_needed():
    layer = deferred(lambda: nn.Linear(2, 2))
    read = []
    give(layer.bias, lambda: read.append(1) or torch.tensor([1.0, 2.0]))
    assert not read
    assert values(layer.bias).tolist() == [1.0, 2.0] and read
    take(layer, {"weight": torch.eye(2), "bias": torch.ones(2)})
    materialise(layer)
    assert torch.equal(layer.weight, torch.eye(2)) and layer.bias.tolist() == [1.0, 1.0]
    with pytest.raises(RuntimeError, match="size mismatch"):
        take(deferred(lambda: nn.Linear(2, 3)), {"weight": torch.eye(2), "bias": torch.ones(2)})


def test_a_start_from_other_weights_is_that_of_a_model_that_is_built_at_once():
    torch.manual_seed(0)
    donor = build(compose("native"))
    source = Mapped({name: value.clone() for name, value in donor.state_dict().items()})
    whole, later = both(lambda: build(compose("native")))
    told = [start_from(model, donor, source, "folder", ["vision", "language"]) for model in (whole, later)]
    assert told[0] == told[1] and told[0].count
    materialise(later)
    assert not torch.equal(whole.head["lm"].unembed.weight, donor.head["lm"].unembed.weight)
    for (name, own), (_, other) in zip(whole.state_dict().items(), later.state_dict().items(), strict=True):
        assert torch.equal(own, other), name
