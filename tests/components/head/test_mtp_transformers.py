"""head/mtp equals transformers' MTP layers of Air, GLM-OCR and GLM-5: logits, loss, gradients, drafts."""

from functools import partial

import pytest
import references
import torch
from torch import nn
from torch.nn import functional as F

from vlmloom.components.attention import SDPA
from vlmloom.components.contracts.packed import Packed, Span
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.head import LMHead, MTPHead
from vlmloom.components.language import GLM, GLMDSA
from vlmloom.components.language.rotary import positions_of
from vlmloom.components.moe import SigmoidBias

transformers = pytest.importorskip("transformers")
from transformers.cache_utils import MtpCache  # noqa: E402
from transformers.modeling_layers import MtpLayer, MtpModel  # noqa: E402
from transformers.models.glm4_moe import modeling_glm4_moe as air  # noqa: E402
from transformers.models.glm_moe_dsa import modeling_glm_moe_dsa as dsa  # noqa: E402
from transformers.models.glm_ocr import modeling_glm_ocr as ocr  # noqa: E402

WIDTH, VOCAB, HEADS, KV_HEADS = 32, 41, 4, 2
LAYOUT = [Span(3), Span(6, (1, 2, 3)), Span(9)]
SPARSE = partial(
    SigmoidBias,
    hidden=12,
    experts=4,
    top_k=2,
    shared=partial(SwiGLU, hidden=12),
    balance_loss=0.0,
    routed_scale=1.5,
)
DENSE = partial(SwiGLU, hidden=48)
COMMON = {"vocab_size": VOCAB, "hidden_size": WIDTH, "num_hidden_layers": 2, "pad_token_id": None}
EXPERTS = {
    "moe_intermediate_size": 12,
    "n_shared_experts": 1,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "routed_scaling_factor": 1.5,
}


class OneOutput(dsa.GlmMoeDsaDecoderLayer):
    """Their layer gives its selection too, which their MTP layer does not expect."""

    def forward(self, *args, **rest):
        return super().forward(*args, **rest)[0]


def of_air(modules):
    config = transformers.Glm4MoeConfig(
        **COMMON, **EXPERTS, intermediate_size=48, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS,
        head_dim=8, first_k_dense_replace=1, attention_bias=True, use_qk_norm=False, num_mtp_layers=modules,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
    )  # fmt: skip
    ours = GLM(
        vocab=VOCAB, width=WIDTH, depth=2, heads=HEADS, kv_heads=KV_HEADS, attention=SDPA(),
        layers=[{"ffn": DENSE}, {"ffn": SPARSE}],
    )  # fmt: skip
    return config.get_mtp_config(), config, (air.Glm4MoeDecoderLayer, air.Glm4MoeRMSNorm), ours


def of_ocr(modules):
    config = transformers.GlmOcrTextConfig(
        **COMMON, intermediate_size=48, num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, head_dim=8,
        rope_parameters={
            "rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 1.0,
            "mrope_section": [1, 1, 2],
        },
    )  # fmt: skip
    ours = GLM(
        vocab=VOCAB, width=WIDTH, depth=1, heads=HEADS, kv_heads=KV_HEADS, attention=SDPA(),
        layers=[{"ffn": DENSE}], rotation="interleaved", sandwich_norm=True, qkv_bias=False,
        rotary_fraction=1.0, mrope_sections=(1, 1, 2),
    )  # fmt: skip
    return config, config, (ocr.GlmOcrTextDecoderLayer, ocr.GlmOcrRMSNorm), ours


def of_glm5(modules):
    config = transformers.GlmMoeDsaConfig(
        **{**COMMON, "num_hidden_layers": 4}, **EXPERTS, intermediate_size=48, num_attention_heads=HEADS,
        num_key_value_heads=HEADS, n_group=1, topk_group=1, q_lora_rank=16, kv_lora_rank=12,
        qk_nope_head_dim=6, qk_rope_head_dim=4, v_head_dim=8, index_topk=5, index_head_dim=8,
        index_n_heads=16, first_k_dense_replace=0, indexer_types=["full"] * 4, norm_topk_prob=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )  # fmt: skip
    ours = GLMDSA(
        vocab=VOCAB, width=WIDTH, depth=1, heads=HEADS, query_rank=16, kv_rank=12, nope_size=6, rope_size=4,
        value_size=8, index_heads=16, index_size=8, index_top_k=5, attention=SDPA(),
        layers=[{"ffn": SPARSE}],
    )  # fmt: skip
    return config, config, (OneOutput, dsa.GlmMoeDsaRMSNorm), ours


KINDS = {"Air": of_air, "GLM-OCR": of_ocr, "GLM-5": of_glm5}


class Chain(nn.Module):
    """Blocks under the names that the copying of weights knows."""

    def __init__(self, name, blocks):
        super().__init__()
        setattr(self, name, nn.ModuleList(blocks))


def build(kind, depth, shared):
    """Their MTP layers and our head, with the same weights."""
    modules = 1 if shared else depth
    inner, outer, (layer, norm), language = KINDS[kind](modules)
    for config in (inner, outer):
        config._attn_implementation = config._experts_implementation = "eager"
    theirs = nn.ModuleList(MtpLayer(inner, layer, norm, number) for number in range(modules)).eval()
    references.randomise(theirs, seed=depth)
    references.randomise(language.embed, seed=7)
    lm = LMHead(width=WIDTH, vocab=VOCAB, init_std=0.3)
    lm.bind(language)
    head = MTPHead(width=WIDTH, vocab=VOCAB, depth=depth, shared=shared)
    head.bind(language, lm)
    mine, other = [step.block for step in head.steps], [step.mtp_block for step in theirs]
    references.copy_into(Chain("blocks", mine), Chain("layers", other), latent=kind == "GLM-5")
    with torch.no_grad():
        for mine, other in zip(head.steps, theirs, strict=True):
            for name in ("enorm", "hnorm", "post_norm", "eh_proj"):
                getattr(mine, name).weight.copy_(getattr(other, name).weight)
    return theirs, head.eval(), lm, language, outer


ROTARIES = {
    "Air": air.Glm4MoeRotaryEmbedding,
    "GLM-OCR": ocr.GlmOcrTextRotaryEmbedding,
    "GLM-5": dsa.GlmMoeDsaRotaryEmbedding,
}


def sample(kind, language):
    """A sequence, for GLM-OCR with a picture, and hidden states of a trunk."""
    torch.manual_seed(3)
    positions = torch.from_numpy(positions_of(LAYOUT))
    if kind != "GLM-OCR":
        positions = torch.arange(positions.shape[1]).expand(3, -1)
    length = positions.shape[1]
    ids = torch.randint(0, VOCAB, (length,))
    batch = Packed(
        ids=ids, labels=ids, weights=torch.rand(length) + 0.5, positions=positions,
        boundaries=torch.tensor([0, length], dtype=torch.int32), lengths=[length],
        visual_slots=torch.zeros(0, dtype=torch.long), modality=torch.zeros(length, dtype=torch.long),
        tags=[], normaliser=3.0,
    )  # fmt: skip
    return batch, torch.randn(length, WIDTH)


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "separate"])
@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_loss_and_gradients(kind, depth, shared):
    theirs, head, lm, language, config = build(kind, depth, shared)
    batch, hidden = sample(kind, language)
    hidden.requires_grad_()
    length = batch.lengths[0]
    rotary = ROTARIES[kind](config)
    mask = torch.full((length, length), torch.finfo(torch.float32).min).triu(1)[None, None]
    state, losses = hidden[None], []
    mine = hidden
    for number in range(depth):
        # Their chain: ids and positions move one on at every depth; what is beyond the end is seen by nobody.
        ids = batch.ids.roll(-1 - number)
        positions = batch.positions.roll(-1 - number, 1)
        at = positions[:, None] if kind == "GLM-OCR" else positions[:1]
        state = theirs[0 if shared else number](
            language.embed(ids)[None], state, rotary(state, at), mask, at, None
        )
        mine, _ = head.advance(mine, batch, number)
        there = slice(0, length - 1 - number)
        logits = F.linear(state[0], lm.weight)
        torch.testing.assert_close(lm.logits(mine)[there], logits[there], atol=1e-4, rtol=1e-4)
        target, weight = batch.labels[2 + number :], batch.weights[2 + number :]
        losses.append((F.cross_entropy(logits[: len(target)], target, reduction="none") * weight).sum())
    loss, _ = head(hidden, batch)
    wanted = 0.3 * torch.stack(losses).mean() / 3.0
    torch.testing.assert_close(loss, wanted, atol=1e-5, rtol=1e-5)
    lent = [hidden, language.embed.weight, lm.weight]
    pairs = zip(
        ("hidden states", "embedding", "output matrix"),
        torch.autograd.grad(loss, lent, retain_graph=True),
        torch.autograd.grad(wanted, lent, retain_graph=True),
        strict=True,
    )
    for name, got, other in pairs:
        references.close(got, other, name)
    compare_gradients(loss, head, wanted, theirs, latent=kind == "GLM-5")


def compare_gradients(loss, head, wanted, theirs, latent):
    """Of every parameter of all modules; what one side does not reach, the other does not reach either."""
    chain = Chain("blocks", [step.block for step in head.steps])
    mine = references.gradients(loss, head)
    left = set(mine)
    for name, gradient in references.gradients(wanted, theirs).items():
        number, _, inside = name.partition(".")
        if inside.startswith("mtp_block."):
            place = f"layers.{number}.{inside.removeprefix('mtp_block.')}"
            key, part = references.place_of(place, chain, latent)
            key = key.replace(f"blocks.{number}.", f"steps.{number}.block.")
        else:
            key, part = f"steps.{name}", lambda whole: whole
        left.discard(key)
        if gradient is None:
            assert mine[key] is None, f"{key} is reached, but {name} is not"
        else:
            references.close(None if mine[key] is None else part(mine[key]), gradient, name)
    assert not left


@pytest.mark.parametrize("depth", [1, 2, 3])
@torch.no_grad()
def test_drafts_after_a_prompt_and_after_accepted_tokens(depth):
    """Their MtpModel with its cache drafts the same tokens with the same logits, round after round."""
    theirs, head, lm, language, config = build("Air", depth, shared=False)
    main = air.Glm4MoeForCausalLM(config)
    main.model.embed_tokens.weight.copy_(language.embed.weight)
    main.lm_head.weight.copy_(lm.weight)
    model = MtpModel(main, depth).eval()
    model.layers = theirs
    cache = MtpCache(config=config.get_mtp_config())
    drafter = head.drafter(batch=1, capacity=40, depth=depth)
    batch, hidden = sample("Air", language)
    torch.manual_seed(9)
    read, ids = batch.lengths[0], batch.ids
    drafter.read(hidden, batch)
    for _ in range(3):
        following = torch.randint(0, VOCAB, (1,))
        ids = torch.cat([ids, following])
        mine = []

        def pick(logits, number, mine=mine):
            mine.append(logits)
            return logits.argmax(-1)

        drafter.draft(following, pick)
        new = len(hidden)
        drafted, logits, _ = model(
            ids[None, -new:], hidden[None], None, torch.arange(len(ids) - new, len(ids))[None], cache
        )
        torch.testing.assert_close(torch.stack(mine, 1), logits, atol=1e-4, rtol=1e-4)
        # The trunk reads the next token and all drafts, of which all stand.
        hidden = torch.randn(1 + depth, WIDTH)
        taken = torch.cat([following, drafted[0]])
        drafter.read_on(hidden, taken, torch.arange(read, read + len(taken)).expand(3, -1), [len(taken)])
        read, ids = read + len(taken), torch.cat([ids, drafted[0]])
        drafter.roll_back([read])
