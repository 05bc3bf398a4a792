"""Activations that are computed again: the same numbers from fewer bytes, chosen part by part."""

import copy
import sys
from pathlib import Path

import pytest
import torch
from tiny import SPARSE, native, pack, prompt

from vlmloom.assemblies.recompute import Recomputed, compute_again
from vlmloom.registry.build import build
from vlmloom.registry.compose import compose
from vlmloom.registry.errors import ConfigError

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.memory import Living

FULL = {"vision": "full", "projector": "full", "language": "full", "head": "full"}
SELECTIVE = dict.fromkeys(FULL, "selective")
MIXED = {"vision": "full", "projector": "selective"}


def batch_of(model):
    """Segments of more than 64 tokens, which go through PyTorch's fused attention."""
    return pack(model, [prompt(90, (9, 9), 20), prompt((2, 3), 12, seed=1), prompt(80, seed=2)])


def kept(model) -> int:
    """The bytes that live between forward and backward, beside weights and batch."""
    batch = batch_of(model)
    model.loss(batch)
    batch.extras.clear()
    known = [*model.parameters(), *model.buffers(), batch.ids, batch.positions]
    with Living(known) as living:
        loss, metrics = model.loss(batch)
        del metrics
        batch.extras.clear()
        held = living.now
    del loss
    return held


def gradients(model, loss) -> dict[str, torch.Tensor]:
    loss.backward()
    return {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("dsa", [False, True])
@pytest.mark.parametrize("policies", [FULL, SELECTIVE, MIXED], ids=["full", "selective", "mixed"])
def test_losses_gradients_and_counted_tokens_are_the_same(policies, dsa):
    plain = native(dsa=dsa).train()
    again = copy.deepcopy(plain)
    compute_again(again, policies)
    assert list(again.state_dict()) == list(plain.state_dict())
    for model in (plain, again):
        model.found, _ = model.loss(batch_of(model))
        model.slopes = gradients(model, model.found)
    assert torch.equal(plain.found, again.found)
    assert plain.slopes.keys() == again.slopes.keys()
    for name, slope in plain.slopes.items():
        torch.testing.assert_close(again.slopes[name], slope, rtol=0, atol=0, msg=name)
    for name, counted in plain.named_buffers():
        assert torch.equal(dict(again.named_buffers())[name], counted), name


def test_bytes_fall_by_part_and_by_policy():
    found = {}
    each = [{}, *({part: "full"} for part in FULL), MIXED, SELECTIVE, FULL]
    for policies in each:
        model = native().train()
        compute_again(model, policies)
        found[str(policies)] = kept(model)
    print(found)
    whole, *single, mixed, selective, full = found.values()
    assert all(value < whole for value in single)
    assert len(set(single)) == len(single), "each part has activations of its own"
    assert full < selective < whole and full < mixed < single[0]
    # What parts save by themselves they save together.
    assert whole - full == pytest.approx(sum(whole - value for value in single), rel=0.05)


def test_nothing_is_computed_again_without_gradients(monkeypatch):
    from vlmloom.assemblies import recompute

    def refuse(*args, **kwargs):
        raise AssertionError("there is no way back")

    monkeypatch.setattr(recompute, "checkpoint", refuse)
    model = native()
    compute_again(model, FULL)
    with torch.no_grad():
        model.loss(batch_of(model))
    with pytest.raises(AssertionError, match="no way back"):
        model.loss(batch_of(model))


def test_a_copy_computes_its_own_blocks_again():
    model = native(layers=[SPARSE])
    compute_again(model, {"language": "full"})
    twin = copy.deepcopy(model)
    block = twin.language.blocks[0]
    assert isinstance(block.forward, Recomputed)
    assert block.forward.forward.__self__ is block is not model.language.blocks[0]


def test_from_yaml():
    model = build(compose("native", sets=["recompute={vision: full, projector: selective}"]))
    again = {
        name: module.forward.policy
        for name, module in model.named_modules()
        if isinstance(module.forward, Recomputed)
    }
    assert again == {f"vision.blocks.{n}": "full" for n in range(4)} | {"projector": "selective"}
    text = build(compose("adapter", sets=["recompute={text: full}"]))
    assert isinstance(text.text.blocks[0].forward, Recomputed)


@pytest.mark.parametrize(
    ("design", "policies", "told"),
    [
        ("native", "{tongue: full}", "tongue: found no such part; vision, projector, language, head would"),
        ("adapter", "{align: full}", "align: found a part without units that could be computed"),
        ("cascade", "{language: some}", "needs 'none' or 'selective' or 'full'"),
    ],
)
def test_what_cannot_be_computed_again_is_one_line(design, policies, told):
    with pytest.raises(ConfigError) as caught:
        build(compose(design, sets=[f"recompute={policies}"]))
    (line,) = caught.value.lines
    print(line)
    assert told in line
