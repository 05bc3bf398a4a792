"""What a model of transformers costs, from its weights and its configuration alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

WITHOUT_ATTENTION = ("linear_attention", "conv", "mamba", "recurrent")
"""Kinds of layers whose mixing of tokens is not counted, beside the matrices that they hold."""


@dataclass(frozen=True)
class Heads:
    """The attention of one layer.

    Attributes:
        heads: of the queries.
        kv_heads: of keys and values.
        size: of a query and a key.
        value_size: of a value.
    """

    heads: int
    kv_heads: int
    size: int
    value_size: int

    @classmethod
    def of(cls, config: Any) -> Heads:
        """Read a configuration; latent attention (DeepSeek) names its sizes in its own way.

        A model without attention has no heads.
        """
        heads = getattr(config, "num_attention_heads", None)
        if not heads:
            return cls(0, 0, 0, 0)
        if getattr(config, "kv_lora_rank", None):
            size = config.qk_nope_head_dim + config.qk_rope_head_dim
            return cls(heads, heads, size, config.v_head_dim)
        size = getattr(config, "head_dim", None) or config.hidden_size // heads
        return cls(heads, getattr(config, "num_key_value_heads", None) or heads, size, size)


def windows_of(config: Any) -> list[int | None]:
    """How far back each layer sees; None is all the way, 0 a layer without attention."""
    depth = config.num_hidden_layers
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if kinds:
        seen = {"sliding_attention": window or None} | dict.fromkeys(WITHOUT_ATTENTION, 0)
        return [seen.get(kind) for kind in kinds]
    slides = window and getattr(config, "use_sliding_window", True)
    return [window if slides else None] * depth


def idle_parameters(module: nn.Module, config: Any) -> int:
    """The parameters of experts that a token is not routed to: three axes, the first counting experts."""
    chosen = getattr(config, "num_experts_per_tok", None)
    if not chosen:
        return 0
    stacked = [p for p in module.parameters() if p.ndim == 3 and p.shape[0] > chosen]
    return sum(p.numel() - p.numel() // p.shape[0] * chosen for p in stacked)


def matrix_parameters(module: nn.Module, config: Any) -> int:
    """The parameters by which a token is multiplied: matrices but embeddings, and the chosen experts."""
    tables = {id(part.weight) for part in module.modules() if isinstance(part, nn.Embedding)}
    matrices = [p for p in module.parameters() if p.ndim >= 2 and id(p) not in tables]
    return sum(p.numel() for p in matrices) - idle_parameters(module, config)


def attention_flops(heads: Heads, window: int | None, lengths: Sequence[int]) -> int:
    """Forward FLOPs of the two products; causal attention counts half, a window its width."""
    pairs = 0
    for length in lengths:
        head = length if window is None else min(length, window)
        pairs += head * head + 2 * (length - head) * head
    return pairs * heads.heads * (heads.size + heads.value_size)


class HFBlock(nn.Module):
    """A decoder layer of transformers that knows what it costs.

    Args:
        layer: of the model's kind.
        config: of its decoder.
    """

    def __init__(self, layer: nn.Module, config: Any) -> None:
        super().__init__()
        self.layer, self.config = layer, config

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the layer."""
        return self.layer(*args, **kwargs)

    def flops(self, lengths: Sequence[int]) -> int:
        """Forward FLOPs for samples of these lengths."""
        products = attention_flops(Heads.of(self.config), windows_of(self.config)[-1], lengths)
        return 2 * sum(lengths) * matrix_parameters(self.layer, self.config) + products

    def active_parameters(self) -> int:
        """The parameters that one token uses."""
        return sum(p.numel() for p in self.parameters()) - idle_parameters(self.layer, self.config)
