"""Ours beside transformers': weights copied by name, then outputs and gradients compared.

A place is the key of a tensor of ours and the part of it that holds one of their parameters, so that the same
tables serve weights and gradients.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Place = tuple[str, Callable[[Tensor], Tensor]]
LOGITS = 2e-4
GRADIENTS = 1e-3
FLOOR = 1e-7

SAME = {
    r"embed_tokens\.weight": "embed.weight",
    r"norm\.weight": "norm.weight",
    r"layers\.(\d+)\.input_layernorm\.weight": r"blocks.\1.attention_norm.weight",
    r"layers\.(\d+)\.post_attention_layernorm\.weight": r"blocks.\1.ffn_norm.weight",
    r"layers\.(\d+)\.mlp\.gate_up_proj\.weight": r"blocks.\1.ffn.gate_up.weight",
    r"layers\.(\d+)\.mlp\.down_proj\.weight": r"blocks.\1.ffn.down.weight",
    r"layers\.(\d+)\.mlp\.gate\.weight": r"blocks.\1.ffn.router",
    r"layers\.(\d+)\.mlp\.gate\.e_score_correction_bias": r"blocks.\1.ffn.selection_bias",
    r"layers\.(\d+)\.mlp\.experts\.gate_up_proj": r"blocks.\1.ffn.experts.gate_up",
    r"layers\.(\d+)\.mlp\.experts\.down_proj": r"blocks.\1.ffn.experts.down",
    r"layers\.(\d+)\.mlp\.shared_experts\.down_proj\.weight": r"blocks.\1.ffn.shared.down.weight",
}
GROUPED = {
    r"layers\.(\d+)\.self_attn\.o_proj\.weight": r"blocks.\1.out.weight",
    r"layers\.(\d+)\.self_attn\.q_norm\.weight": r"blocks.\1.query_norm.weight",
    r"layers\.(\d+)\.self_attn\.k_norm\.weight": r"blocks.\1.key_norm.weight",
    r"layers\.(\d+)\.post_self_attn_layernorm\.weight": r"blocks.\1.attention_post_norm.weight",
    r"layers\.(\d+)\.post_mlp_layernorm\.weight": r"blocks.\1.ffn_post_norm.weight",
}
LATENT = {
    r"layers\.(\d+)\.self_attn\.q_a_proj\.(\w+)": r"blocks.\1.attention.query_down.\2",
    r"layers\.(\d+)\.self_attn\.q_a_layernorm\.weight": r"blocks.\1.attention.query_norm.weight",
    r"layers\.(\d+)\.self_attn\.q_b_proj\.weight": r"blocks.\1.attention.query_up.weight",
    r"layers\.(\d+)\.self_attn\.kv_a_proj_with_mqa\.(\w+)": r"blocks.\1.attention.kv_down.\2",
    r"layers\.(\d+)\.self_attn\.kv_a_layernorm\.weight": r"blocks.\1.attention.kv_norm.weight",
    r"layers\.(\d+)\.self_attn\.kv_b_proj\.weight": r"blocks.\1.attention.kv_up.weight",
    r"layers\.(\d+)\.self_attn\.o_proj\.(\w+)": r"blocks.\1.attention.out.\2",
    r"layers\.(\d+)\.self_attn\.indexer\.wq_b\.weight": r"blocks.\1.attention.indexer.query.weight",
    r"layers\.(\d+)\.self_attn\.indexer\.wk\.weight": r"blocks.\1.attention.indexer.key.weight",
    r"layers\.(\d+)\.self_attn\.indexer\.k_norm\.(\w+)": r"blocks.\1.attention.indexer.key_norm.\2",
    r"layers\.(\d+)\.self_attn\.indexer\.weights_proj\.weight": r"blocks.\1.attention.indexer.weight.weight",
}
HALVES = {
    r"layers\.(\d+)\.mlp\.(gate|up)_proj\.weight": r"blocks.\1.ffn.gate_up.weight",
    r"layers\.(\d+)\.mlp\.shared_experts\.(gate|up)_proj\.weight": r"blocks.\1.ffn.shared.gate_up.weight",
}
QKV = re.compile(r"layers\.(\d+)\.self_attn\.([qkv])_proj\.(\w+)")


def place_of(name: str, ours: nn.Module, latent: bool) -> Place:
    """Where we hold their parameter `name`."""
    for pattern, target in (SAME | (LATENT if latent else GROUPED)).items():
        if found := re.fullmatch(pattern, name):
            return found.expand(target), lambda whole: whole
    for pattern, target in HALVES.items():
        if found := re.fullmatch(pattern, name):
            return found.expand(target), _half(("gate", "up").index(found[2]))
    found = QKV.fullmatch(name)
    assert found, f"no place for {name}"
    block: Any = ours.get_submodule(f"blocks.{found[1]}")
    sizes = [count * block.head_size for count in (block.heads, block.kv_heads, block.kv_heads)]
    part = "qkv".index(found[2])
    return f"blocks.{found[1]}.qkv.{found[3]}", lambda whole: whole.split(sizes)[part]


def _half(number: int) -> Callable[[Tensor], Tensor]:
    return lambda whole: whole.chunk(2)[number]


@torch.no_grad()
def randomise(module: nn.Module, seed: int, std: float = 0.2) -> None:
    """Matrices that mix, norms and biases that matter."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in (*module.named_parameters(), *module.named_buffers()):
        if not value.is_floating_point() or "inv_freq" in name:
            continue
        if "norm" in name and name.endswith("weight"):
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
        else:
            value.copy_(torch.randn(value.shape, generator=generator) * std)


@torch.no_grad()
def copy_into(ours: nn.Module, theirs: nn.Module, latent: bool = False) -> None:
    """Their weights into ours; every tensor of ours has to be written whole."""
    state = ours.state_dict(keep_vars=True)
    left = {key: value.numel() for key, value in state.items() if not key.endswith("ffn.load")}
    for name, value in theirs.state_dict(keep_vars=True).items():
        key, part = place_of(name, ours, latent)
        part(state[key]).copy_(value)
        left[key] -= value.numel()
    assert not any(left.values()), left


def gradients(loss: Tensor, module: nn.Module) -> dict[str, Tensor | None]:
    """The gradient of every parameter by name; None where the loss does not reach it."""
    named = dict(module.named_parameters())
    wanted = {name: value for name, value in named.items() if value.requires_grad}
    found = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    return dict.fromkeys(named) | dict(zip(wanted, found, strict=True))


def compare(
    ours: nn.Module,
    theirs: nn.Module,
    hidden: tuple[Tensor, Tensor],
    output: Tensor,
    labels: Tensor,
    latent: bool = False,
) -> None:
    """Logits and the gradients of the loss for every parameter, the output matrix too.

    Args:
        ours: our language part.
        theirs: their text model.
        hidden: final hidden states `[T, D]` of both.
        output: the output matrix `[V, D]`.
        labels: `[T]`.
    """
    matrices = [output.clone().requires_grad_() for _ in hidden]
    logits = [F.linear(states, matrix) for states, matrix in zip(hidden, matrices, strict=True)]
    assert (logits[0] - logits[1]).abs().max() <= LOGITS
    losses = [F.cross_entropy(one, labels) for one in logits]
    for loss, matrix in zip(losses, matrices, strict=True):
        (matrix.grad,) = torch.autograd.grad(loss, matrix, retain_graph=True)
    close(matrices[0].grad, matrices[1].grad, "output matrix")
    mine, other = gradients(losses[0], ours), gradients(losses[1], theirs)
    unread = set(mine)
    for name, wanted in other.items():
        key, part = place_of(name, ours, latent)
        unread.discard(key)
        got = mine[key]
        if wanted is None:
            assert got is None, f"{name} has no gradient, but {key} has one"
        else:
            close(None if got is None else part(got), wanted, name)
    assert not unread


def close(got: Tensor | None, wanted: Tensor | None, name: str) -> None:
    """The norm of the difference over the norm."""
    assert got is not None and wanted is not None, name
    distance = (got - wanted).norm() / wanted.norm().clamp(min=FLOOR)
    assert distance <= GRADIENTS, f"{name}: {distance:.2e}"
