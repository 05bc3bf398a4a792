"""The contract `Cache` of every language part: forget, drop, repeat, enlarge, and go on as if never read."""

from functools import partial

import pytest
import torch

from vlmloom.components.attention import SDPA
from vlmloom.components.contracts.packed import Span
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.language import GLM, GLMDSA, HF

VOCAB, WIDTH = 29, 32
LAYERS = [{"ffn": partial(SwiGLU, hidden=24, init_std=0.2)}] * 2
SIZES = {"query_rank": 12, "kv_rank": 10, "nope_size": 6, "rope_size": 4, "value_size": 8}
INDEX = {"index_heads": 8, "index_size": 8, "index_top_k": 4}


HF_BASE = {
    "vocab_size": VOCAB, "hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "pad_token_id": None, "bos_token_id": None,
    "eos_token_id": None, "initializer_range": 0.2,
}  # fmt: skip
HF_MODELS = {
    "hf_llama": {"model_type": "llama"},
    "hf_windows": {"model_type": "mistral", "sliding_window": 3},
    "hf_batches": {
        "model_type": "gpt_oss",
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "head_dim": 8,
        "sliding_window": 3,
    },
}


@pytest.fixture(params=["glm", "glm_dsa", *HF_MODELS])
def language(request):
    torch.manual_seed(0)
    if request.param in HF_MODELS:
        pytest.importorskip("transformers")
        return HF(config=HF_BASE | HF_MODELS[request.param], attention=SDPA()).eval()
    common = {
        "vocab": VOCAB,
        "width": WIDTH,
        "depth": 2,
        "layers": LAYERS,
        "attention": SDPA(),
        "init_std": 0.2,
    }
    if request.param == "glm":
        return GLM(heads=4, kv_heads=2, **common).eval()
    return GLMDSA(heads=3, **SIZES, **INDEX, **common).eval()


@torch.no_grad()
def read(language, cache, rows):
    """Read new tokens of each sequence; their final hidden states."""
    lengths = [len(row) for row in rows]
    ids = torch.tensor([token for row in rows for token in row], dtype=torch.long)
    return language(language.embed(ids), None, lengths, cache=cache)[0].split(lengths)


@torch.no_grad()
def whole(language, row):
    """The final hidden states of one sequence read at once."""
    positions = torch.from_numpy(language.positions([Span(len(row))]))
    return language(language.embed(torch.tensor(row)), positions, [len(row)])[0]


def close(got, wanted):
    torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


def test_text_goes_on_without_positions(language):
    cache = language.cache(2, 9)
    read(language, cache, [[1, 2, 3, 4, 5], [6, 7]])
    got = read(language, cache, [[8], [9, 10, 11]])
    close(got[0], whole(language, [1, 2, 3, 4, 5, 8])[-1:])
    close(got[1], whole(language, [6, 7, 9, 10, 11])[-3:])
    assert (cache.lengths, cache.following) == ([6, 5], [6, 5])


def test_rolled_back_rows_go_on_as_if_they_had_never_read(language):
    """Unequal rollbacks, as drafts of unequal acceptance make them."""
    cache = language.cache(3, 12)
    read(language, cache, [[1, 2, 3, 4, 5, 6], [7, 8, 9], [10, 11]])
    read(language, cache, [[20, 21, 22], [23, 24, 25], [26, 27, 28]])
    cache.roll_back([6, 4, 5])
    assert cache.following == [6, 4, 5]
    got = read(language, cache, [[12, 13], [14, 15], [16]])
    close(got[0], whole(language, [1, 2, 3, 4, 5, 6, 12, 13])[-2:])
    close(got[1], whole(language, [7, 8, 9, 23, 14, 15])[-2:])
    close(got[2], whole(language, [10, 11, 26, 27, 28, 16])[-1:])


def test_a_rollback_over_a_picture_is_told_its_positions(language):
    if isinstance(language, HF):
        pytest.skip("its positions are a running index")
    cache = language.cache(1, 12)
    layout = [Span(2), Span(4, (1, 2, 2)), Span(1)]
    positions = torch.from_numpy(language.positions(layout))
    language(torch.zeros(7, WIDTH), positions, [7], cache=cache)
    assert cache.following == [5]
    cache.roll_back([2], following=[2])
    assert cache.positions([2]).tolist() == [[2, 3]] * 3


def test_kept_rows_go_on_and_a_repeated_row_goes_on_in_several_ways(language):
    cache = language.cache(3, 8)
    read(language, cache, [[1, 2, 3], [4, 5], [6, 7, 8, 9]])
    cache.keep([2, 0, 2])
    assert (cache.batch, cache.lengths) == (3, [4, 3, 4])
    got = read(language, cache, [[10], [11], [12]])
    for out, row in zip(got, ([6, 7, 8, 9, 10], [1, 2, 3, 11], [6, 7, 8, 9, 12]), strict=True):
        close(out, whole(language, row)[-1:])


def test_an_enlarged_cache_holds_what_it_held(language):
    cache = language.cache(2, 3)
    read(language, cache, [[1, 2, 3], [4]])
    cache.reserve(6)
    cache.reserve(2)
    assert cache.capacity == 6
    got = read(language, cache, [[5, 6], [7]])
    close(got[0], whole(language, [1, 2, 3, 5, 6])[-2:])
    close(got[1], whole(language, [4, 7])[-1:])


def test_a_block_of_its_own_reads_from_a_cache_of_its_own(language):
    if isinstance(language, HF) and not language.packed:
        pytest.skip("it has no block")
    block = language.make_block().eval()
    torch.manual_seed(3)
    hidden, positions = torch.randn(7, WIDTH), torch.arange(7).expand(3, -1)
    wanted, _ = language.run_block(block, hidden, positions, [7])
    cache = language.block_cache(1, 7)
    pieces = [
        language.run_block(block, hidden[part], positions[:, part], [part.stop - part.start], cache=cache)[0]
        for part in (slice(0, 4), slice(4, 5), slice(5, 7))
    ]
    close(torch.cat(pieces), wanted)


def test_errors(language):
    cache = language.cache(1, 8)
    read(language, cache, [[1, 2]])
    with pytest.raises(ValueError, match="sequence 0 holds 2 tokens; it cannot be rolled back to 3"):
        cache.roll_back([3])
    with pytest.raises(ValueError, match="positions may be None only where a cache goes on"):
        language(torch.zeros(1, WIDTH), None, [1])
