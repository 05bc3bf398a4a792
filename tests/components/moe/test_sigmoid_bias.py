"""moe/sigmoid_bias: both backends against a token-by-token reference, and what defines the router."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from vlmloom.components.contracts.spec import Spec
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.moe import SigmoidBias

WIDTH, HIDDEN, EXPERTS = 16, 8, 6
BACKENDS = ["loop", "grouped_mm"]


def make(**arguments):
    torch.manual_seed(0)
    arguments = {"experts": EXPERTS, "top_k": 2, "init_std": 0.4, **arguments}
    return SigmoidBias(width=WIDTH, hidden=HIDDEN, **arguments)


def tokens(count=23):
    torch.manual_seed(1)
    return torch.randn(count, WIDTH, requires_grad=True)


def swiglu(x, gate_up, down, limit=None):
    gate, up = (gate_up @ x).chunk(2)
    if limit is not None:
        gate, up = gate.clamp(max=limit), up.clamp(-limit, limit)
    return down @ (F.silu(gate) * up)


def reference(moe, x):
    out = []
    for token in x:
        scores = torch.sigmoid(moe.router @ token)
        open_to = torch.ones(len(scores), dtype=torch.bool)
        biased = scores + moe.selection_bias
        if moe.groups > 1:
            groups = biased.view(moe.groups, -1)
            best = sorted(range(moe.groups), key=lambda g: -groups[g].sort().values[-2:].sum())[
                : moe.top_groups
            ]
            open_to = torch.zeros(moe.groups, groups.shape[1], dtype=torch.bool)
            open_to[best] = True
            open_to = open_to.flatten()
        chosen = sorted((e for e in range(len(scores)) if open_to[e]), key=lambda e: -biased[e])[: moe.top_k]
        total = sum(scores[e] for e in chosen) if moe.normalise else 1.0
        result = sum(
            moe.routed_scale
            * scores[e]
            / total
            * swiglu(token, moe.experts.gate_up[e], moe.experts.down[e], moe.limit)
            for e in chosen
        )
        if moe.shared is not None:
            result = result + moe.shared(token[None], [1])[0][0]
        out.append(result)
    return torch.stack(out)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"routed_scale": 2.5, "shared": partial(SwiGLU, hidden=12, init_std=0.4)},
        {"groups": 3, "top_groups": 2, "top_k": 3},
        {"normalise": False, "limit": 0.3},
        {"top_k": 1},
    ],
    ids=["plain", "shared", "groups", "clamped", "top1"],
)
def test_backends_equal_reference_forward_and_backward(backend, arguments):
    moe, x = make(backend=backend, balance_loss=0.0, **arguments), tokens()
    moe.selection_bias += torch.linspace(-0.2, 0.2, EXPERTS)
    expected = reference(moe, x)
    got, _ = moe(x, [len(x)])
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)
    towards = torch.randn_like(got)
    trained = [x, *moe.parameters()]
    torch.testing.assert_close(
        *(torch.autograd.grad(value, trained, towards) for value in (got, expected)), atol=1e-5, rtol=1e-4
    )
    assert moe.experts.picked == backend


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("count", [0, 1, 5])
def test_experts_without_tokens_get_gradients_of_zero(backend, count):
    moe, x = make(backend=backend, shared=partial(SwiGLU, hidden=4)), tokens(count)
    moe.selection_bias[0] = -10.0
    out, metrics = moe(x, [count])
    assert out.shape == (count, WIDTH)
    (out.square().sum() + metrics["loss/expert_balance"]).backward()
    assert all(p.grad is not None for p in moe.parameters())
    assert not moe.experts.gate_up.grad[0].any() and not moe.experts.down.grad[0].any()
    assert torch.isfinite(metrics["expert_load"])


def test_auto_is_the_loop_on_a_cpu():
    moe = make()
    moe(tokens(), [23])
    assert moe.experts.backend == "auto" and moe.experts.picked == "loop"


def test_bias_moves_the_selection_and_not_the_weights():
    moe, x = make(), tokens()
    scores, before, _ = moe.route(x)
    moe.selection_bias[3] = 10.0
    moe.selection_bias[1] = -10.0
    again, chosen, shares = moe.route(x)
    torch.testing.assert_close(scores, again)
    assert (chosen == 3).any(1).all() and not (chosen == 1).any() and (before != chosen).any()
    own = scores.gather(1, chosen)
    torch.testing.assert_close(shares, own / own.sum(1, keepdim=True))


def test_bias_moves_against_load_and_evens_it_out():
    torch.manual_seed(0)
    moe = make(experts=4, top_k=1)
    x = tokens(400) + 2 * moe.router[0].detach()
    _, first = moe(x, [400])
    load = moe.load.clone()
    assert load.sum() == 400
    told = moe.update_selection_bias(0.01)
    torch.testing.assert_close(moe.selection_bias, 0.01 * torch.sign(100 - load))
    torch.testing.assert_close(told["load"], load.max() / 100)
    assert not moe.load.any()
    for _ in range(150):
        _, last = moe(x, [400])
        moe.update_selection_bias(0.01)
    assert first["expert_load"] > 2 and last["expert_load"] < 1.2


def test_load_is_counted_in_training_only_and_once_under_recompute():
    moe, x = make(), tokens()
    out = checkpoint(lambda value: moe(value, [23])[0], x, use_reentrant=False)
    out.sum().backward()
    assert moe.load.sum() == 23 * 2
    moe(x, [23])
    assert moe.load.sum() == 2 * 23 * 2
    moe.eval()
    moe(x, [23])
    assert moe.load.sum() == 2 * 23 * 2


def test_no_gradient_reaches_the_bias():
    moe = make()
    assert "selection_bias" in moe.state_dict() and "selection_bias" not in dict(moe.named_parameters())


def test_casting_keeps_the_bias_in_fp32():
    moe = make()
    moe.selection_bias += 0.0012345678
    kept = moe.selection_bias.clone()
    moe.to(torch.bfloat16)
    assert moe.router.dtype == torch.bfloat16
    torch.testing.assert_close(moe.selection_bias, kept, rtol=0, atol=0)
    out, _ = moe(tokens().bfloat16(), [23])
    assert out.dtype == torch.bfloat16


@pytest.mark.parametrize("backend", BACKENDS)
def test_autocast_runs_forward_and_backward(backend):
    moe, x = make(backend=backend, experts=4, shared=partial(SwiGLU, hidden=16)), tokens()
    exact, _ = moe(x, [23])
    with torch.autocast("cpu", torch.bfloat16):
        out, _ = moe(x, [23])
    torch.testing.assert_close(out.float(), exact, atol=0.1, rtol=0.1)
    out.float().square().sum().backward()
    assert moe.experts.down.grad.dtype == torch.float32


def test_balance_loss_is_least_at_balance():
    moe = make(experts=4, top_k=1, balance_loss=1.0)
    moe.router.data = 5 * torch.eye(4, WIDTH)
    even = torch.eye(4, WIDTH).repeat(3, 1)
    skewed = torch.eye(4, WIDTH)[[0] * 9 + [1, 2, 3]]
    at_balance = moe(even, [12])[1]["loss/expert_balance"]
    torch.testing.assert_close(at_balance, torch.tensor(1.0))
    assert moe(skewed, [12])[1]["loss/expert_balance"] > 1.2


def test_balance_loss_is_taken_per_sample():
    """Two samples that each use one expert are unbalanced, though the pack as a whole is not."""
    moe = make(experts=2, top_k=1, balance_loss=1.0)
    moe.router.data = 5 * torch.eye(2, WIDTH)
    x = torch.eye(2, WIDTH).repeat_interleave(5, 0)
    whole = moe(x, [10])[1]["loss/expert_balance"]
    apart = moe(x, [5, 0, 5])[1]["loss/expert_balance"]
    each = torch.stack([moe(part, [5])[1]["loss/expert_balance"] for part in x.split(5)]).mean()
    torch.testing.assert_close(apart, each)
    torch.testing.assert_close(whole, torch.tensor(1.0))
    assert apart > 1.3


def test_balance_loss_equals_its_formula():
    moe, x = make(balance_loss=1.0), tokens(9)
    scores, chosen, _ = moe.route(x)
    share = scores / scores.sum(1, keepdim=True)
    f = torch.stack([(chosen == e).sum() * EXPERTS / (2 * 9) for e in range(EXPERTS)])
    torch.testing.assert_close(moe(x, [9])[1]["loss/expert_balance"], (f * share.mean(0)).sum())


def test_equals_transformers():
    transformers = pytest.importorskip("transformers")
    from transformers.models.glm4v_moe import modeling_glm4v_moe as glm

    config = transformers.Glm4vMoeTextConfig(
        hidden_size=WIDTH,
        moe_intermediate_size=HIDDEN,
        n_routed_experts=EXPERTS,
        num_experts_per_tok=2,
        n_shared_experts=1,
        routed_scaling_factor=2.5,
        n_group=3,
        topk_group=2,
        norm_topk_prob=True,
    )
    config._experts_implementation = "eager"
    theirs = glm.Glm4vMoeTextMoE(config)
    shared = partial(SwiGLU, hidden=HIDDEN, init_std=0.4)
    ours = make(groups=3, top_groups=2, routed_scale=2.5, shared=shared)
    ours.selection_bias += torch.linspace(-0.1, 0.1, EXPERTS)
    with torch.no_grad():
        theirs.gate.weight.copy_(ours.router)
        theirs.gate.e_score_correction_bias.copy_(ours.selection_bias)
        theirs.experts.gate_up_proj.copy_(ours.experts.gate_up)
        theirs.experts.down_proj.copy_(ours.experts.down)
        gate, up = ours.shared.gate_up.weight.chunk(2)
        theirs.shared_experts.gate_proj.weight.copy_(gate)
        theirs.shared_experts.up_proj.weight.copy_(up)
        theirs.shared_experts.down_proj.weight.copy_(ours.shared.down.weight)
    x = tokens()
    torch.testing.assert_close(ours(x, [23])[0], theirs(x[None])[0], atol=1e-5, rtol=1e-4)


def test_parameters_and_shapes():
    moe = make(shared=partial(SwiGLU, hidden=4))
    one = 3 * WIDTH * HIDDEN
    assert moe.active_parameters() == EXPERTS * WIDTH + 2 * one + 3 * WIDTH * 4
    assert sum(p.numel() for p in moe.parameters()) == EXPERTS * WIDTH + EXPERTS * one + 3 * WIDTH * 4
    assert moe.shapes(Spec("hidden", WIDTH)) == Spec("hidden", WIDTH)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"experts": 0}, "experts is 0; it must be at least 1"),
        ({"groups": 4}, "groups 4 do not divide experts 6"),
        ({"groups": 6}, "groups 6 of experts 6 hold fewer than 2 experts each"),
        ({"groups": 3, "top_groups": 4}, "top_groups is 4; it must be from 1 to groups 3"),
        ({"top_k": 7}, "top_k is 7; it must be from 1 to the 6 open experts"),
        ({"groups": 3, "top_groups": 1, "top_k": 3}, "top_k is 3; it must be from 1 to the 2 open experts"),
        ({"backend": "triton"}, "backend is 'triton'; one of auto, loop, grouped_mm"),
    ],
)
def test_errors_are_one_line(arguments, message):
    with pytest.raises(ValueError, match=f"^moe/sigmoid_bias: {message}") as caught:
        make(**arguments)
    assert "\n" not in str(caught.value)
