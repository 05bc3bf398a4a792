"""language/hf: packed equals transformers' own logits one by one, cached equals uncached, for many models."""

import sys

import pytest
import torch
from largest import Largest

from vlmloom.components.attention import SDPA
from vlmloom.components.contracts.mask import CausalWithImages, MessageTree
from vlmloom.components.contracts.packed import Packed, Span
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.head import LMHead, MTPHead
from vlmloom.components.language import HF, KVCache

transformers = pytest.importorskip("transformers")

VOCAB, WIDTH = 50, 32
LENGTHS = [7, 0, 3, 12, 9, 1]
BASE = {
    "vocab_size": VOCAB, "hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "pad_token_id": None,
    "bos_token_id": None, "eos_token_id": None,
}  # fmt: skip
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}
LATENT = {
    "num_key_value_heads": 4, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8, "v_head_dim": 12, "n_routed_experts": 4, "n_group": 1, "topk_group": 1,
}  # fmt: skip
PACKED = {
    "llama": {"tie_word_embeddings": True},
    "qwen2": {"use_sliding_window": True, "sliding_window": 4, "max_window_layers": 1},
    "qwen3_moe": {"head_dim": 16, "num_experts": 4, **EXPERTS},
    "mistral": {"sliding_window": 5},
    "glm4": {"head_dim": 16},
    "glm4_moe": {"head_dim": 16, "n_routed_experts": 4, "first_k_dense_replace": 1, **EXPERTS},
    "deepseek_v3": {"first_k_dense_replace": 1, **LATENT, **EXPERTS},
    "granite": {"logits_scaling": 2.0},
}
BATCHED = {
    "mamba": {},
    "glm_moe_dsa": {"index_topk": 4, "index_head_dim": 16, "index_n_heads": 4, **LATENT, **EXPERTS},
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 16, "sliding_window": 4},
}
MODELS = {name: {**BASE, "model_type": name, **rest} for name, rest in (PACKED | BATCHED).items()}


def make(name, **arguments):
    torch.manual_seed(0)
    language = HF(config=MODELS[name], attention=SDPA(), **arguments)
    for parameter in language.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.15)
    return language.eval()


def pack(lengths, seed=1):
    ids = torch.randint(0, VOCAB, (sum(lengths),), generator=torch.Generator().manual_seed(seed))
    positions = torch.cat([torch.arange(length) for length in (*lengths, 0)])
    return ids, positions.expand(3, -1)


@pytest.mark.parametrize("name", MODELS)
def test_packed_equals_transformers_one_by_one(name):
    language = make(name)
    assert language.packed == (name in PACKED)
    config = type(language.model.config)(**language.model.config.to_dict())
    theirs = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    theirs.load_state_dict(language.model.state_dict())
    ids, positions = pack(LENGTHS)
    out, _ = language(language.embed(ids), positions, LENGTHS)
    wanted = torch.cat([theirs(input_ids=own[None]).logits[0] for own in ids.split(LENGTHS) if len(own)])
    head = LMHead(width=WIDTH, vocab=VOCAB, tied=True)
    head.bind(language)
    torch.testing.assert_close(head.logits(out), wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_of_a_pack_equal_those_of_its_samples(name):
    language = make(name)
    ids, positions = pack([6, 4, 9])
    together = language(language.embed(ids), positions, [6, 4, 9])[0].square().mean()
    alone = [
        language(language.embed(own), at, [len(own)])[0]
        for own, at in zip(ids.split([6, 4, 9]), positions.split([6, 4, 9], 1), strict=True)
    ]
    parameters = [p for p in language.decoder.parameters() if p.requires_grad]
    one, other = (
        torch.autograd.grad(loss, parameters, allow_unused=True)
        for loss in (together, torch.cat(alone).square().mean())
    )
    assert any(gradient is not None for gradient in one)
    for got, wanted in zip(one, other, strict=True):
        assert (got is None) == (wanted is None)
        if got is not None and wanted is not None:
            torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_cached_equals_uncached(name):
    """Unequal prompts packed, then one, several, or no tokens at a time; and a row is dropped."""
    language = make(name)
    prompts = [5, 2, 9]
    ids, _ = pack(prompts)
    cache = language.cache(3, 20)
    read = [own.tolist() for own in ids.split(prompts)]
    chunks = [read, [[3], [4], [5]], [[1, 2], [], [7, 8, 9]], [[4], [5], [6]]]
    read = [[]] * 3
    with torch.no_grad():
        for chunk in chunks:
            lengths = [len(new) for new in chunk]
            flat = torch.tensor([token for new in chunk for token in new])
            got, _ = language(language.embed(flat), cache.positions(lengths), lengths, cache=cache)
            read = [old + new for old, new in zip(read, chunk, strict=True)]
            whole = [language(language.embed(torch.tensor(row)), *at(row))[0] for row in read]
            wanted = torch.cat([out[len(out) - new :] for out, new in zip(whole, lengths, strict=True)])
            torch.testing.assert_close(got, wanted, atol=2e-5, rtol=1e-4)
        assert cache.lengths == cache.following == [len(row) for row in read]
        cache.keep([2, 0])
        got, _ = language(language.embed(torch.tensor([1, 2])), cache.positions([1, 1]), [1, 1], cache=cache)
        for row, old, new in ((0, read[2], 1), (1, read[0], 2)):
            whole, _ = language(language.embed(torch.tensor([*old, new])), *at([*old, new]))
            torch.testing.assert_close(got[row], whole[-1], atol=2e-5, rtol=1e-4)


def at(row):
    return torch.arange(len(row)).expand(3, -1), [len(row)]


def test_equal_rows_decode_within_their_windows():
    """Sequences of one length take the cache's quickest way, which knows no window by itself."""
    language = make("mistral")
    ids, _ = pack([8, 8])
    cache = language.cache(2, 12)
    language(language.embed(ids), cache.positions([8, 8]), [8, 8], cache=cache)
    got, _ = language(language.embed(torch.tensor([3, 4])), cache.positions([1, 1]), [1, 1], cache=cache)
    row = [*ids[8:].tolist(), 4]
    wanted, _ = language(language.embed(torch.tensor(row)), *at(row))
    torch.testing.assert_close(got[1], wanted[-1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["llama", "mistral", "glm4"])
def test_batches_equal_packed(name):
    ids, positions = pack(LENGTHS)
    outputs = []
    for packing in ("packed", "batches"):
        language = make(name, packing=packing)
        outputs.append(language(language.embed(ids), positions, LENGTHS)[0])
        assert isinstance(language.cache(1, 4), KVCache) == (packing == "packed")
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["llama", "mamba"])
@pytest.mark.parametrize("lengths", [[], [0], [1], [1, 1]])
def test_empty_and_one_token_packs_train(name, lengths):
    language = make(name).train()
    ids, positions = pack(lengths)
    hidden, _ = language(language.embed(ids), positions, lengths)
    assert hidden.shape == (sum(lengths), WIDTH)
    hidden.square().sum().backward()
    for name, parameter in language.decoder.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name


def test_a_pack_makes_nothing_of_its_square():
    language = make("llama")
    lengths = [20] * 40
    ids, positions = pack(lengths)
    with Largest() as largest:
        language(language.embed(ids), positions, lengths)
    assert 0 < largest.found < sum(lengths) ** 2 / 4


def test_masks_reach_the_backend():
    language = make("llama")
    ids, positions = pack([6])
    hidden = language.embed(ids)
    tree = MessageTree(torch.tensor([0, 0, 1, 1, 2, 2]))
    got, _ = language(hidden, positions, [6], mask=tree)
    kept = [0, 1, 4, 5]
    wanted, _ = language(hidden[kept], positions[:, kept], [4])
    torch.testing.assert_close(got[kept], wanted, atol=1e-5, rtol=1e-5)
    seen, _ = language(hidden, positions, [6], mask=CausalWithImages(torch.tensor([-1, 0, 0, 0, -1, -1])))
    assert not torch.allclose(seen[1], language(hidden, positions, [6])[0][1], atol=1e-4)


def test_taps_and_injection():
    language = make("llama")
    ids, positions = pack(LENGTHS)
    hidden, slots = language.embed(ids), torch.tensor([1, 7])
    out, _ = language(hidden, positions, LENGTHS, taps=(0, 1))
    assert sorted(language.tapped) == [0, 1]
    torch.testing.assert_close(language.decoder.norm(language.tapped[1]), out)
    before, extra = language.tapped[0], torch.randn(2, WIDTH)
    language(hidden, positions, LENGTHS, inject={0: extra}, visual_slots=slots, taps=(0,))
    torch.testing.assert_close(
        language.tapped[0] - before, torch.zeros_like(before).index_add(0, slots, extra)
    )
    assert not language.decoder.layers[0]._forward_hooks


def batch():
    ids, _ = pack([8, 8])
    return Packed.texts(ids.view(2, 8).tolist())


@pytest.mark.parametrize("tied", [True, False])
def test_the_heads_bind_to_the_own_matrix(tied):
    torch.manual_seed(0)
    language = HF(config=MODELS["llama"] | {"tie_word_embeddings": tied})
    lm = LMHead(width=WIDTH, vocab=VOCAB, tied=True)
    lm.bind(language)
    assert lm.weight is language.model.lm_head.weight
    assert (lm.weight is language.embed.weight) == tied
    assert not list(lm.parameters())
    head = MTPHead(width=WIDTH, vocab=VOCAB)
    head.bind(language, lm)
    packed = batch()
    hidden, _ = language(language.embed(packed.ids), packed.positions, packed.lengths)
    (lm(hidden, packed)[0] + head(hidden, packed)[0]).backward()
    for part in (language, head):
        assert all(parameter.grad is not None for parameter in part.parameters())


def test_an_own_matrix_must_not_lie_idle():
    with pytest.raises(
        ValueError, match="language/hf brings an output matrix of its own; tied: true uses it"
    ):
        LMHead(width=WIDTH, vocab=VOCAB).bind(make("glm4"))
    LMHead(width=WIDTH, vocab=VOCAB).bind(make("llama"))


def test_dropout_in_attention_runs_in_batches():
    assert not HF(config=MODELS["llama"] | {"attention_dropout": 0.1}, attention=SDPA()).packed


def test_a_block_is_fresh_and_packs():
    language = make("glm4")
    block = language.make_block()
    assert {id(p) for p in block.parameters()}.isdisjoint({id(p) for p in language.parameters()})
    ids, positions = pack([5, 7])
    hidden = language.embed(ids)
    out, _ = language.run_block(block, hidden, positions, [5, 7])
    alone = [
        language.run_block(block, own, where, [len(own)])[0]
        for own, where in zip(hidden.split([5, 7]), positions.split([5, 7], 1), strict=True)
    ]
    torch.testing.assert_close(out, torch.cat(alone), atol=1e-5, rtol=1e-5)
    block.layer.load_state_dict(language.decoder.layers[-1].state_dict())
    language(hidden, positions, [5, 7], taps=(0, 1))
    out, _ = language.run_block(block, language.tapped[0], positions, [5, 7])
    torch.testing.assert_close(out, language.tapped[1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["mamba", "glm_moe_dsa"])
def test_models_without_a_block_say_so(name):
    with pytest.raises(
        NotImplementedError, match=r"^language/hf: .* offers no block to a multi-token head, wh"
    ):
        make(name).make_block()


def test_a_folder_gives_the_same_and_fetches_nothing(tmp_path):
    one = make("glm4")
    one.model.save_pretrained(tmp_path)
    other = HF(folder=str(tmp_path)).eval()
    ids, positions = pack(LENGTHS)
    got, wanted = (part(part.embed(ids), positions, LENGTHS)[0] for part in (other, one))
    torch.testing.assert_close(got, wanted, rtol=0, atol=0)
    # What is saved is plain: no trace of how attention was handed in.
    assert "vlmloom" not in (tmp_path / "config.json").read_text()
    with torch.device("meta"):
        assert HF(folder=str(tmp_path)).embed.weight.is_meta


def test_an_instance_is_taken_as_it_is():
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**BASE))
    language = HF(model=model)
    assert language.model is model and (language.width, language.vocab) == (WIDTH, VOCAB)


def test_positions_run_on_and_end():
    language = make("llama", max_positions=9)
    layout = [Span(2), Span(6, (1, 2, 3)), Span(1)]
    assert language.positions(layout).tolist() == [list(range(9))] * 3
    assert make("llama").max_positions == 128
    message = (
        "^language/hf: a context of 10 positions, but max_positions is 9; shorten it, or raise max_posit"
    )
    with pytest.raises(ValueError, match=message):
        language.positions([*layout, Span(1)])
    with pytest.raises(ValueError, match=message):
        language(torch.zeros(10, WIDTH), *at(range(10)))


def test_ids_outside_the_vocabulary():
    message = "^language/hf: id 50 at place 1 is outside the vocabulary of 50; ids are 0 to 49$"
    with pytest.raises(ValueError, match=message):
        make("llama").embed(torch.tensor([1, 50]))


@pytest.mark.parametrize("name", ["llama", "mistral", "qwen3_moe", "glm4", "deepseek_v3"])
def test_declared_flops_equal_the_counted(name):
    """Segments longer than what plain products take; a window counts what it leaves."""
    from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

    def sdpa(query, key, value, dropout=0.0, causal=False, *rest, out_shape=None, **options):
        return sdpa_flop_count(query, key, value) // (2 if causal else 1)

    mapping = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: sdpa}
    arguments = {"sliding_window": None} if name == "mistral" else {}
    if name == "deepseek_v3":
        arguments = {"v_head_dim": 16}
    torch.manual_seed(0)
    config = MODELS[name] | arguments
    language = HF(model=transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.for_model(**config), experts_implementation="eager",
    ))  # fmt: skip
    ids, positions = pack([72, 72])
    hidden = language.embed(ids).detach()
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        language(hidden, positions, [72, 72])
    assert counter.get_total_flops() == language.flops([72, 72])


def test_flops_of_windows_and_of_models_without_attention():
    """A window of 4 leaves 4 keys to each token but the first few; a recurrence counts its matrices alone."""
    llama, mistral = make("llama"), make("mistral")
    fewer = (20**2 - (5**2 + 2 * 15 * 5)) * 4 * (8 + 8)
    assert llama.flops([20]) - mistral.flops([20]) == 2 * fewer
    mamba = make("mamba")
    assert mamba.flops([6, 4]) == mamba.flops([10]) == 10 * mamba.flops([1]) > 0


def test_active_parameters_and_shapes():
    language = make("qwen3_moe")
    idle = 2 * 2 * 3 * WIDTH * 16
    assert language.active_parameters() == sum(p.numel() for p in language.parameters()) - idle
    assert language.shapes(Spec("visual", WIDTH)) == Spec("hidden", WIDTH)
    with pytest.raises(ValueError, match="language/hf takes visual of width 32, but is handed width 31"):
        language.shapes(Spec("visual", 31))


class Fake:
    """Not a model."""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give one of folder, config and model; found none"),
        ({"folder": "a", "config": {}}, "give one of folder, config and model; found folder and config"),
        ({"folder": "nowhere"}, "folder nowhere holds no config.json; it must be a local folder of transf"),
        ({"config": {"hidden_size": 8}}, "config has no model_type, e.g. llama"),
        (
            {"config": {"model_type": "llama_"}},
            "transformers has no causal .* of model_type llama_; did you mean llama",
        ),
        (
            {"config": {"model_type": "glm4v"}},
            "transformers has no causal language model of model_type glm4v; ",
        ),
        ({"config": {**BASE, "model_type": "llama", "hidden_size": "wide"}}, "Validation error for field"),
        ({"config": {**BASE, "model_type": "bert"}}, "BertLMHeadModel has logits with a bias; head/lm gives"),
        (
            {"config": {**BASE, "model_type": "gemma2"}},
            "Gemma2ForCausalLM has logits with final_logit_softcapping",
        ),
        ({"config": {**BASE, "model_type": "phi"}}, "PhiForCausalLM has logits with a bias; head/lm gives"),
        ({"model": Fake()}, "model is a Fake; it must be a model of transformers"),
        ({"config": MODELS["llama"], "max_positions": 0}, "max_positions is 0; it must be at least 1"),
        ({"config": MODELS["llama"], "packing": "none"}, "packing is 'none'; one of auto, packed, batches"),
    ],
)
def test_errors_are_one_line(arguments, message):
    with pytest.raises(ValueError, match=f"^language/hf: {message}") as caught:
        HF(**arguments)
    assert "\n" not in str(caught.value)


def test_transformers_that_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        ValueError, match=r"^language/hf: transformers is not installed; pip install 'vlmloom\[hf\]'$"
    ):
        HF(config=MODELS["llama"])


def test_what_packed_attention_does_not_do():
    language = make("llama", packing="packed")
    ids, positions = pack([4])
    hidden = language.embed(ids)
    with pytest.raises(
        ValueError, match="LlamaAttention hands nothing down to its attention; set packing: b"
    ):
        language.model(input_ids=ids[None])
    with pytest.raises(
        ValueError, match="LlamaAttention attends with dropout, which packed attention does n"
    ):
        for layer in language.decoder.layers:
            layer.self_attn.attention_dropout = 0.1
        language.train()(hidden, positions, [4])
    with pytest.raises(ValueError, match="a sliding window goes with a causal mask, not MessageTree"):
        make("mistral")(hidden, positions, [4], mask=MessageTree(torch.zeros(4).long()))
    with pytest.raises(
        ValueError, match="MambaForCausalLM runs in batches, which know no mask but the causal"
    ):
        make("mamba")(hidden, positions, [4], taps=(0,))
    with pytest.raises(ValueError, match="the cache holds 3 tokens a sequence, but 4 are needed"):
        mamba = make("mamba")
        mamba(hidden, positions, [4], cache=mamba.cache(1, 3))
    with pytest.raises(ValueError, match="the cache holds 2 sequences, but 1 lengths were given"):
        mamba(hidden, positions, [4], cache=mamba.cache(2, 9))
    cache = mamba.cache(1, 9)
    mamba(hidden, positions, [4], cache=cache)
    with pytest.raises(ValueError, match="language/hf: the state of a recurrent model cannot be rolled back"):
        cache.roll_back([3])
    assert cache.lengths == [4]
