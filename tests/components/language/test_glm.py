"""language/glm: packed equals one by one, cached equals uncached, and the forward pass's other promises."""

from functools import partial

import pytest
import torch
from torch import nn

from vlmloom.components.attention import SDPA
from vlmloom.components.contracts.mask import Causal, CausalWithImages, MessageTree
from vlmloom.components.contracts.packed import Span
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.language import GLM
from vlmloom.components.moe import SigmoidBias

VOCAB, WIDTH = 29, 32
DENSE = {"ffn": partial(SwiGLU, hidden=24, init_std=0.2)}
SPARSE = {
    "ffn": partial(
        SigmoidBias,
        hidden=8,
        experts=4,
        top_k=2,
        shared=partial(SwiGLU, hidden=8),
        init_std=0.2,
        balance_loss=1.0,
    )
}
VARIANTS = {
    "dense": {},
    "experts": {"layers": [DENSE, SPARSE, SPARSE]},
    "sandwich_interleaved": {"sandwich_norm": True, "rotation": "interleaved", "qkv_bias": False},
    "qk_norm_full_rotation": {"qk_norm": True, "rotary_fraction": 1.0, "head_size": 6, "kv_heads": 4},
}
LENGTHS = [5, 0, 1, 9, 4]


def make(**arguments):
    torch.manual_seed(0)
    arguments = {"kv_heads": 2, "layers": [DENSE] * 3, "attention": SDPA(), "init_std": 0.2, **arguments}
    return GLM(vocab=VOCAB, width=WIDTH, depth=len(arguments["layers"]), heads=4, **arguments)


def pack(lengths, seed=1):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, VOCAB, (sum(lengths),), generator=generator)
    # Positions that no axis shares, as pictures make them.
    positions = [
        torch.arange(length) + torch.randint(0, 4, (3, length), generator=generator)
        for length in (*lengths, 0)
    ]
    return ids, torch.cat(positions, 1)


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


def test_gradients_of_a_pack_equal_those_of_its_samples():
    glm = make(layers=[DENSE, SPARSE])
    ids, positions = pack(LENGTHS)
    together = glm(glm.embed(ids), positions, LENGTHS)[0].square().sum()
    alone = sum(
        glm(glm.embed(own), at, [len(own)])[0].square().sum()
        for own, at in zip(ids.split(LENGTHS), positions.split(LENGTHS, 1), strict=True)
    )
    parameters = list(glm.parameters())
    for one, other in zip(
        torch.autograd.grad(together, parameters), torch.autograd.grad(alone, parameters), strict=True
    ):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("lengths", [[], [0], [1], [1, 1]])
def test_empty_and_one_token_packs_train(lengths):
    glm = make(layers=[DENSE, SPARSE])
    ids, positions = pack(lengths)
    hidden, metrics = glm(glm.embed(ids), positions, lengths)
    assert hidden.shape == (sum(lengths), WIDTH)
    (hidden.square().sum() + metrics["loss/expert_balance"]).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in glm.parameters())


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


def test_equal_prompts_decode_without_a_mask_and_kept_rows_go_on():
    glm = make().eval()
    ids = torch.arange(12) % VOCAB
    cache = glm.cache(3, 8)
    glm(glm.embed(ids), cache.positions([4] * 3), [4] * 3, cache=cache)
    step = cache.plan([1] * 3, Causal())
    assert step.even == 4 and step.seen is None
    cache.keep([2, 0])
    new = torch.tensor([7, 9])
    got, _ = glm(glm.embed(new), cache.positions([1, 1]), [1, 1], cache=cache)
    for row, first in enumerate((8, 0)):
        whole = torch.cat([ids[first : first + 4], new[row : row + 1]])
        wanted, _ = glm(glm.embed(whole), torch.arange(5).expand(3, -1), [5])
        torch.testing.assert_close(got[row], wanted[-1], atol=1e-5, rtol=1e-4)


def test_positions_go_on_after_a_picture():
    glm = make()
    cache = glm.cache(2, 20)
    positions = torch.tensor([[0, 1, 1, 1, 0, 1], [0, 1, 1, 2, 0, 1], [0, 1, 2, 1, 0, 1]])
    glm(torch.zeros(6, WIDTH), positions, [4, 2], cache=cache)
    assert cache.following == [3, 2]
    assert cache.positions([1, 2]).tolist() == [[3, 2, 3]] * 3


@pytest.mark.parametrize("everywhere", [False, True])
def test_pictures_continue_from_a_cache(everywhere):
    """A turn with a picture of its own, read after the first turn, equals both read at once."""
    glm = make().eval()
    ids, positions = pack([4, 6])
    picture = torch.tensor([-1, 0, 0, -1, -1, 1, 1, 1, 2, -1])
    mask = partial(CausalWithImages, everywhere=everywhere)
    cache = glm.cache(1, 12)
    glm(glm.embed(ids[:4]), positions[:, :4], [4], mask=mask(picture[:4]), cache=cache)
    got, _ = glm(glm.embed(ids[4:]), positions[:, 4:], [6], mask=mask(picture[4:]), cache=cache)
    wanted, _ = glm(glm.embed(ids), positions, [10], mask=mask(picture))
    if everywhere:
        # Keys of an earlier turn cannot see forward, but what the new turn's own layer 0 reads is the same.
        assert not torch.allclose(got, glm(glm.embed(ids), positions, [10])[0][4:], atol=1e-4)
    else:
        torch.testing.assert_close(got, wanted[4:], atol=1e-5, rtol=1e-4)


def test_image_mask_equals_the_mask_described():
    """Two pictures that touch differ in time; adjacent slots of one picture do not."""
    ids, positions = pack([7, 5])
    positions[0] = torch.tensor([0, 1, 1, 2, 2, 3, 4, 0, 0, 1, 2, 3])
    slots = torch.tensor([1, 2, 3, 4, 7, 8])
    picture = torch.tensor([-1, 0, 0, 1, 1, -1, -1, 2, 2, -1, -1, -1])
    causal = make()
    hidden = causal.embed(ids)
    for kind, everywhere in (("bidirectional", False), ("everywhere", True)):
        glm = make(image_mask=kind)
        got, _ = glm(hidden, positions, [7, 5], visual_slots=slots)
        wanted, _ = causal(hidden, positions, [7, 5], mask=CausalWithImages(picture, everywhere))
        torch.testing.assert_close(got, wanted)
        assert not torch.allclose(got, causal(hidden, positions, [7, 5], visual_slots=slots)[0])
        torch.testing.assert_close(
            glm(hidden, positions, [7, 5], visual_slots=slots[:0])[0], causal(hidden, positions, [7, 5])[0]
        )


def test_taps_and_injection():
    glm = make()
    ids, positions = pack(LENGTHS)
    hidden, slots = glm.embed(ids), torch.tensor([1, 7])
    extra = torch.randn(2, WIDTH)
    out, _ = glm(hidden, positions, LENGTHS, taps=(0, 2))
    assert sorted(glm.tapped) == [0, 2]
    torch.testing.assert_close(glm.norm(glm.tapped[2]), out)
    before = glm.tapped[0]
    glm(hidden, positions, LENGTHS, inject={0: extra}, visual_slots=slots, taps=(0,))
    torch.testing.assert_close(glm.tapped[0] - before, torch.zeros_like(before).index_add(0, slots, extra))


def test_metrics_of_layers_are_summed_or_averaged():
    glm = make(layers=[DENSE, SPARSE, SPARSE])
    ids, positions = pack(LENGTHS)
    seen = []
    for block in glm.blocks:
        block.ffn.register_forward_hook(lambda module, inputs, output: seen.append(output[1]))
    _, metrics = glm(glm.embed(ids), positions, LENGTHS)
    parts = [one for one in seen if one]
    torch.testing.assert_close(
        metrics["loss/expert_balance"], sum(one["loss/expert_balance"] for one in parts)
    )
    torch.testing.assert_close(metrics["expert_load"], sum(one["expert_load"] for one in parts) / 2)


def test_other_masks_reach_the_backend():
    glm = make()
    ids, positions = pack([6])
    tree = MessageTree(torch.tensor([0, 0, 1, 1, 2, 2]))
    got, _ = glm(glm.embed(ids), positions, [6], mask=tree)
    kept = [0, 1, 4, 5]
    wanted, _ = glm(glm.embed(ids[kept]), positions[:, kept], [4])
    torch.testing.assert_close(got[kept], wanted, atol=1e-5, rtol=1e-5)


def test_a_block_for_heads_is_fresh_and_of_the_last_kind():
    glm = make(layers=[DENSE, SPARSE])
    block = glm.make_block()
    assert isinstance(block.ffn, SigmoidBias)
    assert {id(p) for p in block.parameters()}.isdisjoint({id(p) for p in glm.parameters()})
    hidden = torch.randn(3, WIDTH)
    assert glm.run_block(block, hidden, torch.arange(3).expand(3, -1), [3])[0].shape == (3, WIDTH)


def test_queries_keys_and_values_are_matrices_of_their_own_to_muon():
    """One fused matrix would be orthogonalised as a whole."""
    weight = make().blocks[0].qkv.weight
    assert weight.muon_splits == (32, 16, 16) and sum(weight.muon_splits) == len(weight)


def test_default_attention_comes_from_the_registry():
    assert isinstance(make(attention=None).attention, SDPA)


def test_active_parameters_and_shapes():
    glm = make(layers=[DENSE, SPARSE])
    idle = 2 * 3 * WIDTH * 8
    assert glm.active_parameters() == sum(p.numel() for p in glm.parameters()) - idle
    assert glm.shapes(Spec("visual", WIDTH)) == glm.shapes(Spec("hidden", WIDTH)) == Spec("hidden", WIDTH)
    with pytest.raises(ValueError, match="language/glm takes visual of width 32, but is handed width 31"):
        glm.shapes(Spec("visual", 31))


def test_bf16_keeps_the_frequencies_in_fp32():
    glm = make()
    far = torch.full((3, 1), 4001)
    wanted = glm.rotary(far, torch.float32)
    got = glm.bfloat16().rotary(far, torch.float32)
    torch.testing.assert_close(got, wanted)
    ids, positions = pack(LENGTHS)
    assert glm(glm.embed(ids), positions, LENGTHS)[0].dtype == torch.bfloat16


def test_state_dict_round_trip():
    one, other = make(layers=[DENSE, SPARSE]), make(layers=[DENSE, SPARSE])
    nn.init.normal_(other.embed.weight)
    one.load_state_dict(other.state_dict())
    ids, positions = pack(LENGTHS)
    torch.testing.assert_close(
        one(one.embed(ids), positions, LENGTHS)[0],
        other(other.embed(ids), positions, LENGTHS)[0],
        rtol=0,
        atol=0,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocab": 0}, "vocab is 0; it must be at least 1"),
        ({"heads": 5}, "heads 5 do not divide width 32; change one or set head_size"),
        ({"kv_heads": 3}, "kv_heads 3 do not divide heads 4"),
        (
            {"rotary_fraction": 0.4},
            "rotary_fraction 0.4 of head_size 8 rotates 3 components; it must be an even",
        ),
        ({"rotary_fraction": 1.5}, "rotary_fraction 1.5 of head_size 8 rotates 12"),
        ({"mrope_sections": (1, 1, 1)}, r"mrope_sections \[1, 1, 1\] must be three numbers that sum to 2"),
        ({"layers": [DENSE] * 2, "depth": 3}, "depth is 3, but layers describes 2"),
        ({"image_mask": "none"}, "image_mask is 'none'; one of causal, bidirectional, everywhere"),
        ({"rotation": "full"}, "rotation is 'full'; one of half, interleaved"),
    ],
)
def test_errors_are_one_line(arguments, message):
    whole = {
        "vocab": 5,
        "width": 32,
        "depth": 2,
        "heads": 4,
        "layers": [DENSE] * 2,
        "attention": SDPA(),
        **arguments,
    }
    with pytest.raises(ValueError, match=f"^language/glm: {message}") as caught:
        GLM(**whole)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ids", [[3, 29, 1], [3, -1, 1]])
def test_ids_outside_the_vocabulary(ids):
    message = f"^language/glm: id {ids[1]} at place 1 is outside the vocabulary of 29; ids are 0 to 28$"
    with pytest.raises(ValueError, match=message):
        make().embed(torch.tensor(ids))


def test_contexts_longer_than_the_positions():
    """A picture of 4 x 4 reaches no further than four positions, whatever its tokens."""
    glm = make(max_positions=6)
    message = "^language/glm: a context of 7 positions, but max_positions is 6; shorten it, or raise max_posi"
    assert glm.positions([Span(2), Span(16, (1, 4, 4))]).max() == 5
    with pytest.raises(ValueError, match=message):
        glm.positions([Span(2), Span(16, (1, 4, 4)), Span(1)])
    hidden = torch.zeros(7, WIDTH)
    with pytest.raises(ValueError, match=message):
        glm(hidden, torch.arange(7).expand(3, -1), [7])
    cache = glm.cache(2, 9)
    glm(hidden[:5], cache.positions([4, 1]), [4, 1], cache=cache)
    glm(hidden[:2], cache.positions([2, 0]), [2, 0], cache=cache)
    with pytest.raises(ValueError, match=message):
        glm(hidden[:2], cache.positions([1, 1]), [1, 1], cache=cache)
    assert cache.lengths == [6, 1]
    with pytest.raises(ValueError, match="max_positions is 0; it must be at least 1"):
        make(max_positions=0)


def test_errors_of_the_forward_pass():
    glm = make()
    ids, positions = pack([4])
    hidden = glm.embed(ids)
    with pytest.raises(ValueError, match="layer 3 was asked for; there are layers 0 to 2"):
        glm(hidden, positions, [4], taps=(3,))
    with pytest.raises(ValueError, match="inject needs visual_slots"):
        glm(hidden, positions, [4], inject={0: hidden})
    with pytest.raises(ValueError, match="the cache holds 3 tokens a sequence, but 4 are needed"):
        glm(hidden, positions, [4], cache=glm.cache(1, 3))
    with pytest.raises(ValueError, match="the cache holds 2 sequences, but 1 lengths were given"):
        glm(hidden, positions, [4], cache=glm.cache(2, 9))
    cache = glm.cache(1, 9)
    glm(hidden, positions, [4], cache=cache)
    with pytest.raises(ValueError, match="MessageTree cannot go on from a cache"):
        glm(hidden, positions, [4], mask=MessageTree(torch.zeros(4, dtype=torch.long)), cache=cache)
