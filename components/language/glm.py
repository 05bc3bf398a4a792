"""`language/glm`: GLM's decoder, dense or a mixture of experts, over packed samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, TypedDict, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.kinds import FFN, Attention, Cache, Language
from vlmloom.components.contracts.mask import Causal, CausalWithImages, Mask
from vlmloom.components.contracts.packed import Layout
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.kernels import RMSNorm
from vlmloom.components.language.block import Block
from vlmloom.components.language.cache import KVCache
from vlmloom.components.language.rotary import Rotary, Rotation, default_sections, positions_of
from vlmloom.registry import register


class Layer(TypedDict):
    """The slots of one layer.

    Attributes:
        ffn: template of its feed-forward part, dense or a mixture of experts.
    """

    ffn: Callable[..., FFN]


@register("language/glm")
class GLM(Language):
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
        image_mask: Literal["causal", "bidirectional", "everywhere"] = "causal",
        init_std: float = 0.02,
    ) -> None:
        super().__init__()
        kv_heads = heads if kv_heads is None else kv_heads
        for name, value in (
            ("vocab", vocab),
            ("width", width),
            ("depth", depth),
            ("heads", heads),
            ("kv_heads", kv_heads),
        ):
            if value < 1:
                raise ValueError(f"language/glm: {name} is {value}; it must be at least 1")
        if head_size is None and width % heads:
            raise ValueError(
                f"language/glm: heads {heads} do not divide width {width}; change one or set head_size"
            )
        if heads % kv_heads:
            raise ValueError(f"language/glm: kv_heads {kv_heads} do not divide heads {heads}")
        head_size = width // heads if head_size is None else head_size
        rotated = int(head_size * rotary_fraction)
        if not 0 < rotary_fraction <= 1 or rotated < 2 or rotated % 2:
            raise ValueError(
                f"language/glm: rotary_fraction {rotary_fraction} of head_size {head_size} rotates {rotated} "
                "components; it must be an even number of at least 2, and no more than the head"
            )
        sections = default_sections(rotated // 2) if mrope_sections is None else tuple(mrope_sections)
        if len(sections) != 3 or min(sections) < 0 or sum(sections) != rotated // 2:
            raise ValueError(
                f"language/glm: mrope_sections {list(sections)} must be three numbers that sum to "
                f"{rotated // 2} (half of the {rotated} rotated components)"
            )
        if len(layers) != depth:
            raise ValueError(f"language/glm: depth is {depth}, but layers describes {len(layers)}")
        if image_mask not in ("causal", "bidirectional", "everywhere"):
            raise ValueError(
                f"language/glm: image_mask is {image_mask!r}; one of causal, bidirectional, everywhere"
            )
        if rotation not in ("half", "interleaved"):
            raise ValueError(f"language/glm: rotation is {rotation!r}; one of half, interleaved")
        self.width, self.vocab, self.depth = width, vocab, depth
        self.kv_heads, self.head_size = kv_heads, head_size
        self.image_mask = image_mask
        self.tapped: dict[int, Tensor] = {}

        self.embed = nn.Embedding(vocab, width)
        nn.init.normal_(self.embed.weight, std=init_std)
        self.rotary = Rotary(rotated, rope_theta, sections)
        self.attention = _default_attention() if attention is None else attention
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

    def forward(
        self,
        hidden: Float[Tensor, "tokens width"],
        positions: Int[Tensor, "3 tokens"],
        lengths: Sequence[int],
        mask: Mask | None = None,
        inject: dict[int, Tensor] | None = None,
        visual_slots: Int[Tensor, "visual"] | None = None,
        cache: Cache | None = None,
        taps: Sequence[int] = (),
    ) -> tuple[Float[Tensor, "tokens width"], Metrics]:
        """Run the blocks over packed samples (see `Language.forward`).

        Returns:
            `[T, D]` after the last norm; metrics of the layers: those that begin with `loss/` summed, all
            others averaged.

        Raises:
            ValueError: a tapped or injected layer is not there, or the cache is full.
        """
        for layer in (*taps, *(inject or ())):
            if not 0 <= layer < self.depth:
                raise ValueError(
                    f"language/glm: layer {layer} was asked for; there are layers 0 to {self.depth - 1}"
                )
        if mask is None:
            mask = self._mask(positions, visual_slots)
        angles = self.rotary(positions, hidden.dtype)
        store = cast("KVCache | None", cache)
        step = None if store is None else store.plan(lengths, mask)
        collected: dict[str, list[Tensor]] = {}
        self.tapped = {}
        for number, block in enumerate(self.blocks):
            at = None if store is None or step is None else (store, number, step)
            hidden, metrics = block(hidden, angles, lengths, mask, self.attention, at)
            if inject is not None and number in inject:
                if visual_slots is None:
                    raise ValueError("language/glm: inject needs visual_slots, the places to add to")
                hidden = hidden.index_add(0, visual_slots, inject[number].to(hidden.dtype))
            if number in taps:
                self.tapped[number] = hidden
            for name, value in metrics.items():
                collected.setdefault(name, []).append(value)
        if store is not None:
            store.advance(lengths, positions)
        return self.norm(hidden), {
            name: torch.stack(values).sum() if name.startswith("loss/") else torch.stack(values).mean()
            for name, values in collected.items()
        }

    def _mask(self, positions: Tensor, visual_slots: Tensor | None) -> Mask:
        """The mask that `image_mask` asks for.

        A picture is a run of visual slots with one time: pictures that touch differ in time.
        """
        if self.image_mask == "causal" or visual_slots is None or not len(visual_slots):
            return Causal()
        slots = visual_slots
        time = positions[0, slots]
        new = torch.ones_like(slots)
        new[1:] = ((slots[1:] != slots[:-1] + 1) | (time[1:] != time[:-1])).to(new.dtype)
        picture = slots.new_full((positions.shape[1],), -1)
        picture[slots] = new.cumsum(0) - 1
        return CausalWithImages(picture, everywhere=self.image_mask == "everywhere")

    def positions(self, layout: Layout) -> np.ndarray:
        """Rotary positions `[3, length]` of one sample (see `rotary.positions_of`). Pure and tensor-free."""
        return positions_of(layout)

    def cache(self, batch: int, capacity: int) -> KVCache:
        """An empty cache for `batch` sequences of at most `capacity` tokens."""
        weight = cast(nn.Parameter, self.embed.weight)
        return KVCache(
            layers=self.depth,
            batch=batch,
            capacity=capacity,
            kv_heads=self.kv_heads,
            size=self.head_size,
            device=weight.device,
            dtype=weight.dtype,
        )

    def make_block(self) -> Block:
        """A fresh block of the kind of the last layer, for a head that predicts with one."""
        return self._last_block()

    def run_block(
        self,
        block: nn.Module,
        hidden: Float[Tensor, "tokens width"],
        positions: Int[Tensor, "3 tokens"],
        lengths: Sequence[int],
        mask: Mask | None = None,
    ) -> tuple[Float[Tensor, "tokens width"], Metrics]:
        """Run such a block with this part's rotary positions and attention."""
        angles = self.rotary(positions, hidden.dtype)
        return block(hidden, angles, lengths, Causal() if mask is None else mask, self.attention)

    def flops(self, lengths: Sequence[int]) -> int:
        """Forward FLOPs for samples of these lengths; causal attention counts half, on every backend."""
        return sum(cast(Block, block).flops(lengths) for block in self.blocks)

    def active_parameters(self) -> int:
        """The parameters that one token uses: all but the experts it is not routed to."""
        blocks = [cast(Block, block) for block in self.blocks]
        idle = sum(sum(p.numel() for p in block.parameters()) - block.active_parameters() for block in blocks)
        return sum(parameter.numel() for parameter in self.parameters()) - idle

    def shapes(self, spec: Spec) -> Spec:
        """Visual or hidden states of `width` in, hidden states of `width` out."""
        spec.need("language/glm", "hidden" if spec.stream == "hidden" else "visual", self.width)
        return Spec("hidden", self.width)


def _default_attention() -> Attention:
    # By name, not by import: kinds know each other through the registry alone.
    from vlmloom.registry import build

    return build({"use": "attention/sdpa"})
