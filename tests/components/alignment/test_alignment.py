"""Sigmoid and softmax alignment: the plain formulas, one process and several."""

import numpy as np
import pytest
import torch
from largest import Largest
from torch import distributed, multiprocessing
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from vlmloom.components.alignment.pairs import sigmoid_pairs, softmax_pairs
from vlmloom.components.alignment.pool import AttentionPool
from vlmloom.components.alignment.sigmoid import SigmoidAlignment
from vlmloom.components.alignment.softmax import SoftmaxAlignment
from vlmloom.components.contracts.visuals import VisualFeatures

WIDTH = 8
COUNTS = {1: [13], 2: [9, 4], 4: [3, 6, 0, 4]}
"""Pairs of each rank: ragged, and one rank may have none."""
KINDS = {"sigmoid": SigmoidAlignment, "softmax": SoftmaxAlignment}


def draw(seed=0, count=13):
    """Unnormalised embeddings; captions 2 and 7 are equal, and so are 0 and 12 (on different ranks)."""
    generator = torch.Generator().manual_seed(seed)
    x, z = (torch.randn(count, WIDTH, generator=generator, dtype=torch.float64) for _ in range(2))
    labels = torch.arange(count)
    labels[7], labels[12] = 2, 0
    return x, z, labels


def make(kind):
    torch.manual_seed(0)
    return KINDS[kind](vision_width=WIDTH, text_width=WIDTH, width=WIDTH, heads=2).double()


def plain(kind, module, x, z, labels):
    """The loss over all pairs at once, written out."""
    logits = module.log_scale.exp() * F.normalize(x, dim=-1) @ F.normalize(z, dim=-1).T
    same = labels[:, None] == labels
    if kind == "sigmoid":
        return -F.logsigmoid(torch.where(same, 1.0, -1.0) * (logits + module.bias)).sum() / len(x)
    target = same.double() / same.sum(1, keepdim=True)
    ways = [-(target * way.log_softmax(1)).sum(1).mean() for way in (logits, logits.T)]
    return sum(ways) / 2


def ours(module, x, z, labels):
    return module.compare(F.normalize(x, dim=-1), F.normalize(z, dim=-1), labels)


@pytest.mark.parametrize("kind", KINDS)
def test_one_process_is_the_plain_formula(kind):
    module, (x, z, labels) = make(kind), draw()
    x.requires_grad_(), z.requires_grad_()
    learned = [module.log_scale] + ([module.bias] if kind == "sigmoid" else [])
    loss, _ = ours(module, x, z, labels)
    expected = plain(kind, module, x, z, labels)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        torch.autograd.grad(2 * loss, [x, z, *learned]),
        torch.autograd.grad(2 * expected, [x, z, *learned]),
        rtol=1e-5,
        atol=1e-6,
    )


def kept(kind, count):
    """Bytes that so many pairs of this rank keep for the way back."""
    module, held = make(kind).float(), {}

    def pack(tensor):
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    x, z = (torch.randn(count, WIDTH, requires_grad=True) for _ in range(2))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss, _ = ours(module, x, z, torch.arange(count))
    assert loss.requires_grad
    return sum(held.values())


def _rank(rank, world, folder, results):
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/{world}", rank=rank, world_size=world
    )
    start = sum(COUNTS[world][:rank])
    mine = slice(start, start + COUNTS[world][rank])
    for kind in KINDS:
        module, (x, z, labels) = make(kind), draw()
        # One matrix that all ranks share stands for the towers.
        tower = torch.eye(WIDTH, dtype=torch.float64).mul_(1.5).requires_grad_()
        loss, metrics = ours(module, x[mine] @ tower, z[mine] @ tower.T, labels[mine])
        loss.backward()
        grads = [tower.grad, module.log_scale.grad] + ([module.bias.grad] if kind == "sigmoid" else [])
        for value in (loss.detach(), *grads):
            distributed.all_reduce(value)
        results[world, rank, kind] = [loss.item() / world, *((grad / world).numpy() for grad in grads)]
        results[world, rank, kind, "hit"] = float(metrics["retrieval"])
        results[world, rank, kind, "kept"] = kept(kind, 64)
    distributed.destroy_process_group()


@pytest.mark.parametrize("worlds", [(2,), pytest.param((2, 4), marks=pytest.mark.slow)])
def test_several_processes_have_the_loss_and_the_gradients_of_one(worlds, tmp_path):
    """The mean over ranks, as DDP takes it, for ragged shares of the same thirteen pairs."""
    with multiprocessing.Manager() as manager:
        results = manager.dict()
        for world in worlds:
            multiprocessing.spawn(_rank, (world, str(tmp_path), results), nprocs=world)
        found = dict(results)
    for kind in KINDS:
        module, (x, z, labels) = make(kind), draw()
        tower = torch.eye(WIDTH, dtype=torch.float64).mul_(1.5).requires_grad_()
        loss = plain(kind, module, x @ tower, z @ tower.T, labels)
        loss.backward()
        expected = [tower.grad, module.log_scale.grad] + ([module.bias.grad] if kind == "sigmoid" else [])
        for world in worlds:
            for rank in range(world):
                value, *grads = found[world, rank, kind]
                assert value == pytest.approx(loss.item(), rel=1e-6)
                for grad, wanted in zip(grads, expected, strict=True):
                    np.testing.assert_allclose(grad, wanted.numpy(), rtol=1e-5, atol=1e-6)
        memory = {found[world, rank, kind, "kept"] for world in worlds for rank in range(world)}
        assert memory == {kept(kind, 64)}, "what a rank keeps for the way back does not grow with the ranks"


@pytest.mark.parametrize("rows", [1, 5, 13, None])
@pytest.mark.parametrize("pairs", [sigmoid_pairs, softmax_pairs])
def test_rows_at_a_time_change_nothing(pairs, rows):
    x, z, labels = (part.float() if part.is_floating_point() else part for part in draw())
    x, z = (F.normalize(part, dim=-1).requires_grad_() for part in (x, z))
    factors = [torch.tensor(number, requires_grad=True) for number in (9.0, -7.0)]
    factors = factors[: 2 if pairs is sigmoid_pairs else 1]
    loss, best, found = pairs(x, z, *factors, labels, labels, rows)
    whole, _, _ = pairs(x, z, *factors, labels, labels, 1000)
    torch.testing.assert_close(loss, whole)
    torch.testing.assert_close(
        torch.autograd.grad(loss, [x, z, *factors]), torch.autograd.grad(whole, [x, z, *factors])
    )
    torch.testing.assert_close(best, (x @ z.T).amax(1))
    assert torch.equal(found, labels[(x @ z.T).argmax(1)])


@pytest.mark.parametrize("kind", KINDS)
def test_memory_grows_with_the_batch_and_not_with_its_square(kind, monkeypatch):
    monkeypatch.setattr("vlmloom.components.alignment.pairs.LOGITS", 2048)
    module = make(kind).float()
    sizes = {}
    for count in (64, 256):
        x = torch.randn(count, WIDTH, requires_grad=True)
        with Largest() as largest:
            loss, _ = ours(module, x, torch.randn(count, WIDTH), torch.arange(count))
            loss.backward()
        sizes[count] = largest.found
    assert sizes[256] <= max(2048, 256 * WIDTH)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_for_the_way_back_is_linear_in_the_batch(kind):
    first, second, third = (kept(kind, count) for count in (128, 256, 512))
    # Two embeddings and their gradients, with what normalises them; one matrix of logits would be 256 KB.
    assert third - second == pytest.approx(2 * (second - first), rel=0.02) and second < 64_000


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_one_pair_is_refused_in_one_line(kind):
    x, z, labels = draw(count=13)
    with pytest.raises(ValueError, match=rf"alignment/{kind}: found 1 pair; at least 2 are needed"):
        ours(make(kind), x[:1], z[:1], labels[:1])


@pytest.mark.parametrize("kind", KINDS)
def test_retrieval_counts_a_twin_caption_as_right(kind):
    module, (x, _, labels) = make(kind), draw()
    z = x.clone()
    z[2], z[7] = x[7], x[2]  # Pictures 2 and 7 find each other's caption, which says the same.
    _, metrics = ours(module, x, z, labels)
    assert metrics["retrieval"] == 1.0
    z[[3, 4]] = z[[4, 3]]
    _, metrics = ours(module, x, z, labels)
    assert float(metrics["retrieval"]) == pytest.approx(11 / 13)


def test_the_pool_is_multi_head_attention_of_its_own_weights():
    torch.manual_seed(0)
    pool, lengths = AttentionPool(width=WIDTH, heads=2).double(), [3, 1, 6]
    torch.nn.init.normal_(pool.attention.in_proj_bias)
    tokens = torch.randn(sum(lengths), WIDTH, dtype=torch.float64, requires_grad=True)
    expected = []
    for item in tokens.split(lengths):
        pooled, _ = pool.attention(pool.query, item[None], item[None], need_weights=False)
        expected.append(pooled[0, 0] + pool.mlp(pool.norm(pooled[0, 0])))
    results, wanted = pool(tokens, lengths), torch.stack(expected)
    torch.testing.assert_close(results, wanted, rtol=1e-12, atol=1e-12)
    of, weight = [tokens, *pool.parameters()], torch.randn_like(wanted)
    gradients = (torch.autograd.grad(each, of, weight) for each in (results, wanted))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grid", [(1, 4, 4), (2, 4, 6)])
def test_declared_flops_are_those_that_torch_counts(kind, grid):
    module, items = make(kind).float().requires_grad_(False), 5
    tokens = torch.randn(items * grid[0] * grid[1] * grid[2], WIDTH)
    features = VisualFeatures(tokens, [grid] * items)
    captions, boundaries = torch.randn(3 * items, WIDTH), torch.arange(0, 3 * items + 1, 3)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.embed_pictures(features), module.embed_captions(captions, boundaries)
    comparing = 2 * items * items * WIDTH  # Counted apart: its gradients are taken on the way forth.
    assert module.flops([grid] * items) == counter.get_total_flops() + comparing
