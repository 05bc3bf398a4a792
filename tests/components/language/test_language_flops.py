"""Declared FLOPs equal what torch counts, with the ops that it counts as zero registered.

Convention: causal attention counts half of the square, on every backend; torch counts the whole.
Segments are long enough for the fused kernel, which says whether it is causal; plain products do not.
"""

from functools import partial

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from vlmloom.components.attention import SDPA
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.head import LMHead, MMTPHead, MTPHead
from vlmloom.components.language import GLM, GLMDSA, selection
from vlmloom.components.moe import SigmoidBias

WIDTH, VOCAB = 32, 50
DENSE = {"ffn": partial(SwiGLU, hidden=24)}
LENGTHS = [72, 72, 72]


def sparse(backend):
    shared = partial(SwiGLU, hidden=16)
    return {"ffn": partial(SigmoidBias, hidden=16, experts=4, top_k=2, shared=shared, backend=backend)}


def sdpa(query, key, value, dropout=0.0, causal=False, *rest, out_shape=None, **options):
    return sdpa_flop_count(query, key, value) // (2 if causal else 1)


def grouped_mm(x, weight, *rest, out_shape=None, **options):
    return 2 * x[0] * x[1] * weight[2]


def weighted_bags(weight, places, *rest, out_shape=None, **options):
    return 2 * places[0] * weight[1]


def counted(call):
    mapping = {
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: sdpa,
        torch.ops.aten._grouped_mm: grouped_mm,
        torch.ops.aten._embedding_bag: weighted_bags,
        torch.ops.aten._embedding_bag_forward_only: weighted_bags,
    }
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        call()
    return counter.get_total_flops()


def language(*layers):
    return GLM(
        vocab=VOCAB, width=WIDTH, depth=len(layers), heads=4, kv_heads=2, layers=layers, attention=SDPA()
    )


def pack():
    total = sum(LENGTHS)
    ids = torch.arange(total) % VOCAB
    return Packed(
        ids=ids,
        labels=ids.masked_fill(torch.arange(total) % 72 < 4, -100),
        weights=torch.ones(total),
        positions=torch.arange(72).repeat(3, 3),
        boundaries=torch.tensor([0, 72, 144, 216]),
        lengths=LENGTHS,
        visual_slots=torch.empty(0, dtype=torch.long),
        modality=torch.zeros(total, dtype=torch.long),
        tags=[],
    )


def test_ffn():
    ffn = SwiGLU(width=WIDTH, hidden=24)
    assert counted(lambda: ffn(torch.randn(10, WIDTH), [10])) == ffn.flops(10)


@pytest.mark.parametrize("backend", ["loop", "grouped_mm"])
def test_moe(backend):
    moe = sparse(backend)["ffn"](width=WIDTH)
    assert counted(lambda: moe(torch.randn(10, WIDTH), [10])) == moe.flops(10)


@pytest.mark.parametrize("backend", ["loop", "grouped_mm"])
def test_language(backend):
    glm, batch = language(DENSE, sparse(backend)), pack()
    hidden = glm.embed(batch.ids)
    assert counted(lambda: glm(hidden, batch.positions, LENGTHS)) == glm.flops(LENGTHS)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("cls", [LMHead, MTPHead, MMTPHead])
def test_heads(cls, tied):
    glm, batch = language(DENSE), pack()
    lm = LMHead(width=WIDTH, vocab=VOCAB, tied=tied)
    lm.bind(glm)
    head = lm if cls is LMHead else cls(width=WIDTH, vocab=VOCAB, depth=2)
    head.bind(glm, lm)
    hidden = torch.randn(len(batch.ids), WIDTH)
    targets = int((batch.labels >= 0).sum())
    assert counted(lambda: head(hidden, batch)) == head.flops(LENGTHS, targets)


def selective(top_k, *layers, **arguments):
    return GLMDSA(
        vocab=VOCAB, width=WIDTH, depth=len(layers), heads=3, query_rank=12, kv_rank=10, nope_size=6,
        rope_size=4, value_size=10, index_heads=8, index_size=16, index_top_k=top_k, layers=layers,
        attention=SDPA(), **arguments,
    )  # fmt: skip


def test_latent_attention_to_all_that_is_seen():
    glm, batch = selective(72, DENSE), pack()
    hidden = glm.embed(batch.ids)
    assert counted(lambda: glm(hidden, batch.positions, LENGTHS)) == glm.flops(LENGTHS)


def test_latent_attention_to_what_is_selected(monkeypatch):
    """A row at a time, what is done differs from what is declared by what reading latents costs."""
    monkeypatch.setattr(selection, "WORK", 1)
    length, top_k = 80, 72
    glm = selective(top_k, DENSE, {**DENSE, "indexer": "shared"})
    hidden = torch.randn(length, WIDTH)
    done = counted(lambda: glm(hidden, torch.arange(length).expand(3, -1), [length]))
    chosen = length - top_k
    latents = 2 * chosen * top_k * 3 * ((10 + 4 + 10) - (6 + 4 + 10))
    diagonal = chosen * 8 * (16 + 1)
    assert done - glm.flops([length]) == 2 * latents + diagonal


def test_the_loss_of_an_indexer(monkeypatch):
    """A row at a time, each row compares its half of the diagonal more than is declared."""
    monkeypatch.setattr(selection, "WORK", 1)
    glm, batch = selective(72, DENSE, index_loss=1.0, select=False), pack()
    hidden = glm.embed(batch.ids)
    done = counted(lambda: glm(hidden, batch.positions, LENGTHS))
    assert done - glm.flops(LENGTHS) == sum(LENGTHS) * (8 * (16 + 1) + 3 * 10)


def test_pairs_are_half_the_square_and_then_top_k():
    for length in (1, 5, 9):
        assert selection.pairs(length, 5) == sum(2 * row + 1 if row < 5 else 10 for row in range(length))
        assert selection.pairs(length, None) == length**2
