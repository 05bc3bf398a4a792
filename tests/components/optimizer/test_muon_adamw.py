from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from vlmloom.components.contracts.factors import Factors
from vlmloom.components.optimizer import muon
from vlmloom.components.optimizer.adamw import AdamW
from vlmloom.components.optimizer.muon import matrices_of, newton_schulz, splits_of
from vlmloom.components.optimizer.muon_adamw import MuonAdamW, is_matrix


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(7, 8)
        self.conv = nn.Conv2d(8, 6, 2)
        self.qkv = nn.Linear(6, 18)
        self.qkv.weight.muon_splits = (6, 6, 6)
        self.norm = nn.LayerNorm(18)
        self.experts = nn.Parameter(torch.randn(3, 5, 18))
        self.router = nn.Linear(18, 3)
        self.unused = nn.Linear(4, 4)
        self.query = nn.Parameter(torch.randn(1, 1, 18))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.conv(self.embed(ids).permute(2, 0, 1)).flatten(1).T
        x = self.norm(self.qkv(x)) + self.query[0]
        return torch.einsum("nd,ekd,ne->nk", x, self.experts, self.router(x).sigmoid()).square().mean()


IDS = torch.arange(25).view(5, 5) % 7


def train(net: Net, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = net(IDS)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def build(recipe, net: nn.Module, **factors):
    return recipe.build([(net.named_parameters(), Factors(**factors))])


def update_of(parameter: nn.Parameter, gradient: torch.Tensor, lr: float = 1.0) -> torch.Tensor:
    before = parameter.detach().clone()
    recipe = MuonAdamW(lr=lr, weight_decay=0.0, precision="float32")
    optimizer = recipe.build([([("matrix", parameter)], Factors())])
    parameter.grad = gradient
    optimizer.step()
    return before - parameter.detach()


@pytest.mark.parametrize("shape", [(12, 12), (8, 20), (20, 8)])
def test_equals_the_muon_of_torch(shape):
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(torch.ones(shape)) for _ in range(2))
    recipe = MuonAdamW(lr=0.02, weight_decay=0.1, precision="bfloat16")
    mine = recipe.build([([("matrix", ours)], Factors())])
    reference = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        ours.grad = torch.randn(shape)
        theirs.grad = ours.grad.clone()
        mine.step()
        reference.step()
    # Batched and single bfloat16 products round differently, by about one part in 256 of an update.
    assert (ours - theirs).norm() < 0.01 * (ours - 1).norm()


@pytest.mark.parametrize("shape", [(16, 16), (8, 24), (24, 8), (3, 8, 24), (8, 4, 2, 3)])
def test_updates_are_nearly_orthogonal_and_of_the_promised_size(shape):
    torch.manual_seed(0)
    update = update_of(nn.Parameter(torch.zeros(shape)), torch.randn(shape))
    matrices = update if update.ndim == 3 else update.flatten(1)[None]
    rows, columns = matrices.shape[-2:]
    values = torch.linalg.svdvals(matrices / (0.2 * max(rows, columns) ** 0.5))
    assert 0.4 < values.min() and values.max() < 1.3
    root_mean_square = matrices.square().mean((-2, -1)).sqrt()
    torch.testing.assert_close(root_mean_square, torch.full_like(root_mean_square, 0.2), atol=0.04, rtol=0)


def test_experts_are_updated_as_if_each_were_alone():
    torch.manual_seed(0)
    gradient = torch.randn(3, 5, 9)
    together = update_of(nn.Parameter(torch.zeros(3, 5, 9)), gradient)
    alone = [update_of(nn.Parameter(torch.zeros(5, 9)), part.clone()) for part in gradient]
    torch.testing.assert_close(together, torch.stack(alone), atol=1e-5, rtol=1e-5)


def test_updates_are_the_same_however_many_are_made_at_once(monkeypatch):
    found = []
    for most in (2**24, 100, 1):
        monkeypatch.setattr(muon, "AT_ONCE", most)
        net = Net()
        train(net, build(MuonAdamW(lr=0.01, precision="float32"), net), 3)
        found.append(net.state_dict())
    for other in found[1:]:
        torch.testing.assert_close(other, found[0])


def test_fused_parameters_are_split():
    torch.manual_seed(0)
    gradient, fused = torch.randn(12, 6), nn.Parameter(torch.zeros(12, 6))
    fused.muon_splits = (6, 4, 2)
    alone = [
        update_of(nn.Parameter(torch.zeros(part.shape)), part.clone()) for part in gradient.split((6, 4, 2))
    ]
    torch.testing.assert_close(update_of(fused, gradient), torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_gate_and_up_are_two_matrices_by_their_name():
    assert splits_of("ffn.gate_up.weight", torch.zeros(8, 3), ("gate_up",)) == (4, 4)
    assert splits_of("experts.gate_up", torch.zeros(5, 8, 3), ("gate_up",)) == (4, 4)
    assert splits_of("ffn.down.weight", torch.zeros(8, 3), ("gate_up",)) is None


def test_a_kernel_in_channels_last_memory_is_updated_too():
    torch.manual_seed(0)
    gradient = torch.randn(8, 4, 2, 2)
    plain = update_of(nn.Parameter(torch.zeros(8, 4, 2, 2)), gradient.clone())
    turned = nn.Parameter(torch.zeros(8, 4, 2, 2).to(memory_format=torch.channels_last))
    torch.testing.assert_close(update_of(turned, gradient), plain, atol=1e-5, rtol=1e-5)


def test_zero_gradients_move_nothing_and_none_is_skipped():
    net = Net()
    optimizer = build(MuonAdamW(weight_decay=0.0), net)
    before = copy.deepcopy(net.state_dict())
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    net.unused.weight.grad = net.unused.bias.grad = None
    optimizer.step()
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, before[name], atol=0, rtol=0, msg=name)
    assert net.unused.weight not in optimizer.state


@pytest.mark.parametrize("recipe", [MuonAdamW(lr=0.01), AdamW(lr=0.01)])
def test_resumed_equals_uninterrupted_to_the_last_bit(recipe, tmp_path):
    whole, half = Net(), Net()
    losses = train(whole, build(recipe, whole), 6)
    first = build(recipe, half)
    train(half, first, 3)
    torch.save({"net": half.state_dict(), "optimizer": first.state_dict()}, tmp_path / "half.pt")
    state = torch.load(tmp_path / "half.pt", weights_only=True)
    resumed = Net()
    resumed.load_state_dict(state["net"])
    second = build(recipe, resumed)
    second.load_state_dict(state["optimizer"])
    assert train(resumed, second, 3) == losses[3:]
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_who_goes_where_is_printed():
    lines = {
        line.split()[5]: line
        for line in build(MuonAdamW(lr=0.01, muon_lr=0.02), Net()).describe().split("\n")
    }
    kinds = {name: line.split()[0] for name, line in lines.items()}
    muon = {name for name, kind in kinds.items() if kind == "muon"}
    assert muon == {"conv.weight", "qkv.weight", "experts", "unused.weight"}
    assert lines["qkv.weight"] == "muon  lr 0.02 decay 0.1        qkv.weight [18x6] as 6 + 6 + 6 rows"
    assert "lr 0.01 decay 0.1" in lines["embed.weight"] and "lr 0.01 decay 0 " in lines["norm.weight"]
    assert not is_matrix("language.unembed.weight", torch.zeros(4, 4))
    assert not is_matrix("latents", torch.zeros(1, 1, 4))


def test_factors_frozen_and_shared_parameters():
    net = Net()
    net.conv.requires_grad_(False)
    optimizer = MuonAdamW(lr=0.01).build(
        [(net.qkv.named_parameters(prefix="qkv"), Factors(0.1)), (net.named_parameters(), Factors())]
    )
    names = [name for group in optimizer.param_groups for name in group["param_names"]]
    assert len(names) == len(set(names)) and not any("conv" in name for name in names)
    rate = {name: group["lr"] for group in optimizer.param_groups for name in group["param_names"]}
    assert rate["qkv.weight"] == pytest.approx(0.001) and rate["experts"] == pytest.approx(0.01)


@pytest.mark.parametrize("recipe", [MuonAdamW(lr=0.03), AdamW(lr=0.01)])
def test_both_descend(recipe):
    net = Net()
    losses = train(net, build(recipe, net), 30)
    assert losses[-1] < 0.3 * losses[0]


def test_newton_schulz_keeps_a_zero_matrix():
    assert not newton_schulz(torch.zeros(2, 3, 4)).any()
    assert [part.shape for part in matrices_of(torch.zeros(4, 5))] == [(1, 4, 5)]


def test_rates_follow_progress():
    recipe = MuonAdamW(lr=0.01, warmup=0.1, decay="cosine", floor=0.1)
    assert recipe.factor(0) == 0.01
    assert recipe.factor(0.05) == pytest.approx(0.5)
    assert recipe.factor(0.1) == pytest.approx(1)
    assert recipe.factor(0.55) == pytest.approx(0.55)
    assert recipe.factor(1) == recipe.factor(1.2) == pytest.approx(0.1)
    wsd = AdamW(warmup=0.0, decay="wsd", floor=0.0)
    assert [wsd.factor(at) for at in (0, 0.8, 0.9, 1)] == pytest.approx([1, 1, 0.5, 0])
    assert AdamW(warmup=0, decay="linear", floor=0.2).factor(0.5) == pytest.approx(0.6)
    assert AdamW(warmup=0, decay="constant").factor(0.7) == 1
    optimizer = build(recipe, Net(), rate=0.5)
    recipe.schedule(optimizer, 0.05)
    recipe.schedule(optimizer, 0.05)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.0025] * 3)


def _badly_split() -> None:
    net = Net()
    net.qkv.weight.muon_splits = (6, 6)
    build(MuonAdamW(), net)


def _frozen() -> None:
    build(MuonAdamW(), Net().requires_grad_(False))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (_badly_split, r"qkv.weight \[18, 6\] declares muon_splits \(6, 6\); .* sum to its 18 rows"),
        (_frozen, "optimizer/muon_adamw: found no parameter that requires a gradient; unfreeze"),
        (lambda: AdamW(warmup=1.0), "found warmup 1.0; a share from 0 to below 1 would be right"),
        (lambda: AdamW(floor=-1), "found floor -1; a share from 0 to 1 would be right"),
        (lambda: AdamW(decay="step"), "found decay 'step'; cosine, linear, wsd or constant would be right"),
    ],
)
def test_errors_say_what_would_be_right(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
