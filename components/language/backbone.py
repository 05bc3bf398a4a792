"""`Backbone`: what GLM's language parts share, from hidden states and positions to final-normed states."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.cache import Cache
from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.ffn import FFN
from vlmloom.components.contracts.language import Language
from vlmloom.components.contracts.mask import Causal, CausalWithImages, Mask
from vlmloom.components.contracts.packed import Layout
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.language.cache import PaddedCache, Step
from vlmloom.components.language.context import check_reach, reach_of
from vlmloom.components.language.embedding import Embedding
from vlmloom.components.language.rotary import Angles, Rotary, Rotation, default_sections, positions_of
from vlmloom.registry.errors import below_one, refuse

ImageMask = Literal["causal", "bidirectional", "everywhere"]
At = tuple[Any, int, Step] | None
"""The cache, the number of a layer in it and where new tokens go."""


class Layer(TypedDict):
    """The slots of one layer.

    Attributes:
        ffn: template of its feed-forward part, dense or a mixture of experts.
    """

    ffn: Callable[..., FFN]


class Backbone(Language):
    """Embedding, rotary positions and the walk over the blocks; subclasses make `blocks` and `norm`.

    Args:
        vocab: number of token ids.
        width: D, of the hidden states.
        depth: number of layers.
        layers: the slots of each layer, `depth` of them.
        attention: the backend; None is `attention/sdpa`.
        rotated: how many components of a head are rotated.
        rope_theta: base of the rotary frequencies.
        mrope_sections: frequencies that follow time, row and column; None splits them 1/4, 3/8, 3/8.
        rotation: how components are paired.
        image_mask: see `language/glm`.
        max_positions: the longest context that the positions allow; None allows any.
        init_std: of the embedding.

    Raises:
        ValueError: sizes, sections or layers do not fit together.
    """

    embed: Embedding
    blocks: nn.ModuleList
    norm: nn.Module

    def __init__(
        self,
        *,
        vocab: int,
        width: int,
        depth: int,
        layers: Sequence[Layer],
        attention: Attention | None,
        rotated: int,
        rope_theta: float,
        mrope_sections: tuple[int, int, int] | None,
        rotation: Rotation,
        image_mask: ImageMask,
        max_positions: int | None,
        init_std: float,
    ) -> None:
        super().__init__()
        reach = {} if max_positions is None else {"max_positions": max_positions}
        refuse(self.registered_name, below_one(vocab=vocab, width=width, depth=depth, **reach))
        sections = default_sections(rotated // 2) if mrope_sections is None else tuple(mrope_sections)
        refused = []
        if len(sections) != 3 or min(sections) < 0 or sum(sections) != rotated // 2:
            refused.append(
                f"mrope_sections {list(sections)} must be three numbers that sum to "
                f"{rotated // 2} (half of the {rotated} rotated components)"
            )
        if len(layers) != depth:
            refused.append(f"depth is {depth}, but layers describes {len(layers)}")
        if image_mask not in ("causal", "bidirectional", "everywhere"):
            refused.append(f"image_mask is {image_mask!r}; one of causal, bidirectional, everywhere")
        if rotation not in ("half", "interleaved"):
            refused.append(f"rotation is {rotation!r}; one of half, interleaved")
        refuse(self.registered_name, refused)
        self.width, self.vocab, self.depth = width, vocab, depth
        self.image_mask, self.max_positions = image_mask, max_positions
        self.tapped: dict[int, Tensor] = {}
        self.embed = Embedding(vocab, width, init_std=init_std, who=self.registered_name)
        self.rotary = Rotary(rotated, rope_theta, sections)
        self.attention = default_attention() if attention is None else attention

    def forward(
        self,
        hidden: Float[Tensor, "tokens width"],
        positions: Int[Tensor, "3 tokens"] | None,
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
            ValueError: a tapped or injected layer is not there, the cache is full, or the context is longer
                than `max_positions`.
        """
        for layer in (*taps, *(inject or ())):
            if not 0 <= layer < self.depth:
                raise ValueError(
                    f"{self.registered_name}: layer {layer} was asked for; "
                    f"there are layers 0 to {self.depth - 1}"
                )
        store = cast("PaddedCache | None", cache)
        going_on = positions is None
        if positions is None:
            if store is None:
                raise ValueError(f"{self.registered_name}: positions may be None only where a cache goes on")
            positions = store.positions(lengths)
        if mask is None:
            mask = self._mask(positions, visual_slots)
        self._check_reach(positions, lengths, store)
        angles = self.rotary(positions, hidden.dtype)
        step = None if store is None else store.plan(lengths, mask)
        collected: dict[str, list[Tensor]] = {}
        self.tapped = {}
        carried = None
        for number, block in enumerate(self.blocks):
            at = None if store is None or step is None else (store, number, step)
            hidden, metrics, carried = self._layer(block, hidden, angles, lengths, mask, at, carried)
            if inject is not None and number in inject:
                if visual_slots is None:
                    raise ValueError(
                        f"{self.registered_name}: inject needs visual_slots, the places to add to"
                    )
                hidden = hidden.index_add(0, visual_slots, inject[number].to(hidden.dtype))
            if number in taps:
                self.tapped[number] = hidden
            for name, value in metrics.items():
                collected.setdefault(name, []).append(value)
        if store is not None:
            store.advance(lengths, None if going_on else positions)
        return self.norm(hidden), {
            name: torch.stack(values).sum() if name.startswith("loss/") else torch.stack(values).mean()
            for name, values in collected.items()
        }

    def units(self) -> list[nn.Module]:
        """See `Component.units`: the blocks."""
        return list(self.blocks)

    def _check_reach(self, positions: Tensor, lengths: Sequence[int], store: PaddedCache | None) -> None:
        """Refuse a context of more positions than there are."""
        if self.max_positions is not None:
            # What a GPU holds is not asked for; `positions` has checked what is read there.
            read = store.following if store is not None and any(store.lengths) else None
            check_reach(reach_of(positions, lengths, read), self.max_positions, self.registered_name)

    @abstractmethod
    def _layer(
        self,
        block: nn.Module,
        hidden: Tensor,
        angles: Angles,
        lengths: Sequence[int],
        mask: Mask,
        at: At,
        carried: Any,
    ) -> tuple[Tensor, Metrics, Any]:
        """Run one block; `carried` is what the block before handed on, None at first."""

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
        """Rotary positions `[3, length]` of one sample (see `rotary.positions_of`). Pure and tensor-free.

        Raises:
            ValueError: the sample is longer than `max_positions`, or a span does not agree with its grid.
        """
        positions = positions_of(layout)
        check_reach(int(positions.max(initial=-1)) + 1, self.max_positions, self.registered_name)
        return positions

    def cache(self, batch: int, capacity: int) -> PaddedCache:
        """An empty cache for `batch` sequences of at most `capacity` tokens."""
        return self._cache(self.depth, batch, capacity)

    def block_cache(self, batch: int, capacity: int) -> PaddedCache:
        """An empty cache of one block that `make_block` made."""
        return self._cache(1, batch, capacity)

    @abstractmethod
    def _cache(self, layers: int, batch: int, capacity: int) -> PaddedCache:
        """An empty cache of so many layers."""

    def run_block(
        self,
        block: nn.Module,
        hidden: Float[Tensor, "tokens width"],
        positions: Int[Tensor, "3 tokens"],
        lengths: Sequence[int],
        mask: Mask | None = None,
        cache: Cache | None = None,
    ) -> tuple[Float[Tensor, "tokens width"], Metrics]:
        """Run a block that `make_block` made with this part's rotary positions and attention."""
        mask = Causal() if mask is None else mask
        store = cast("PaddedCache | None", cache)
        at = None if store is None else (store, 0, store.plan(lengths, mask))
        angles = self.rotary(positions, hidden.dtype)
        out, metrics, _ = self._layer(block, hidden, angles, lengths, mask, at, None)
        if store is not None:
            store.advance(lengths)
        return out, metrics

    def flops(self, lengths: Sequence[int]) -> int:
        """Forward FLOPs for samples of these lengths; causal attention counts half, on every backend."""
        return sum(block.flops(lengths) for block in self.blocks)  # type: ignore[operator]

    def active_parameters(self) -> int:
        """The parameters that one token uses: all but the experts it is not routed to."""
        idle = sum(
            sum(parameter.numel() for parameter in block.parameters()) - block.active_parameters()  # type: ignore[operator]
            for block in self.blocks
        )
        return sum(parameter.numel() for parameter in self.parameters()) - idle

    def shapes(self, spec: Spec) -> Spec:
        """Visual or hidden states of `width` in, hidden states of `width` out."""
        spec.need(self.registered_name, "hidden" if spec.stream == "hidden" else "visual", self.width)
        return Spec("hidden", self.width)


def default_attention() -> Attention:
    """The backend where none is given."""
    # By name, not by import: kinds know each other through the registry alone.
    from vlmloom.registry import build

    return build({"use": "attention/sdpa"})
