"""head/lm, head/mtp, head/mmtp: losses at the right places, against references written out."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from vlmloom.components.attention import SDPA
from vlmloom.components.contracts.packed import IGNORE, Packed
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.head import LMHead, MMTPHead, MTPHead
from vlmloom.components.language import GLM

WIDTH, VOCAB, IMAGE = 16, 23, 22


@pytest.fixture
def language():
    torch.manual_seed(0)
    layers = [{"ffn": partial(SwiGLU, hidden=24, init_std=0.2)}] * 2
    return GLM(
        vocab=VOCAB, width=WIDTH, depth=2, heads=4, kv_heads=2, layers=layers, attention=SDPA(), init_std=0.2
    )


def pack(lengths=(7, 0, 1, 9), pictures=((2, 5), (10, 13)), supervised=True):
    """Samples with pictures at the given runs of the flat axis."""
    generator = torch.Generator().manual_seed(3)
    total = sum(lengths)
    ids = torch.randint(0, IMAGE, (total,), generator=generator)
    modality = torch.zeros(total, dtype=torch.long)
    for start, end in pictures:
        ids[start:end], modality[start:end] = IMAGE, 1
    labels = torch.where(modality == 1, IGNORE, ids) if supervised else torch.full_like(ids, IGNORE)
    positions = torch.cat([torch.arange(length).expand(3, -1) for length in (*lengths, 0)], 1)
    weights = torch.rand(total, generator=generator) + 0.5
    boundaries = torch.tensor([0, *lengths]).cumsum(0).int()
    slots = modality.nonzero().squeeze(1)
    return Packed(
        ids, labels, weights, positions, boundaries, list(lengths), slots, modality, [], normaliser=5.0
    )


def samples(batch):
    start = 0
    for length in batch.lengths:
        yield range(start, start + length)
        start += length


def reference_loss(hidden, batch, ahead, weight):
    """sum(w * ce) / normaliser over places whose target is in the sample and is text."""
    loss = torch.zeros(())
    for places in samples(batch):
        for place in places:
            target = place + ahead
            if target in places and batch.labels[target] != IGNORE and batch.modality[target] == 0:
                ce = F.cross_entropy(hidden[place] @ weight.T, batch.ids[target])
                loss = loss + batch.weights[target] * ce
    return loss / batch.normaliser


def hidden_of(batch, requires_grad=True):
    torch.manual_seed(1)
    return torch.randn(len(batch.ids), WIDTH, requires_grad=requires_grad)


@pytest.mark.parametrize("tied", [True, False])
def test_lm_loss_is_weighted_cross_entropy_of_the_next_token(language, tied):
    head = LMHead(width=WIDTH, vocab=VOCAB, tied=tied, init_std=0.3)
    head.bind(language)
    batch = pack()
    hidden = hidden_of(batch)
    loss, metrics = head(hidden, batch)
    weight = language.embed.weight if tied else head.unembed.weight
    expected = reference_loss(hidden, batch, 1, weight)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(metrics["loss"], loss.detach())
    torch.testing.assert_close(*(torch.autograd.grad(value, [hidden, weight]) for value in (loss, expected)))
    assert len(list(head.parameters())) == (0 if tied else 1)


def test_lm_accuracy_counts_right_next_tokens(language):
    head = LMHead(width=VOCAB, vocab=VOCAB)
    head.unembed.weight.data = torch.eye(VOCAB)
    batch = pack(lengths=(4,), pictures=())
    hidden = F.one_hot(batch.ids.roll(-1), VOCAB).float()
    hidden[0] = -hidden[0]
    _, metrics = head(hidden, batch)
    torch.testing.assert_close(metrics["accuracy"], torch.tensor(2 / 3))


def test_lm_without_targets_gives_zero_gradients():
    head = LMHead(width=WIDTH, vocab=VOCAB)
    batch = pack(supervised=False)
    hidden = hidden_of(batch)
    loss, _ = head(hidden, batch)
    loss.backward()
    assert loss == 0 and not head.unembed.weight.grad.any() and not hidden.grad.any()


def test_logprobs_in_chunks_equal_log_softmax():
    head = LMHead(width=WIDTH, vocab=VOCAB, init_std=0.5)
    batch = pack()
    hidden = hidden_of(batch)
    expected = head.logits(hidden).log_softmax(-1).gather(1, batch.ids[:, None]).squeeze(1)
    got = head.logprobs(hidden, batch.ids, chunk=4)
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(*(torch.autograd.grad(value.sum(), hidden) for value in (got, expected)))


def bound(language, cls, **arguments):
    torch.manual_seed(2)
    lm = LMHead(width=WIDTH, vocab=VOCAB, init_std=0.3)
    lm.bind(language)
    head = cls(width=WIDTH, vocab=VOCAB, init_std=0.3, **arguments)
    head.bind(language, lm)
    return head, lm


def reference_mtp(head, lm, language, hidden, batch, depth, embeddings, drop_visual=False):
    """One sample after another, each cut to the places whose next token exists."""
    losses = []
    states = {place: hidden[place] for places in samples(batch) for place in places}
    for k in range(depth):
        module = head.steps[0 if head.shared else k]
        after = {}
        for places in samples(batch):
            kept = [p for p in places if p + 1 + k in places]
            if drop_visual:
                kept = [p for p in kept if batch.modality[p + 1 + k] == 0]
            if not kept:
                continue
            ahead = [p + 1 + k for p in kept]
            joined = torch.cat(
                [module.enorm(embeddings[ahead]), module.hnorm(torch.stack([states[p] for p in kept]))], -1
            )
            out, _ = language.run_block(
                module.block, module.eh_proj(joined), batch.positions[:, ahead], [len(kept)]
            )
            after.update(zip(kept, module.post_norm(out), strict=True))
        states = {**states, **after}
        flat = torch.stack([states[p] for p in sorted(states)])
        losses.append(reference_loss(flat, batch, 2 + k, lm.weight))
    return head.loss_weight * torch.stack(losses).mean()


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("visual_input", [None, "shared_token", "visual_embedding", "masked"])
def test_multi_token_loss_equals_reference(language, visual_input, depth, shared):
    arguments = {} if visual_input is None else {"visual_input": visual_input}
    head, lm = bound(
        language, MTPHead if visual_input is None else MMTPHead, depth=depth, shared=shared, **arguments
    )
    assert len(head.steps) == (1 if shared else depth)
    batch = pack()
    hidden = hidden_of(batch)
    embeddings = language.embed(batch.ids)
    if visual_input == "visual_embedding":
        embeddings = embeddings.index_copy(0, batch.visual_slots, torch.randn(len(batch.visual_slots), WIDTH))
        batch.extras["inputs_embeds"] = embeddings
    loss, metrics = head(hidden, batch)
    expected = reference_mtp(head, lm, language, hidden, batch, depth, embeddings, visual_input == "masked")
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(metrics["loss"] * head.loss_weight, loss.detach())
    trained = [hidden, lm.unembed.weight, language.embed.weight, *head.parameters()]
    torch.testing.assert_close(
        *(
            torch.autograd.grad(value, trained, retain_graph=True, allow_unused=True)
            for value in (loss, expected)
        ),
        atol=1e-5,
        rtol=1e-4,
    )
    assert {f"{what}_{k + 1}" for what in ("loss", "accuracy") for k in range(depth)} <= metrics.keys()
    torch.testing.assert_close(
        torch.stack([metrics[f"loss_{k + 1}"] for k in range(depth)]).mean(), metrics["loss"]
    )


@pytest.mark.parametrize("visual_input", ["shared_token", "masked"])
def test_text_alone_is_the_same_for_every_visual_input(language, visual_input):
    batch = pack(pictures=())
    hidden = hidden_of(batch)
    losses = [
        bound(language, MMTPHead, visual_input=kind)[0](hidden, batch)[0]
        for kind in (visual_input, "shared_token")
    ]
    torch.testing.assert_close(*losses)


def test_every_visual_target_is_ignored(language):
    head, _ = bound(language, MMTPHead)
    batch = pack()
    hidden = hidden_of(batch)
    loss, _ = head(hidden, batch)
    batch.labels = batch.ids.clone()
    torch.testing.assert_close(head(hidden, batch)[0], loss)


@pytest.mark.parametrize("visual_input", ["shared_token", "visual_embedding", "masked"])
@pytest.mark.parametrize("lengths", [(1,), (3, 1), ()])
def test_nothing_to_predict_gives_zero_gradients_not_none(language, visual_input, lengths):
    head, _ = bound(language, MMTPHead, visual_input=visual_input, depth=2)
    batch = pack(lengths=lengths, pictures=((0, sum(lengths)),), supervised=False)
    batch.extras["inputs_embeds"] = language.embed(batch.ids)
    hidden = hidden_of(batch)
    loss, _ = head(hidden, batch)
    loss.backward()
    assert loss == 0
    assert all(p.grad is not None and not p.grad.any() for p in head.parameters())


def test_a_head_counts_no_shared_parameter(language):
    head, _ = bound(language, MTPHead)
    inside = {id(p) for p in head.parameters()}
    assert inside.isdisjoint({id(p) for p in language.parameters()})
    assert not any("embed" in name for name in head.state_dict())


@pytest.mark.parametrize("visual_input", [None, "shared_token", "masked"])
def test_tables_of_its_own_are_read_and_trained(language, visual_input):
    """Copies of the trunk's tables give the trunk's loss; then each has a gradient of its own."""
    kind, arguments = (MTPHead, {}) if visual_input is None else (MMTPHead, {"visual_input": visual_input})
    plain, lm = bound(language, kind, depth=2, shared=False, **arguments)
    own, _ = bound(language, kind, depth=2, shared=False, own_tables=True, **arguments)
    own.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        for step in own.steps:
            step.embed.weight.copy_(language.embed.weight)
            step.unembed.weight.copy_(lm.unembed.weight)
    assert {"steps.0.embed.weight", "steps.1.unembed.weight"} <= own.state_dict().keys()
    batch = pack()
    hidden = hidden_of(batch)
    own.bind(language, lm)
    loss, expected = own(hidden, batch)[0], plain(hidden, batch)[0]
    torch.testing.assert_close(loss, expected)
    tables = [table for step in own.steps for table in (step.embed.weight, step.unembed.weight)]
    found = torch.autograd.grad(loss, [*tables, language.embed.weight], allow_unused=True)
    assert found[-1] is None
    wanted = torch.autograd.grad(expected, [language.embed.weight, lm.unembed.weight])
    torch.testing.assert_close(found[0] + found[2], wanted[0])
    torch.testing.assert_close(found[1] + found[3], wanted[1])


def test_shapes(language):
    head, lm = bound(language, MMTPHead)
    assert lm.shapes(Spec("hidden", WIDTH)) == head.shapes(Spec("hidden", WIDTH)) == Spec("logits", VOCAB)
    with pytest.raises(ValueError, match=r"head/mmtp takes hidden of width 16, but is handed width 17"):
        head.shapes(Spec("hidden", 17))


def errors():
    size = {"width": WIDTH, "vocab": VOCAB}
    yield lambda language: LMHead(width=0, vocab=3), "head/lm: width is 0; it must be at least 1"
    yield (
        lambda language: LMHead(width=8, vocab=3).bind(language),
        "head/lm: width 8 and vocab 3, but the language",
    )
    yield lambda language: LMHead(tied=True, **size).weight, "tied weights need bind"
    yield lambda language: MTPHead(depth=0, **size), "head/mtp: depth is 0"
    yield (
        lambda language: MTPHead(**size).bind(language),
        "head/mtp: it predicts with the matrix of a head/lm",
    )
    yield (
        lambda language: MTPHead(width=8, vocab=VOCAB).bind(language, LMHead(**size)),
        "head/mtp: width 8, but the language's is 16",
    )
    yield lambda language: MTPHead(**size)(torch.randn(17, WIDTH), pack()), "bind.* comes before"
    yield (
        lambda language: MMTPHead(visual_input="none", **size),
        "visual_input is 'none'; one of shared_token, v",
    )
    yield (
        lambda language: bound(language, MMTPHead, visual_input="visual_embedding")[0](
            torch.randn(17, WIDTH), pack()
        ),
        "inputs_embeds",
    )


@pytest.mark.parametrize(
    ("action", "message"), list(errors()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_errors_are_one_line(language, action, message):
    with pytest.raises((ValueError, RuntimeError), match=message) as caught:
        action(language)
    assert "\n" not in str(caught.value)
