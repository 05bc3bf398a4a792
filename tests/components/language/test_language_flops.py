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
from vlmloom.components.language import GLM
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


def counted(call):
    mapping = {
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: sdpa,
        torch.ops.aten._grouped_mm: grouped_mm,
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
