"""language/glm_dsa: packed equals one by one, cached equals uncached, selection keeps to the mask."""

from functools import partial

import pytest
import torch
from largest import Largest
from torch import nn

from vlmloom.components.attention import SDPA
from vlmloom.components.contracts.mask import (
    Bidirectional,
    BlockCausal,
    Causal,
    CausalWithImages,
    MessageTree,
    SlidingWindow,
)
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.language import GLMDSA, selection
from vlmloom.components.moe import SigmoidBias

VOCAB, WIDTH, TOP_K = 29, 32, 4
DENSE = {"ffn": partial(SwiGLU, hidden=24, init_std=0.2)}
SPARSE = {"ffn": partial(SigmoidBias, hidden=8, experts=4, top_k=2, init_std=0.2, balance_loss=1.0)}
SHARED = {**DENSE, "indexer": "shared"}
LENGTHS = [5, 0, 1, 14, 4, 9]
VARIANTS = {
    "full": {},
    "shared": {"layers": [DENSE, SHARED, SHARED, DENSE, SHARED]},
    "experts": {"layers": [DENSE, SPARSE, {**SPARSE, "indexer": "shared"}]},
    "wide_values": {"value_size": 20},
    "no_selection": {"index_top_k": 64},
    "warm_up": {"select": False},
}


def make(**arguments):
    torch.manual_seed(0)
    sizes = {"query_rank": 12, "kv_rank": 10, "nope_size": 6, "rope_size": 4, "value_size": 8}
    index = {"index_heads": 8, "index_size": 8, "index_top_k": TOP_K}
    arguments = {**sizes, **index, "layers": [DENSE] * 3, "attention": SDPA(), "init_std": 0.2, **arguments}
    return GLMDSA(vocab=VOCAB, width=WIDTH, depth=len(arguments["layers"]), heads=3, **arguments)


def pack(lengths, seed=1):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, VOCAB, (sum(lengths),), generator=generator)
    # Positions that no axis shares, as pictures make them.
    positions = [
        torch.arange(length) + torch.randint(0, 4, (3, length), generator=generator)
        for length in (*lengths, 0)
    ]
    return ids, torch.cat(positions, 1)


@pytest.fixture(params=["one chunk", "many chunks"])
def chunks(request, monkeypatch):
    """A row a chunk, where there are many."""
    if request.param == "many chunks":
        monkeypatch.setattr(selection, "WORK", 1)


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize("variant", VARIANTS)
def test_packed_equals_one_by_one(variant):
    glm = make(**VARIANTS[variant])
    ids, positions = pack(LENGTHS)
    together, _ = glm(glm.embed(ids), positions, LENGTHS)
    alone = [
        glm(glm.embed(own), at, [len(own)])[0]
        for own, at in zip(ids.split(LENGTHS), positions.split(LENGTHS, 1), strict=True)
    ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("chunks")
def test_gradients_of_a_pack_equal_those_of_its_samples():
    glm = make(layers=[DENSE, SHARED, SPARSE])
    ids, positions = pack(LENGTHS)
    together = glm(glm.embed(ids), positions, LENGTHS)[0].square().sum()
    alone = sum(
        glm(glm.embed(own), at, [len(own)])[0].square().sum()
        for own, at in zip(ids.split(LENGTHS), positions.split(LENGTHS, 1), strict=True)
    )
    parameters = [parameter for parameter in glm.parameters() if parameter.requires_grad]
    for one, other in zip(
        torch.autograd.grad(together, parameters), torch.autograd.grad(alone, parameters), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def materialised(attention, hidden, angles, seen, top_k):
    """What one layer gives for one sample, with whole matrices: the textbook form."""
    latent = attention.latents(hidden)
    query, memory = attention.queries(latent, angles), attention.memory(hidden, angles)
    key, value = attention.expand(memory)
    indexer = attention.indexer
    scores = indexer.scores(*indexer.queries(hidden, latent, angles), indexer.keys(hidden, angles))
    scores = scores.masked_fill(~seen, -torch.inf)
    best = scores.topk(min(top_k, len(hidden)), dim=-1)
    seen = seen & torch.zeros_like(seen).scatter(1, best.indices, True)
    products = torch.einsum("qhs,khs->hqk", query, key) * attention.scale
    weights = products.masked_fill(~seen, -torch.inf).softmax(-1)
    return attention.out(torch.einsum("hqk,khv->qhv", weights, value).flatten(1)), weights, scores, seen


PICTURE = torch.tensor([-1, 0, 0, 0, -1, -1, 1, 1, -1, -1, 2, 2, 2, -1])
MASKS = {
    "causal": (Causal(), lambda q, k: k <= q),
    "bidirectional": (Bidirectional(), lambda q, k: (k == k) | (q == q)),
    "window": (SlidingWindow(6), lambda q, k: (k <= q) & (k > q - 6)),
    "blocks": (BlockCausal(3), lambda q, k: k // 3 <= q // 3),
    "tree": (
        MessageTree(torch.tensor([0] * 4 + [1] * 6 + [2] * 4)),
        lambda q, k: (k <= q) & ((k < 4) | ((k < 10) == (q < 10))),
    ),
    "images": (
        CausalWithImages(PICTURE),
        lambda q, k: (k <= q) | ((PICTURE[q] >= 0) & (PICTURE[k] == PICTURE[q])),
    ),
    "all_images": (
        CausalWithImages(PICTURE, everywhere=True),
        lambda q, k: (k <= q) | ((PICTURE[q] >= 0) & (PICTURE[k] >= 0)),
    ),
}


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize("name", MASKS)
def test_selection_keeps_to_every_mask(name):
    """In a pack, behind another sample, each mask gives what the whole matrices give."""
    mask, sees = MASKS[name]
    glm = make()
    attention = glm.blocks[0].attention
    hidden, positions = torch.randn(14, WIDTH), torch.arange(14).expand(3, -1)
    place = torch.arange(14)
    angles = glm.rotary(positions, hidden.dtype)
    wanted = materialised(attention, hidden, angles, sees(place[:, None], place[None, :]), TOP_K)[0]
    before = torch.randn(3, WIDTH)
    both = glm.rotary(torch.cat([torch.arange(3).expand(3, -1), positions], 1), hidden.dtype)
    if isinstance(mask, MessageTree):
        mask = MessageTree(torch.cat([torch.zeros(3, dtype=torch.long), mask.branch]))
    if isinstance(mask, CausalWithImages):
        mask = CausalWithImages(torch.cat([torch.full((3,), -1), mask.picture]), mask.everywhere)
    got, _, _ = attention(torch.cat([before, hidden]), both, [3, 14], mask, SDPA(), None)
    torch.testing.assert_close(got[3:], wanted, atol=1e-5, rtol=1e-5)


def test_rows_beyond_top_k_select_so_many_keys_that_they_see():
    glm = make()
    attention = glm.blocks[0].attention
    hidden, positions = torch.randn(14, WIDTH), torch.arange(14).expand(3, -1)
    angles = glm.rotary(positions, hidden.dtype)
    _, _, selected = attention(hidden, angles, [14], Causal(), SDPA(), None)
    assert [len(keys.places) for keys in selected.chosen[0]] == [14 - TOP_K]
    keys = selected.chosen[0][0]
    assert keys.places.shape == (10, TOP_K) and keys.seen.all()
    assert (keys.places <= torch.arange(TOP_K, 14)[:, None]).all()


@pytest.mark.parametrize("lengths", [[], [0], [1], [1, 1]])
def test_empty_and_one_token_packs_train(lengths):
    glm = make(layers=[DENSE, SPARSE], index_loss=1.0)
    ids, positions = pack(lengths)
    hidden, metrics = glm(glm.embed(ids), positions, lengths)
    assert hidden.shape == (sum(lengths), WIDTH)
    (hidden.square().sum() + metrics["loss/expert_balance"] + metrics["loss/indexer"]).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in glm.parameters())


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize("variant", VARIANTS)
def test_cached_equals_uncached(variant):
    """Unequal prompts packed, then several, one, and for some sequences no tokens at a time."""
    glm = make(**VARIANTS[variant]).eval()
    prompts = [5, 1, 9, 4]
    ids, _ = pack(prompts)
    cache = glm.cache(len(prompts), 30)
    rows = [own.tolist() for own in ids.split(prompts)]
    chunks = [
        rows,
        [[3, 4], [], [5, 6, 7], [1]],
        [[1], [2], [3], [4]],
        [[2], [1], [0], [8]],
        [[], [5], [], [6]],
    ]
    read = [[] for _ in prompts]
    for chunk in chunks:
        lengths = [len(new) for new in chunk]
        flat = torch.tensor([token for new in chunk for token in new])
        got, _ = glm(glm.embed(flat), cache.positions(lengths), lengths, cache=cache)
        read = [old + new for old, new in zip(read, chunk, strict=True)]
        whole = [
            glm(glm.embed(torch.tensor(row)), torch.arange(len(row)).expand(3, -1), [len(row)])[0]
            for row in read
        ]
        wanted = torch.cat([out[len(out) - new :] for out, new in zip(whole, lengths, strict=True)])
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)
    assert cache.lengths == [len(row) for row in read]


def test_equal_prompts_decode_and_kept_rows_go_on():
    glm = make(layers=[DENSE, SHARED]).eval()
    ids = torch.arange(18) % VOCAB
    cache = glm.cache(3, 8)
    glm(glm.embed(ids), cache.positions([6] * 3), [6] * 3, cache=cache)
    assert cache.plan([1] * 3, Causal()).even == 6
    cache.keep([2, 0])
    new = torch.tensor([7, 9])
    got, _ = glm(glm.embed(new), cache.positions([1, 1]), [1, 1], cache=cache)
    for row, first in enumerate((12, 0)):
        whole = torch.cat([ids[first : first + 6], new[row : row + 1]])
        wanted, _ = glm(glm.embed(whole), torch.arange(7).expand(3, -1), [7])
        torch.testing.assert_close(got[row], wanted[-1], atol=1e-5, rtol=1e-4)


def test_a_cache_holds_one_row_a_token_whatever_the_heads():
    cache = make(layers=[DENSE, SHARED, SHARED]).cache(2, 5)
    assert [layer.shape for layer in cache.latent] == [(2, 1, 5, 14)] * 3
    assert [layer.shape for layer in cache.index] == [(2, 1, 5, 8)]


def by_hand(glm, hidden, angles, top_k):
    """The mean KL of layer 0's attention and its indexer, from whole matrices."""
    seen = torch.ones(len(hidden), len(hidden), dtype=torch.bool).tril()
    _, weights, scores, seen = materialised(glm.blocks[0].attention, hidden, angles, seen, top_k)
    target = weights.mean(0)
    guess = scores.masked_fill(~seen, -torch.inf).softmax(-1)
    rows = [torch.sum(p[s] * (p[s] / q[s]).log()) for p, q, s in zip(target, guess, seen, strict=True)]
    return torch.stack(rows)


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize("select", [True, False])
def test_index_loss_is_the_divergence_from_the_attention(select):
    glm = make(layers=[DENSE], index_loss=0.5, select=select)
    lengths = [11, 3]
    ids, positions = pack(lengths)
    _, metrics = glm(glm.embed(ids), positions, lengths)
    hidden = glm.blocks[0].attention_norm(glm.embed(ids))
    rows = [
        by_hand(glm, own, glm.rotary(at, hidden.dtype), TOP_K if select else 99)
        for own, at in zip(hidden.split(lengths), positions.split(lengths, 1), strict=True)
    ]
    torch.testing.assert_close(metrics["loss/indexer"], 0.5 * torch.cat(rows).mean(), atol=1e-6, rtol=1e-5)
    assert "loss/indexer" not in glm.eval()(glm.embed(ids), positions, lengths)[1]


@pytest.mark.parametrize("select", [True, False])
def test_index_loss_trains_the_indexers_alone(select):
    glm = make(layers=[DENSE, SHARED, DENSE], index_loss=1.0, select=select)
    ids, positions = pack(LENGTHS)
    loss = glm(glm.embed(ids), positions, LENGTHS)[1]["loss/indexer"]
    loss.backward()
    for name, parameter in glm.named_parameters():
        assert (parameter.grad is not None) == ("indexer" in name), name


def test_warming_up_brings_the_indexer_to_the_attention():
    glm = make(layers=[DENSE], index_loss=1.0, select=False)
    ids, positions = pack(LENGTHS)
    optimizer = torch.optim.Adam(glm.blocks[0].attention.indexer.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        loss = glm(glm.embed(ids), positions, LENGTHS)[1]["loss/indexer"]
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]


def test_indexers_are_frozen_without_a_loss():
    glm = make()
    trained = {name for name, parameter in glm.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in glm.named_parameters() if "indexer" not in name}


def test_memory_grows_with_the_samples_not_with_the_pack():
    """A pack of many samples makes no tensor of T x T elements, on neither way."""
    glm = make(layers=[DENSE, SHARED], index_loss=1.0)
    lengths = [40] * 32
    ids, positions = pack(lengths)
    with Largest() as largest:
        hidden, metrics = glm(glm.embed(ids), positions, lengths)
        (hidden.square().sum() + metrics["loss/indexer"]).backward()
    assert 0 < largest.found < sum(lengths) ** 2 / 8


def test_a_block_for_heads_has_its_own_indexer():
    glm = make(layers=[DENSE, {**SPARSE, "indexer": "shared"}])
    block = glm.make_block()
    assert isinstance(block.ffn, SigmoidBias) and block.attention.indexer is not None
    assert {id(p) for p in block.parameters()}.isdisjoint({id(p) for p in glm.parameters()})
    hidden = torch.randn(9, WIDTH)
    positions = torch.arange(9).expand(3, -1)
    out, _ = glm.run_block(block, hidden, positions, [9])
    assert out.shape == (9, WIDTH)
    other = make(layers=[DENSE, SPARSE])
    other.blocks[1].load_state_dict(block.state_dict())
    angles = other.rotary(positions, hidden.dtype)
    wanted, _, _ = other.blocks[1](hidden, angles, [9], Causal(), SDPA())
    torch.testing.assert_close(out, wanted)


def test_taps_and_injection():
    glm = make()
    ids, positions = pack(LENGTHS)
    hidden, slots = glm.embed(ids), torch.tensor([1, 7])
    out, _ = glm(hidden, positions, LENGTHS, taps=(0, 2))
    torch.testing.assert_close(glm.norm(glm.tapped[2]), out)
    before, extra = glm.tapped[0], torch.randn(2, WIDTH)
    glm(hidden, positions, LENGTHS, inject={0: extra}, visual_slots=slots, taps=(0,))
    torch.testing.assert_close(glm.tapped[0] - before, torch.zeros_like(before).index_add(0, slots, extra))


def test_bf16_selects_in_fp32():
    glm = make().bfloat16()
    ids, positions = pack(LENGTHS)
    assert glm(glm.embed(ids), positions, LENGTHS)[0].dtype == torch.bfloat16
    indexer = glm.blocks[0].attention.indexer
    query, weight = indexer.queries(
        torch.randn(3, WIDTH).bfloat16(),
        torch.randn(3, 12).bfloat16(),
        glm.rotary(positions[:, :3], torch.bfloat16),
    )
    assert weight.dtype == indexer.scores(query, weight, query[:, 0]).dtype == torch.float32


def test_active_parameters_and_shapes():
    glm = make(layers=[DENSE, SPARSE])
    assert glm.active_parameters() == sum(p.numel() for p in glm.parameters()) - 2 * 3 * WIDTH * 8
    assert glm.shapes(Spec("visual", WIDTH)) == glm.shapes(Spec("hidden", WIDTH)) == Spec("hidden", WIDTH)
    with pytest.raises(ValueError, match="language/glm_dsa takes visual of width 32, but is handed width 31"):
        glm.shapes(Spec("visual", 31))


def test_state_dict_keys_and_round_trip():
    one, other = make(layers=[DENSE, SHARED]), make(layers=[DENSE, SHARED])
    attention = [
        f"attention.{name}.weight"
        for name in ("query_down", "query_norm", "query_up", "kv_down", "kv_norm", "kv_up", "out")
    ]
    indexer = [f"attention.indexer.{name}.weight" for name in ("query", "key", "key_norm", "weight")]
    indexer.append("attention.indexer.key_norm.bias")
    rest = [f"{name}.weight" for name in ("attention_norm", "ffn_norm", "ffn.gate_up", "ffn.down")]
    keys = {"embed.weight", "norm.weight"}
    keys |= {f"blocks.0.{name}" for name in attention + indexer + rest}
    keys |= {f"blocks.1.{name}" for name in attention + rest}
    assert set(one.state_dict()) == keys
    nn.init.normal_(other.blocks[0].attention.indexer.key.weight)
    one.load_state_dict(other.state_dict())
    ids, positions = pack(LENGTHS)
    got, wanted = (glm(glm.embed(ids), positions, LENGTHS)[0] for glm in (one, other))
    torch.testing.assert_close(got, wanted, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocab": 0}, "vocab is 0; it must be at least 1"),
        ({"kv_rank": 0}, "kv_rank is 0; it must be at least 1"),
        ({"index_top_k": 0}, "index_top_k is 0; it must be at least 1"),
        ({"rope_size": 3}, "rope_size is 3; components turn in pairs"),
        ({"rope_size": 10}, "rope_size 10 is more than index_size 8, of which it is a part"),
        ({"mrope_sections": (1, 1, 1)}, r"mrope_sections \[1, 1, 1\] must be three numbers that sum to 2"),
        ({"index_loss": -1.0}, "index_loss is -1.0; it must not be negative"),
        ({"layers": [SHARED, DENSE]}, "indexer of layer 0 is shared; there is no layer before it"),
        (
            {"layers": [DENSE, {**DENSE, "indexer": "none"}]},
            "indexer of layer 1 is 'none'; one of full, shared",
        ),
        ({"layers": [DENSE]}, "depth is 2, but layers describes 1"),
        ({"index_rotation": "full"}, "index_rotation is 'full'; one of half, interleaved"),
    ],
)
def test_errors_are_one_line(arguments, message):
    whole = {
        "vocab": 5, "width": 32, "depth": 2, "heads": 4, "query_rank": 8, "kv_rank": 8, "nope_size": 4,
        "rope_size": 4, "value_size": 4, "index_heads": 2, "index_size": 8, "layers": [DENSE] * 2,
        "attention": SDPA(), **arguments,
    }  # fmt: skip
    with pytest.raises(ValueError, match=f"^language/glm_dsa: {message}") as caught:
        GLMDSA(**whole)
    assert "\n" not in str(caught.value)
