"""language/glm equals transformers' GLM text models: logits and every gradient, random tiny configurations.

Positions come from layouts of text, pictures of several sizes and clips, so all three axes differ.
"""

from functools import partial

import pytest
import references
import torch

from vlmloom.components.attention import SDPA
from vlmloom.components.contracts.packed import Span
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.language import GLM
from vlmloom.components.moe import SigmoidBias

transformers = pytest.importorskip("transformers")

TEXT = [Span(17)]
PICTURE = [Span(3), Span(12, (1, 3, 4)), Span(2)]
PICTURES = [Span(1), Span(2, (1, 1, 2)), Span(1), Span(12, (1, 4, 3)), Span(2), Span(5, (1, 5, 1)), Span(3)]
CLIP = [Span(2), *[Span(6, (1, 2, 3)), Span(2)] * 3, Span(4)]
BATCHES = {
    "text": [TEXT, [Span(6)]],
    "one picture": [PICTURE],
    "three pictures": [PICTURES],
    "clip": [CLIP],
    "mixed": [PICTURES, TEXT, CLIP, PICTURE],
}
MODELS = {
    "glm4v": ("glm4v", "Glm4vTextModel", transformers.Glm4vTextConfig),
    "glm46v": ("glm4v", "Glm4vTextModel", transformers.Glm4vTextConfig),
    "glm4v_moe": ("glm4v_moe", "Glm4vMoeTextModel", transformers.Glm4vMoeTextConfig),
    "glm_ocr": ("glm_ocr", "GlmOcrTextModel", transformers.GlmOcrTextConfig),
    "glm4_moe": ("glm4_moe", "Glm4MoeModel", transformers.Glm4MoeConfig),
}
"""glm46v has no text model of its own: its configuration names glm4v's."""
SEEDS = 5


def draw(model, seed):
    """A tiny configuration of theirs."""
    generator = torch.Generator().manual_seed(seed)

    def one_of(*values):
        return values[int(torch.randint(len(values), (), generator=generator))]

    kv_heads = one_of(1, 2, 3)
    heads = kv_heads * one_of(1, 2, 4)
    # glm4v's attention takes no head size, but what divides the width.
    head_size = one_of(8, 12, 16)
    width = heads * head_size if model in ("glm4v", "glm46v") else one_of(24, 40, 56)
    half = model in ("glm4v", "glm46v", "glm4v_moe", "glm4_moe")
    pairs = head_size // (4 if half else 2)
    time = one_of(*range(1, pairs - 1)) if pairs > 2 else 1
    row = one_of(*range(1, pairs - time)) if pairs - time > 1 else pairs - time
    rope = {
        "rope_type": "default",
        "rope_theta": one_of(10000.0, 500.0),
        "partial_rotary_factor": 0.5 if half else 1.0,
    }
    if model != "glm4_moe":
        rope["mrope_section"] = [time, row, pairs - time - row]
    sizes = {
        "vocab_size": one_of(31, 50), "hidden_size": width, "intermediate_size": one_of(20, 36),
        "num_hidden_layers": one_of(2, 3), "num_attention_heads": heads, "num_key_value_heads": kv_heads,
        "head_dim": head_size, "rms_norm_eps": one_of(1e-5, 1e-6), "rope_parameters": rope,
        "pad_token_id": None,
    }  # fmt: skip
    if model in ("glm4v_moe", "glm4_moe"):
        groups = one_of(1, 2)
        # One expert, normalised, has the weight 1 whatever the router says: its gradient is rounding alone.
        sizes |= {
            "moe_intermediate_size": one_of(12, 20), "num_experts_per_tok": one_of(2, 3),
            "n_shared_experts": one_of(1, 2), "n_routed_experts": one_of(6, 8), "n_group": groups,
            "topk_group": 1, "routed_scaling_factor": one_of(1.0, 2.5), "norm_topk_prob": one_of(True, False),
            "first_k_dense_replace": one_of(0, 1, 2),
            "attention_bias": model == "glm4v_moe" or one_of(True, False),
        }  # fmt: skip
    if model == "glm4_moe":
        sizes["use_qk_norm"] = True
    return sizes


def build_theirs(model, sizes, seed):
    folder, name, make = MODELS[model]
    config = make(**sizes)
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    module = getattr(getattr(transformers.models, folder), f"modeling_{folder}")
    theirs = getattr(module, name)(config)
    references.randomise(theirs, seed)
    return theirs


def build_ours(model, sizes, theirs):
    dense = {"ffn": partial(SwiGLU, hidden=sizes["intermediate_size"])}
    layers = [dense] * sizes["num_hidden_layers"]
    if "n_routed_experts" in sizes:
        hidden = sizes["moe_intermediate_size"]
        sparse = partial(
            SigmoidBias, hidden=hidden, experts=sizes["n_routed_experts"], top_k=sizes["num_experts_per_tok"],
            shared=partial(SwiGLU, hidden=hidden * sizes["n_shared_experts"]), groups=sizes["n_group"],
            top_groups=sizes["topk_group"], routed_scale=sizes["routed_scaling_factor"],
            normalise=sizes["norm_topk_prob"], balance_loss=0.0,
        )  # fmt: skip
        first = sizes["first_k_dense_replace"]
        layers = [layer if number < first else {"ffn": sparse} for number, layer in enumerate(layers)]
    rope, interleaved = sizes["rope_parameters"], model in ("glm4v", "glm46v", "glm_ocr")
    ours = GLM(
        vocab=sizes["vocab_size"], width=sizes["hidden_size"], depth=len(layers),
        heads=sizes["num_attention_heads"], kv_heads=sizes["num_key_value_heads"],
        head_size=sizes["head_dim"], layers=layers, attention=SDPA(), rope_theta=rope["rope_theta"],
        rotary_fraction=rope["partial_rotary_factor"], mrope_sections=rope.get("mrope_section"),
        rotation="interleaved" if interleaved else "half", qk_norm=sizes.get("use_qk_norm", False),
        qkv_bias=model in ("glm4v", "glm46v") or sizes.get("attention_bias", False),
        sandwich_norm=interleaved, norm_eps=sizes["rms_norm_eps"],
    )  # fmt: skip
    references.copy_into(ours, theirs)
    return ours


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("model", MODELS)
def test_logits_and_gradients(model, batch):
    """Ours reads the batch packed, theirs one sample at a time."""
    for seed in range(SEEDS):
        seed += 100 * list(BATCHES).index(batch)
        sizes = draw(model, seed)
        theirs = build_theirs(model, sizes, seed)
        ours = build_ours(model, sizes, theirs)
        torch.manual_seed(seed)
        layouts = BATCHES[batch] if model != "glm4_moe" else [[Span(11)], [Span(5)]]
        positions = [torch.from_numpy(ours.positions(layout)) for layout in layouts]
        lengths = [own.shape[1] for own in positions]
        ids = torch.randint(sizes["vocab_size"], (sum(lengths),))
        mine, _ = ours(ours.embed(ids), torch.cat(positions, 1), lengths)
        alone = []
        for own, at in zip(ids.split(lengths), positions, strict=True):
            at = at[:1] if model == "glm4_moe" else at[:, None]
            alone.append(theirs(input_ids=own[None], position_ids=at).last_hidden_state[0])
        output = torch.randn(sizes["vocab_size"], sizes["hidden_size"]) * 0.2
        references.compare(ours, theirs, (mine, torch.cat(alone)), output, ids.roll(-1))
