"""The account of forward and backward equals what torch counts, whatever is frozen, at nano scale.

Convention: attention's way back counts twice its forward, causal ones half; torch also counts the products
that are computed again. What is left is below the tolerance: the first product of what trains (a patch
embedding), the diagonals of causal attention, and the gradient of logits that is taken on the way forth.
"""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from vlmloom.assemblies.flops import training_flops
from vlmloom.components.attention import sdpa as fused
from vlmloom.components.moe.experts import _LoopLinear
from vlmloom.pipelines.data.packing import Draw
from vlmloom.pipelines.freeze import freeze
from vlmloom.pipelines.loading import build_experiment, compose_experiment

TOLERANCE = 0.025


def forth(query, key, value, dropout=0.0, causal=False, *rest, out_shape=None, **options):
    return sdpa_flop_count(query, key, value) // (2 if causal else 1)


def back(gradient, query, key, value, out, sums, dropout=0.0, causal=False, *rest, out_shape=None, **options):
    return 2 * forth(query, key, value, causal=causal)


MAPPING = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: forth,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: back,
}


def design(name, stage, view):
    experiment, _ = build_experiment(compose_experiment(name))
    experiment.data.connect(experiment.assembly)
    seen = experiment.data.view(view, "train")
    batch = seen.collate([seen.draw(Draw(i, 50.0)) for i in range(24) if seen.size(i).tokens])
    return experiment.assembly, experiment.stages[stage].objective, batch


@pytest.fixture(scope="module")
def native():
    return design("nano/native", 0, "question")


@pytest.fixture(scope="module")
def contrast():
    return design("nano/adapter", 0, "captions")


def compare(model, objective, batch, trains, monkeypatch):
    # Plain products of short samples count the whole square.
    monkeypatch.setattr(fused, "longest", lambda query: 0)
    trained = {name for name, (some, _) in freeze(model, trains, "stage").items() if some}
    with FlopCounterMode(display=False, custom_mapping=MAPPING) as counter:
        objective(model, batch)[0].backward()
    account = training_flops(objective.flops(model, batch), trained, model.reads())
    if "vision" in trained:  # Nothing asks for the gradient of pixels, which the account counts.
        account -= model.vision.patch_embed.flops(len(batch.visuals["vision"].patches))
    assert account == pytest.approx(counter.get_total_flops(), rel=TOLERANCE)


@pytest.mark.parametrize(
    "trains",
    [
        ["*"],
        ["vision"],
        ["projector"],
        ["language"],
        ["language", "head"],
        ["head"],
        ["head.lm"],
        ["head.mmtp"],
    ],
)
def test_native(trains, native, monkeypatch):
    compare(*native, trains, monkeypatch)


@pytest.mark.parametrize(
    "trains", [["vision", "text", "align"], ["vision"], ["text"], ["align"], ["vision", "align"]]
)
def test_towers_beside_each_other(trains, contrast, monkeypatch):
    compare(*contrast, trains, monkeypatch)


@pytest.mark.parametrize(("x_trains", "weight_trains"), [(True, True), (True, False), (False, True)])
def test_experts_compute_no_gradient_that_nobody_wants(x_trains, weight_trains):
    x = torch.randn(9, 4, requires_grad=x_trains)
    weight = torch.randn(3, 5, 4, requires_grad=weight_trains)
    out = _LoopLinear.apply(x, weight, [4, 0, 5])
    with FlopCounterMode(display=False) as counter:
        out.sum().backward()
    assert counter.get_total_flops() == (x_trains + weight_trains) * 2 * 9 * 5 * 4
    expected = torch.cat([x[:4] @ weight[0].T, x[4:] @ weight[2].T])
    wanted = [one for one in (x, weight) if one.requires_grad]
    for one, gradient in zip(wanted, torch.autograd.grad(expected.sum(), wanted), strict=True):
        torch.testing.assert_close(one.grad, gradient)
