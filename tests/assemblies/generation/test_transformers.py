"""Greedy answers equal those of transformers' `generate`, token for token, for models with copied weights."""

from functools import partial

import glm_towers
import numpy as np
import pytest
import references
import torch
from tiny import pack

from vlmloom.assemblies.generation import Sampling
from vlmloom.assemblies.native.native import Native
from vlmloom.components.attention import SDPA
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.head import LMHead
from vlmloom.components.language import GLM
from vlmloom.components.moe import SigmoidBias

transformers = pytest.importorskip("transformers")

WIDTH, VOCAB, HEADS, KV_HEADS, PATCH, NEW = 32, 60, 4, 2, 4, 16
IMAGE = VOCAB - 1
TEXT = {
    "vocab_size": VOCAB, "hidden_size": WIDTH, "intermediate_size": 48, "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS, "head_dim": 8, "pad_token_id": 0, "eos_token_id": None,
}  # fmt: skip
VISION = {
    "depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 48, "patch_size": PATCH,
    "out_hidden_size": WIDTH,
}  # fmt: skip


def rope(fraction, sections):
    return {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "partial_rotary_factor": fraction,
        "mrope_section": list(sections),
    }


def glm4v_moe():
    config = transformers.Glm4vMoeConfig(
        text_config={
            **TEXT, "num_hidden_layers": 3, "moe_intermediate_size": 20, "num_experts_per_tok": 2,
            "n_shared_experts": 1, "n_routed_experts": 6, "routed_scaling_factor": 1.5,
            "first_k_dense_replace": 1, "norm_topk_prob": True, "rope_parameters": rope(0.5, (0, 1, 1)),
        },
        vision_config={**VISION, "image_size": 20}, image_token_id=IMAGE, video_token_id=IMAGE - 1,
    )  # fmt: skip
    sparse = partial(
        SigmoidBias, hidden=20, experts=6, top_k=2, routed_scale=1.5, shared=partial(SwiGLU, hidden=20)
    )
    language = GLM(
        vocab=VOCAB, width=WIDTH, depth=3, heads=HEADS, kv_heads=KV_HEADS, mrope_sections=(0, 1, 1),
        layers=[{"ffn": partial(SwiGLU, hidden=48)}, {"ffn": sparse}, {"ffn": sparse}], attention=SDPA(),
    )  # fmt: skip
    return transformers.Glm4vMoeForConditionalGeneration(config), language


def glm_ocr():
    config = transformers.GlmOcrConfig(
        text_config={**TEXT, "num_hidden_layers": 2, "rope_parameters": rope(1.0, (1, 1, 2))},
        vision_config=VISION, image_token_id=IMAGE, video_token_id=IMAGE - 1,
    )  # fmt: skip
    language = GLM(
        vocab=VOCAB, width=WIDTH, depth=2, heads=HEADS, kv_heads=KV_HEADS, mrope_sections=(1, 1, 2),
        layers=[{"ffn": partial(SwiGLU, hidden=48)}] * 2, attention=SDPA(), rotation="interleaved",
        sandwich_norm=True, qkv_bias=False, rotary_fraction=1.0,
    )  # fmt: skip
    return transformers.GlmOcrForConditionalGeneration(config), language


@pytest.fixture(scope="module", params=[glm4v_moe, glm_ocr], ids=["glm4v_moe", "glm_ocr"])
def both(request):
    """Their model and ours with its weights."""
    theirs, language = request.param()
    theirs.eval()
    theirs.set_attn_implementation("eager")
    theirs.set_experts_implementation("eager")
    references.randomise(theirs.model.language_model, seed=1)
    references.randomise(theirs.lm_head, seed=2)
    references.copy_into(language, theirs.model.language_model)
    tower, merger = glm_towers.built(theirs.config.vision_config)
    for number, (name, parameter) in enumerate(theirs.model.visual.named_parameters()):
        torch.manual_seed(number)
        torch.nn.init.normal_(parameter, mean=float("norm" in name and "bias" not in name), std=0.2)
    given = dict(theirs.model.visual.named_parameters())
    tower.load_state_dict(glm_towers.tower_state(given))
    merger.load_state_dict(glm_towers.merger_state(given))
    ours = Native(vision=tower, projector=lambda **_: merger, language=language, head={"lm": LMHead}).eval()
    ours.lm.unembed.weight.data.copy_(theirs.lm_head.weight)
    return theirs, ours


def prompts(count=20):
    """Text alone, and one to three pictures of different sizes."""
    dice = np.random.default_rng(5)
    found = []
    for number in range(count):
        parts = [dice.integers(1, IMAGE - 1, dice.integers(2, 9)).tolist()]
        for _ in range(number % 4):
            parts.append((tuple(dice.integers(1, 4, 2).tolist()), int(dice.integers(1 << 30))))
            parts.append(dice.integers(1, IMAGE - 1, dice.integers(1, 6)).tolist())
        found.append(parts)
    return found


def asked(theirs, batch, **how):
    """Their answer to the one prompt of a batch."""
    given = {"input_ids": batch.ids[None], "attention_mask": torch.ones_like(batch.ids)[None]}
    if len(batch.visual_slots):
        patches, grids = glm_towers.as_reference(batch.visuals["vision"])
        given |= {
            "pixel_values": patches, "image_grid_thw": grids, "mm_token_type_ids": batch.modality[None].int()
        }  # fmt: skip
    ids = theirs.generate(**given, max_new_tokens=NEW, do_sample=False, use_cache=True, **how)
    return ids[0, batch.lengths[0] :].tolist()


@pytest.mark.parametrize("how", [{}, {"repetition_penalty": 1.3}], ids=["plain", "penalty"])
def test_20_prompts(both, how):
    theirs, ours = both
    theirs.generation_config.eos_token_id = None
    theirs.generation_config.pad_token_id = 0
    wanted = [asked(theirs, pack(ours, [parts], image=IMAGE), **how) for parts in prompts()]
    got = ours.generate(pack(ours, prompts(), image=IMAGE), stop=-1, limit=NEW, sampling=Sampling(**how))
    assert got == wanted
    assert len({token for row in got for token in row}) > 8, "answers differ enough to mean something"
