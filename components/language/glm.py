"""`language/glm`: GLM's decoder, dense or a mixture of experts, over packed samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.cache import Cache
from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.mask import Causal, Mask
from vlmloom.components.kernels import RMSNorm
from vlmloom.components.language.backbone import At, Backbone, ImageMask, Layer
from vlmloom.components.language.block import Block
from vlmloom.components.language.cache import KVCache, Step
from vlmloom.components.language.rotary import Angles, Rotary, Rotation
from vlmloom.registry import register
from vlmloom.registry.errors import UserError, below_one, refuse


@register("language/glm")
class GLM(Backbone):
    """GLM's decoder: grouped queries, partial three-axis RoPE, dense layers first, then mixtures of experts.

    Args:
        vocab: number of token ids.
        width: D, of the hidden states.
        depth: number of layers.
        heads: query heads.
        kv_heads: key and value heads, dividing `heads`; None means as many.
        head_size: of one head; None means `width / heads`.
        layers: the slots of each layer, `depth` of them.
        attention: the backend; None is `attention/sdpa`.
        rope_theta: base of the rotary frequencies.
        rotary_fraction: how much of a head is rotated.
        mrope_sections: frequencies that follow time, row and column; None splits them 1/4, 3/8, 3/8.
        rotation: `half` (GLM-4.5V) or `interleaved` (GLM-4.1V, GLM-OCR).
        qk_norm: RMSNorm over each head of queries and keys.
        qkv_bias: bias on queries, keys and values.
        sandwich_norm: norms after each branch as well (GLM-4.1V).
        norm_eps: of every norm.
        image_mask: whether tokens of one picture see only back (`causal`), each other (`bidirectional`), or
            all visual tokens of the sample (`everywhere`).
        max_positions: the longest context that the positions allow; None allows any.
        init_std: of the weights.

    Raises:
        ValueError: heads, sizes, sections or layers do not fit together.

    Reference: arXiv 2508.06471, 2507.01006; transformers, models/glm4v_moe/modeling_glm4v_moe.py and
    models/glm4v/modeling_glm4v.py.
    """

    def __init__(
        self,
        *,
        vocab: int,
        width: int,
        depth: int,
        heads: int,
        kv_heads: int | None = None,
        head_size: int | None = None,
        layers: Sequence[Layer],
        attention: Attention | None = None,
        rope_theta: float = 10000.0,
        rotary_fraction: float = 0.5,
        mrope_sections: tuple[int, int, int] | None = None,
        rotation: Rotation = "half",
        qk_norm: bool = False,
        qkv_bias: bool = True,
        sandwich_norm: bool = False,
        norm_eps: float = 1e-5,
        image_mask: ImageMask = "causal",
        max_positions: int | None = None,
        init_std: float = 0.02,
    ) -> None:
        kv_heads = heads if kv_heads is None else kv_heads
        refused = below_one(vocab=vocab, width=width, depth=depth, heads=heads, kv_heads=kv_heads)
        if head_size is None and heads > 0 and width % heads:
            refused.append(f"heads {heads} do not divide width {width}; change one or set head_size")
        if heads > 0 and kv_heads > 0 and heads % kv_heads:
            refused.append(f"kv_heads {kv_heads} do not divide heads {heads}")
        refuse(self.registered_name, refused)
        head_size = width // heads if head_size is None else head_size
        rotated = int(head_size * rotary_fraction)
        if not 0 < rotary_fraction <= 1 or rotated < 2 or rotated % 2:
            raise ValueError(
                f"language/glm: rotary_fraction {rotary_fraction} of head_size {head_size} rotates {rotated} "
                "components; it must be an even number of at least 2, and no more than the head"
            )
        super().__init__(
            vocab=vocab,
            width=width,
            depth=depth,
            layers=layers,
            attention=attention,
            rotated=rotated,
            rope_theta=rope_theta,
            mrope_sections=mrope_sections,
            rotation=rotation,
            image_mask=image_mask,
            max_positions=max_positions,
            init_std=init_std,
        )
        self.kv_heads, self.head_size, self.full = kv_heads, head_size, False
        block = partial(
            Block,
            width=width,
            heads=heads,
            kv_heads=kv_heads,
            head_size=head_size,
            rotation=rotation,
            qk_norm=qk_norm,
            qkv_bias=qkv_bias,
            sandwich_norm=sandwich_norm,
            norm_eps=norm_eps,
            init_std=init_std,
        )
        self.blocks = nn.ModuleList(block(ffn=layer["ffn"]) for layer in layers)
        self.norm = RMSNorm(width, eps=norm_eps)
        self._last_block = partial(block, ffn=layers[-1]["ffn"])

    def _layer(
        self,
        block: nn.Module,
        hidden: Tensor,
        angles: Angles,
        lengths: Sequence[int],
        mask: Mask,
        at: At,
        carried: None,
    ) -> tuple[Tensor, Metrics, None]:
        return *block(hidden, angles, lengths, mask, self.attention, at), None

    def read_one(self, hidden: Float[Tensor, "batch width"], cache: Cache) -> Float[Tensor, "batch width"]:
        """Read one new token of text of each sequence by a compiled program; gives final-normed states.

        The same as `forward` that goes on with a cache, without metrics. The first call compiles, tens of
        seconds, and so does the first one with another number of sequences; after that neither the context's
        length nor, from two on, the number of sequences matters.

        Raises:
            ValueError: the cache is full, or the context is longer than `max_positions`.
            UserError: a CPU has no C++ compiler.
        """
        store = cast("KVCache", cache)
        lengths = [1] * len(hidden)
        positions = store.positions(lengths)
        self._check_reach(positions, lengths, store)
        out = _program(hidden.device.type)(self, hidden, positions, store, store.plan_one())
        store.advance(lengths)
        return out

    def _read_one(self, hidden: Tensor, positions: Tensor, store: KVCache, step: Step) -> Tensor:
        angles = self.rotary(positions, hidden.dtype)
        for number, block in enumerate(self.blocks):
            hidden, _ = block(hidden, angles, (), Causal(), self.attention, (store, number, step))
        return self.norm(hidden)

    def _cache(self, layers: int, batch: int, capacity: int) -> KVCache:
        weight = self.embed.weight
        return KVCache(
            layers=layers,
            batch=batch,
            capacity=capacity,
            kv_heads=self.kv_heads,
            size=self.head_size,
            device=weight.device,
            dtype=weight.dtype,
        )

    def become_tower(self) -> None:
        """See `Language.become_tower`; each section has frequencies from 1 to 1 / theta, as in other towers.

        Raises:
            ValueError: what is rotated of a head has no two sections of whole pairs.
        """
        size = self.rotary.size
        if size % 4:
            raise ValueError(
                f"language/glm: {size} components of a head are rotated, which do not divide into pairs that "
                "follow the row and pairs that follow the column; a multiple of four would be right"
            )
        del self.embed
        self.full, self.max_positions = True, None
        self.rotary = Rotary(size, self.rotary.theta, (0, size // 4, size // 4), ladders=True)

    def flops(self, lengths: Sequence[int]) -> int:
        """See `Language.flops`."""
        return sum(cast(Block, block).flops(lengths, self.full) for block in self.blocks)

    def make_block(self) -> Block:
        """A fresh block of the kind of the last layer, for a head that predicts with one."""
        return self._last_block()


@cache
def _program(device: str) -> Callable[..., Tensor]:
    """`GLM._read_one` compiled; made at its first use, since that loads the compiler."""
    if device == "cpu":
        from torch._inductor.cpp_builder import get_cpp_compiler
        from torch._inductor.exc import InvalidCxxCompiler

        try:
            get_cpp_compiler()
        except InvalidCxxCompiler:
            raise UserError(
                "compiled: found no C++ compiler; g++ or clang++, or its path in CXX, would be right"
            ) from None
    # Threads that sleep between loops cost more than they do for loops of fewer elements than this.
    return torch.compile(GLM._read_one, options={"cpp.min_chunk_size": 1 << 20})
