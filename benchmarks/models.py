"""The two models at one shape, and the copy of language weights from ours into theirs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import nn

from vlmloom.assemblies.native.native import Native
from vlmloom.components.ffn import SwiGLU
from vlmloom.components.head.lm import LMHead
from vlmloom.components.language import GLM, Block, Layer
from vlmloom.components.moe import SigmoidBias
from vlmloom.components.projector.merger import Merger
from vlmloom.components.vision.cogvit import CogViT

EXPERTS = ("eager", "grouped_mm", "batched_mm")
"""What transformers has for experts on a CPU."""


@dataclass(frozen=True)
class Shape:
    """The sizes of both models; about 21 M parameters as they stand."""

    vocab: int = 8192
    width: int = 256
    depth: int = 6
    heads: int = 8
    kv_heads: int = 2
    dense: int = 768
    experts: int = 16
    top_k: int = 4
    expert: int = 192
    vision_width: int = 256
    vision_depth: int = 4
    vision_heads: int = 4
    merger: int = 512
    patch: int = 14

    @property
    def image_id(self) -> int:
        """The last id stands for a visual token."""
        return self.vocab - 1


def build_ours(shape: Shape, seed: int = 0) -> Native:
    torch.manual_seed(seed)
    shared = partial(SwiGLU, hidden=shape.expert)
    # The peer adds no balance loss unless asked to, so ours does not either.
    sparse = partial(
        SigmoidBias,
        hidden=shape.expert,
        experts=shape.experts,
        top_k=shape.top_k,
        shared=shared,
        balance_loss=0.0,
    )
    layers: list[Layer] = [{"ffn": partial(SwiGLU, hidden=shape.dense)}]
    layers += [{"ffn": sparse} for _ in range(shape.depth - 1)]
    return Native(
        vision=CogViT(
            width=shape.vision_width,
            depth=shape.vision_depth,
            heads=shape.vision_heads,
            hidden=shape.width,  # the peer's tower takes the language width as its inner width
            patch=shape.patch,
            qkv_bias=False,
        ),
        projector=partial(Merger, block=2, hidden=shape.merger),
        language=GLM(
            vocab=shape.vocab,
            width=shape.width,
            depth=shape.depth,
            heads=shape.heads,
            kv_heads=shape.kv_heads,
            layers=layers,
        ),
        head={"lm": LMHead},
    )


def build_theirs(shape: Shape, ours: Native) -> Any:
    """Glm4vMoeForConditionalGeneration of the same shape; its language part carries our weights."""
    import transformers

    language = cast(GLM, ours.language)
    rope = {
        "rope_type": "default",
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.5,
        "mrope_section": torch.bincount(language.rotary.axis, minlength=3).tolist(),
    }
    config = transformers.Glm4vMoeConfig(
        text_config={
            "vocab_size": shape.vocab, "hidden_size": shape.width, "intermediate_size": shape.dense,
            "num_hidden_layers": shape.depth, "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.kv_heads, "head_dim": language.head_size,
            "moe_intermediate_size": shape.expert, "num_experts_per_tok": shape.top_k,
            "n_shared_experts": 1, "n_routed_experts": shape.experts, "routed_scaling_factor": 1.0,
            "first_k_dense_replace": 1, "norm_topk_prob": True, "rope_parameters": rope,
            "pad_token_id": 0, "eos_token_id": None, "bos_token_id": None,
        },
        vision_config={
            "depth": shape.vision_depth, "hidden_size": shape.vision_width,
            "num_heads": shape.vision_heads, "out_hidden_size": shape.width,
            "intermediate_size": shape.merger, "patch_size": shape.patch, "spatial_merge_size": 2,
            "temporal_patch_size": 2, "attention_bias": False,
        },
        image_token_id=shape.image_id, video_token_id=shape.image_id,
    )  # fmt: skip
    theirs = transformers.Glm4vMoeForConditionalGeneration(config)
    theirs.set_attn_implementation("sdpa")
    theirs.generation_config.eos_token_id = None
    theirs.generation_config.pad_token_id = 0
    copy_language(ours, theirs)
    return theirs


@torch.no_grad()
def copy_language(ours: Native, theirs: Any) -> None:
    """Copy our language part and unembedding into theirs."""
    language, text = cast(GLM, ours.language), theirs.model.language_model
    text.embed_tokens.weight.copy_(language.embed.weight)
    text.norm.weight.copy_(language.norm.weight)
    theirs.lm_head.weight.copy_(ours.lm.weight)
    for module, layer in zip(language.blocks, text.layers, strict=True):
        block, attention = cast(Block, module), layer.self_attn
        layer.input_layernorm.weight.copy_(block.attention_norm.weight)
        layer.post_attention_layernorm.weight.copy_(block.ffn_norm.weight)
        attention.o_proj.weight.copy_(block.out.weight)
        sizes = [block.heads * block.head_size] + [block.kv_heads * block.head_size] * 2
        for projection, weight, bias in zip(
            (attention.q_proj, attention.k_proj, attention.v_proj),
            block.qkv.weight.split(sizes),
            block.qkv.bias.split(sizes),
            strict=True,
        ):
            projection.weight.copy_(weight)
            projection.bias.copy_(bias)
        ffn, mlp = block.ffn, layer.mlp
        if isinstance(ffn, SigmoidBias):
            mlp.gate.weight.copy_(ffn.router)
            mlp.gate.e_score_correction_bias.copy_(ffn.selection_bias)
            mlp.experts.gate_up_proj.copy_(ffn.experts.gate_up)
            mlp.experts.down_proj.copy_(ffn.experts.down)
            ffn, mlp = cast(SwiGLU, ffn.shared), mlp.shared_experts
        dense = cast(SwiGLU, ffn)
        gate, up = dense.gate_up.weight.chunk(2)
        mlp.gate_proj.weight.copy_(gate)
        mlp.up_proj.weight.copy_(up)
        mlp.down_proj.weight.copy_(dense.down.weight)


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def experts_for(shape: Shape, tokens: int) -> list[str]:
    """The peer's implementations to try; batched_mm copies an expert's weights for every assignment."""
    copied = 4 * tokens * shape.top_k * 3 * shape.width * shape.expert
    return [name for name in EXPERTS if name != "batched_mm" or copied < 2**30]
