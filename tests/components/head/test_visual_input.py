"""What head/mmtp reads at visual slots: shared sets by place or router, masking, and what crosses a stage."""

import doctest
from functools import partial

import numpy as np
import pytest
import torch

from vlmloom.components.attention import SDPA
from vlmloom.components.contracts.packed import IGNORE, Packed, Span
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.head import LMHead, MMTPHead, boundary, boundary_bytes, shared_set
from vlmloom.components.language import GLM
from vlmloom.components.moe import SigmoidBias

WIDTH, VOCAB, IMAGE = 16, 23, 22
INPUTS = {
    "shared_token": {},
    "visual_embedding": {},
    "masked": {},
    "set by position": {"visual_input": "shared_set", "set_tokens": 4, "assign": "position"},
    "set by router": {"visual_input": "shared_set", "set_tokens": 4, "assign": "router"},
}


def make_language(ffn=None):
    torch.manual_seed(0)
    layers = [{"ffn": ffn or partial(SwiGLU, hidden=24, init_std=0.2)}] * 2
    return GLM(vocab=VOCAB, width=WIDTH, depth=2, heads=4, layers=layers, attention=SDPA(), init_std=0.2)


def make_head(name, language=None, **arguments):
    language = make_language() if language is None else language
    torch.manual_seed(2)
    lm = LMHead(width=WIDTH, vocab=VOCAB, init_std=0.3)
    arguments = {"visual_input": name, **INPUTS.get(name, {}), **arguments}
    head = MMTPHead(width=WIDTH, vocab=VOCAB, init_std=0.3, **arguments)
    head.bind(language, lm)
    return head


def pack(language=None, requires_grad=False):
    """Two samples: two words, a picture of 3 x 4, three words; one word, a picture of 2 x 2, two words."""
    language = make_language() if language is None else language
    layouts = [[Span(2), Span(12, (1, 3, 4)), Span(3)], [Span(1), Span(4, (1, 2, 2)), Span(2)]]
    lengths = [sum(span.length for span in layout) for layout in layouts]
    modality = torch.tensor([int(s.grid is not None) for la in layouts for s in la for _ in range(s.length)])
    ids = torch.randint(0, IMAGE, (sum(lengths),), generator=torch.Generator().manual_seed(3))
    ids[modality == 1] = IMAGE
    positions = np.concatenate([language.positions(layout) for layout in layouts], axis=1)
    batch = Packed(
        ids=ids,
        labels=torch.where(modality == 1, IGNORE, ids),
        weights=torch.ones(len(ids)),
        positions=torch.from_numpy(positions),
        boundaries=torch.tensor([0, *lengths]).cumsum(0).int(),
        lengths=lengths,
        visual_slots=modality.nonzero().squeeze(1),
        modality=modality,
        tags=[],
    )
    merged = torch.randn(len(ids), WIDTH, generator=torch.Generator().manual_seed(4))
    batch.extras["inputs_embeds"] = merged.requires_grad_(requires_grad)
    hidden = torch.randn(len(ids), WIDTH, generator=torch.Generator().manual_seed(5))
    return batch, hidden


def at_slots(head, batch):
    return head.inputs(batch, head.visual_tokens(batch)[0]).index_select(0, batch.visual_slots)


@pytest.mark.parametrize("module", [shared_set, boundary])
def test_examples_in_docstrings(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("name", INPUTS)
def test_text_keeps_its_own_embedding_and_only_slots_differ(name, depth):
    language = make_language()
    head = make_head(name, language, depth=depth)
    batch, hidden = pack()
    inputs = head.inputs(batch, head.visual_tokens(batch)[0])
    text = batch.modality == 0
    torch.testing.assert_close(inputs[text], language.embed(batch.ids[text]))
    loss, metrics = head(hidden, batch)
    assert loss > 0 and {f"loss_{k + 1}" for k in range(depth)} <= metrics.keys()


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("shared", [True, False])
def test_visual_embeddings_reach_the_loss_only_where_they_should(name, shared):
    head = make_head(name, depth=3, shared=shared)
    batch, hidden = pack(requires_grad=True)
    loss, _ = head(hidden, batch)
    (gradient,) = torch.autograd.grad(loss, batch.extras["inputs_embeds"], allow_unused=True)
    if name in ("visual_embedding", "set by router"):
        assert gradient[batch.visual_slots].abs().sum() > 0
    else:
        assert gradient is None or not gradient.any()


@pytest.mark.parametrize("name", ["shared_token", "masked", "set by position"])
def test_other_pictures_change_nothing_where_their_embeddings_do_not_enter(name):
    head = make_head(name, depth=3)
    batch, hidden = pack()
    before = head(hidden, batch)[0]
    batch.extras["inputs_embeds"] = torch.randn_like(batch.extras["inputs_embeds"])
    assert torch.equal(head(hidden, batch)[0], before)


def test_masked_slots_are_seen_by_no_one_and_text_keeps_its_positions():
    head = make_head("masked")
    batch, hidden = pack()
    inputs = head.inputs(batch, None)
    out, _ = head.advance(hidden, batch, 0)
    # Places 1 to 12 and 17 to 20 read a visual token next: they leave, and carry on what they held.
    gone = torch.tensor([*range(1, 13), *range(17, 21)])
    stay = torch.tensor([place for place in range(len(batch.ids)) if place not in gone.tolist()])
    assert torch.equal(out[gone], hidden[gone])
    altered = hidden.clone()
    altered[gone] += 1
    torch.testing.assert_close(head.advance(altered, batch, 0)[0][stay], out[stay])
    # The positions of what stays count: with those of a sequence without the picture it is another result.
    closed = torch.cat([torch.arange(5), torch.arange(3)]).expand(3, -1)
    kept = torch.tensor([0, 13, 14, 15, 16, 21, 22, 23])
    assert kept.tolist() == stay.tolist()
    ahead = torch.tensor([1, 14, 15, 16, 16, 22, 23, 23])
    again, _ = head.step(inputs[ahead], hidden[kept], batch.positions[:, ahead], [5, 3])
    torch.testing.assert_close(again, out[kept])
    moved, _ = head.step(inputs[ahead], hidden[kept], closed, [5, 3])
    assert not torch.allclose(moved, again, atol=1e-3)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (4, [0, 1, 0, 1, 2, 3, 2, 3, 0, 1, 0, 1, 0, 1, 2, 3]),
        (16, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 1, 4, 5]),
        (6, [0, 1, 2, 0, 3, 4, 5, 3, 0, 1, 2, 0, 0, 1, 3, 4]),
    ],
)
def test_by_position_a_slot_takes_its_token_by_row_and_column(tokens, expected):
    head = make_head("set by position", set_tokens=tokens)
    batch, _ = pack()
    torch.testing.assert_close(at_slots(head, batch), head.visual_set.embed[torch.tensor(expected)])


def test_each_frame_of_a_clip_is_tiled_as_a_picture():
    head = make_head("set by position")
    positions = torch.from_numpy(make_language().positions([Span(3), Span(8, (2, 2, 2))]))
    assert head.visual_set.at(positions[:, 3:]).tolist() == [0, 1, 2, 3] * 2


def test_by_router_the_choice_is_the_best_token_and_changes_the_output():
    head = make_head("set by router")
    batch, hidden = pack()
    seen = batch.extras["inputs_embeds"][batch.visual_slots]
    best = (seen @ head.visual_set.router.T).argmax(-1)
    assert len(best.unique()) > 1
    assert torch.equal(at_slots(head, batch), head.visual_set.embed[best])
    before = head(hidden, batch)[0]
    with torch.no_grad():
        head.visual_set.router.neg_()
    worst = (seen @ head.visual_set.router.T).argmax(-1)
    assert torch.equal(at_slots(head, batch), head.visual_set.embed[worst])
    assert abs(head(hidden, batch)[0] - before) > 1e-3


def test_the_gradient_goes_straight_through_the_choice():
    """It is the gradient of a soft mixture of the tokens, taken at the token that was chosen."""
    head = make_head("set by router", balance_loss=0.0)
    batch, _ = pack(requires_grad=True)
    given = torch.randn(len(batch.visual_slots), WIDTH, generator=torch.Generator().manual_seed(6))
    router, tokens = head.visual_set.router, head.visual_set.embed
    got = torch.autograd.grad(
        (at_slots(head, batch) * given).sum(), [router, batch.extras["inputs_embeds"], tokens]
    )
    seen = batch.extras["inputs_embeds"]
    shares = (seen[batch.visual_slots] @ router.T).softmax(-1)
    soft = torch.autograd.grad((shares @ tokens.detach() * given).sum(), [router, seen])
    hard = torch.zeros_like(tokens).index_add(0, shares.argmax(-1), given)
    for one, other in zip(got, [*soft, hard], strict=True):
        torch.testing.assert_close(one, other)
    assert got[0].abs().sum() > 0


def test_the_router_learns_through_the_loss_of_the_head():
    head = make_head("set by router", balance_loss=0.0, depth=2)
    batch, hidden = pack()
    head(hidden, batch)[0].backward()
    assert head.visual_set.router.grad.abs().sum() > 0


def test_balance_loss_is_one_at_balance_and_m_where_one_token_takes_all():
    head = make_head("set by router", balance_loss=0.5)
    batch, _ = pack()
    with torch.no_grad():
        # Sixteen slots that look along four axes in turn, each with a router of its own.
        axes = torch.eye(WIDTH)[:4]
        head.visual_set.router.copy_(100 * axes)
        batch.extras["inputs_embeds"][batch.visual_slots] = axes.repeat(4, 1)
        _, even = head.visual_set(batch)
        batch.extras["inputs_embeds"][batch.visual_slots] = axes[:1].repeat(16, 1)
        _, one = head.visual_set(batch)
    torch.testing.assert_close(even["loss/set_balance"], torch.tensor(0.5))
    torch.testing.assert_close(one["loss/set_balance"], torch.tensor(2.0))
    torch.testing.assert_close(even["set_used"], torch.tensor(4.0))
    torch.testing.assert_close(one["set_used"], torch.tensor(1.0))


@pytest.mark.parametrize("seed", [8, 9, 10])
def test_descending_the_balance_loss_spreads_slots_that_look_alike(seed):
    head = make_head("set by router", balance_loss=1.0)
    batch, _ = pack()
    common = 2 * torch.randn(WIDTH, generator=torch.Generator().manual_seed(seed))
    batch.extras["inputs_embeds"][batch.visual_slots] += common
    optimizer = torch.optim.SGD([head.visual_set.router], lr=0.1)
    used = []
    for _ in range(150):
        optimizer.zero_grad()
        _, metrics = head.visual_set(batch)
        metrics["loss/set_balance"].backward()
        optimizer.step()
        used.append(float(metrics["set_used"]))
    assert used[0] < 2 and min(used[-20:]) > 3.5


@pytest.mark.parametrize("name", ["set by position", "set by router"])
def test_a_pack_without_pictures_gives_the_set_zero_gradients_not_none(name):
    head = make_head(name, depth=2)
    batch, hidden = pack()
    batch.modality = torch.zeros_like(batch.modality)
    batch.visual_slots = batch.visual_slots[:0]
    loss, metrics = head(hidden, batch)
    (loss + sum(value for key, value in metrics.items() if key.startswith("loss/"))).backward()
    assert all(p.grad is not None and not p.grad.any() for p in head.visual_set.parameters())
    assert all(torch.isfinite(value) for value in metrics.values())


def test_what_a_head_and_its_block_report_below_loss_is_part_of_the_loss():
    """The balance of a router, of tokens or of experts, is descended wherever in a model it arises."""
    from vlmloom.assemblies.native import Native
    from vlmloom.components.projector.linear import Linear
    from vlmloom.components.vision.cogvit import CogViT

    experts = partial(SigmoidBias, hidden=8, experts=4, top_k=2, balance_loss=0.1)
    torch.manual_seed(0)
    model = Native(
        vision=CogViT(width=8, depth=1, heads=2, hidden=8, patch=2, attention=SDPA(), ffn=SwiGLU),
        projector=Linear,
        language=make_language(experts),
        head={
            "lm": LMHead,
            "mmtp": partial(MMTPHead, visual_input="shared_set", set_tokens=4, assign="router"),
        },
    )
    batch, _ = pack()
    total, metrics = model.loss(batch)
    balances = {"loss/expert_balance", "mmtp/loss/expert_balance", "mmtp/loss/set_balance"}
    assert balances == {key for key in metrics if "loss" in key.split("/")[:-1]}
    parts = metrics["lm/loss"] + 0.3 * metrics["mmtp/loss"] + sum(metrics[key] for key in balances)
    torch.testing.assert_close(total, parts)
    assert metrics["mmtp/loss/set_balance"].requires_grad


def test_optimizers_know_the_set_and_its_router_from_matrices():
    from vlmloom.components.optimizer.muon_adamw import is_matrix

    head = make_head("set by router")
    kinds = {
        name: is_matrix(f"head.mmtp.{name}", p) for name, p in head.visual_set.named_parameters("visual_set")
    }
    assert kinds == {"visual_set.embed": False, "visual_set.router": False}


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("shared_token", {}, (0, 0)),
        ("masked", {}, (0, 0)),
        ("set by position", {"set_tokens": 16}, (0, 0)),
        ("set by router", {"set_tokens": 4}, (1000, 8000)),
        ("set by router", {"set_tokens": 256}, (1000, 512_000)),
        ("set by router", {"set_tokens": 257}, (2000, 514_000)),
        ("visual_embedding", {}, (12_288_000, 12_288_000)),
    ],
)
def test_bytes_over_a_pipeline_boundary_at_a_published_width(name, arguments, expected):
    """GLM-5's hidden size of 6144 in bf16, a thousand visual slots."""
    assert make_head(name, **arguments).boundary_bytes(slots=1000, width=6144) == expected


class Flat(GLM):
    """A language part whose positions count tokens alone."""

    def positions(self, layout):
        return np.tile(np.arange(sum(span.length for span in layout)), (3, 1))


def errors():
    yield (
        lambda: make_head("none"),
        "visual_input is 'none'; one of shared_token, visual_embedding, masked, sha",
    )
    yield (
        lambda: make_head("shared_set"),
        "visual_input shared_set with set_tokens none; shared_set has set_tok",
    )
    yield (
        lambda: make_head("masked", set_tokens=4),
        "visual_input masked with set_tokens 4; shared_set has set",
    )
    yield lambda: make_head("set by router", set_tokens=1), "set_tokens is 1; a shared set has at least 2"
    yield lambda: make_head("set by router", assign="name"), "assign is 'name'; one of position, router"
    yield lambda: boundary_bytes("none", width=1, slots=1), "visual_input is 'none'; one of shared_token"

    def without_embeddings():
        batch, hidden = pack()
        del batch.extras["inputs_embeds"]
        make_head("set by router")(hidden, batch)

    yield without_embeddings, "assign router reads the projected visual tokens from batch.extras"

    def without_places():
        layers = [{"ffn": partial(SwiGLU, hidden=8)}]
        flat = Flat(vocab=VOCAB, width=WIDTH, depth=1, heads=4, layers=layers, attention=SDPA())
        make_head("set by position", flat)

    yield (
        without_places,
        "assign position reads rows and columns from rotary positions, and those of language",
    )


@pytest.mark.parametrize(
    ("action", "message"), list(errors()), ids=lambda value: value[:30] if isinstance(value, str) else ""
)
def test_errors_are_one_line(action, message):
    with pytest.raises(ValueError) as caught:
        action()
    print(caught.value)
    assert message in str(caught.value) and "\n" not in str(caught.value)
