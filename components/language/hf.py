"""`language/hf`: any causal language model of transformers as the language part."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.cache import Cache
from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.language import Language
from vlmloom.components.contracts.mask import Causal, Mask
from vlmloom.components.contracts.packed import Layout
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.language.backbone import default_attention
from vlmloom.components.language.cache import KVCache
from vlmloom.components.language.context import check_reach, reach_of
from vlmloom.components.language.hf_account import (
    Heads,
    HFBlock,
    attention_flops,
    idle_parameters,
    matrix_parameters,
    windows_of,
)
from vlmloom.components.language.hf_attention import NAME, PackedPass, packed_attention
from vlmloom.components.language.hf_batches import RowCaches, batches_of, pad, unpad
from vlmloom.components.language.hf_load import can_pack, check_ids, library, load, logit_factor
from vlmloom.registry import register


@register("language/hf")
class HF(Language):
    """Any causal language model of transformers, from a local folder, a configuration, or an instance.

    Where all that tokens know of each other is plain attention, the model runs packed: on one flat axis,
    with our attention backend inside, without padding and with our cache. Every other model (recurrent
    layers, soft caps, sinks, chunks) runs in batches of samples of like length, and generates with a cache
    of its own kind for each sequence. Positions are a running index. The output matrix is the model's own,
    which `head/lm` uses with `tied: true`.

    Args:
        folder: a local folder with a configuration and weights.
        config: a configuration with its `model_type`, for random weights.
        model: an instance, from Python.
        attention: the backend; None is `attention/sdpa`. Batches run with the model's own.
        packing: `packed`, `batches`, or `auto`, which packs where that is the same.
        max_positions: the longest context; None is what the configuration says.
        dtype: of the weights of a folder.

    Raises:
        ValueError: transformers is not there or refuses what is given, or logits are more than a product.

    Reference: transformers, AutoModelForCausalLM.
    """

    def __init__(
        self,
        *,
        folder: str | None = None,
        config: Mapping[str, Any] | None = None,
        model: Any = None,
        attention: Attention | None = None,
        packing: Literal["auto", "packed", "batches"] = "auto",
        max_positions: int | None = None,
        dtype: Literal["float32", "bfloat16", "auto"] = "float32",
    ) -> None:
        super().__init__()
        if packing not in ("auto", "packed", "batches"):
            raise ValueError(f"language/hf: packing is {packing!r}; one of auto, packed, batches")
        if max_positions is not None and max_positions < 1:
            raise ValueError(f"language/hf: max_positions is {max_positions}; it must be at least 1")
        self.model = load(folder, config, model, dtype)
        self.pretrained = [] if folder is None else [f"the language model of {folder}"]
        self.factor = logit_factor(self.model)
        self.text = self.decoder.config
        self.packed = packing == "packed" or (packing == "auto" and can_pack(self.model))
        self.attention = default_attention() if attention is None else attention
        if self.packed:
            library().AttentionInterface.register(NAME, packed_attention)
            self.model.set_attn_implementation(NAME)
        embed = cast(nn.Embedding, self.model.get_input_embeddings())
        self.vocab, self.width = embed.weight.shape
        output = self.model.get_output_embeddings().weight
        if output.shape != embed.weight.shape:
            raise ValueError(
                f"language/hf: {type(self.model).__name__} reads embeddings {list(embed.weight.shape)}, but "
                f"its output matrix is {list(output.shape)}; they must agree"
            )
        self.depth = self.text.num_hidden_layers
        self.max_positions = max_positions or getattr(self.text, "max_position_embeddings", None)
        embed.register_forward_pre_hook(check_ids)
        taken = inspect.signature(self.decoder.forward).parameters
        self._takes_positions = "position_ids" in taken
        self._cache_name = "cache" if "cache" in taken else "past_key_values"
        self.tapped: dict[int, Tensor] = {}

    @property
    def decoder(self) -> Any:
        """The model without its output matrix."""
        return self.model.get_decoder()

    @property
    def embed(self) -> nn.Module:  # type: ignore[override]
        """The model's embedding."""
        return self.model.get_input_embeddings()

    @property
    def output_matrix(self) -> Tensor:
        """The model's own, tied to its embedding or not."""
        return self.model.get_output_embeddings().weight

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
        """Run the model over packed samples (see `Language.forward`); the last norm is the model's own.

        Raises:
            ValueError: the context is longer than `max_positions`, the cache is full, or batches are asked
                for another mask than causal, for taps or for injection.
        """
        going_on = positions is None
        if positions is None:
            if cache is None:
                raise ValueError("language/hf: positions may be None only where a cache goes on")
            positions = cache.positions(lengths)
        read = cache.following if cache is not None and any(cache.lengths) else None
        check_reach(reach_of(positions, lengths, read), self.max_positions, "language/hf")
        mask = Causal() if mask is None else mask
        self.tapped = {}
        if not self.packed:
            if not isinstance(mask, Causal) or taps or inject:
                raise ValueError(
                    f"language/hf: {type(self.model).__name__} runs in batches, which know no mask but the "
                    "causal one, no taps and no injection"
                )
            out = self._batches(hidden, positions, lengths, cast("RowCaches | None", cache))
            if cache is not None:
                cache.advance(lengths, None if going_on else positions)
            return out * self.factor, {}
        store = cast("KVCache | None", cache)
        step = None if store is None else store.plan(lengths, mask)
        own = None if store is None or step is None else (store, step)
        if not len(hidden):
            return self._nothing(hidden), {}
        with self._watched(taps, inject, visual_slots):
            out = self._call(
                hidden[None], positions[:1], packed=PackedPass(lengths, mask, self.attention, own)
            )[0]
        if store is not None:
            store.advance(lengths, None if going_on else positions)
        return out * self.factor, {}

    def _call(self, hidden: Tensor, positions: Tensor, **options: Any) -> Tensor:
        """`[B, L, D]` and `[B, L]` -> `[B, L, D]`."""
        if self._takes_positions:
            options["position_ids"] = positions
        return self.decoder(inputs_embeds=hidden, **{"use_cache": False, **options}).last_hidden_state

    def _nothing(self, hidden: Tensor) -> Tensor:
        """An empty pack reaches every parameter too, with gradients of zero."""
        return hidden + sum(p.sum() * 0.0 for p in self.decoder.parameters() if p.requires_grad)

    def _batches(
        self, hidden: Tensor, positions: Tensor, lengths: Sequence[int], cache: RowCaches | None
    ) -> Tensor:
        """Samples of like length together, padded on the right, where no token looks; with a cache alone."""
        if not len(hidden):
            return self._nothing(hidden)
        if cache is None:
            found: list[Tensor] = [hidden[:0]] * len(lengths)
            parts, places = hidden.split(list(lengths)), positions[0].split(list(lengths))
            for rows in batches_of(lengths):
                out = self._call(pad([parts[row] for row in rows]), pad([places[row] for row in rows]))
                for row, own in zip(rows, unpad(out, [lengths[row] for row in rows]), strict=True):
                    found[row] = own
            return torch.cat(found)
        cache.check(lengths)
        pieces, start = [], 0
        for row, new in enumerate(lengths):
            # A recurrent model goes on from its state by one token.
            single = cache.lengths[row] and cache.recurrent
            options = {self._cache_name: cache.rows[row], "use_cache": True}
            for first in range(start, start + new, 1 if single else max(new, 1)):
                part = slice(first, first + 1 if single else start + new)
                pieces.append(self._call(hidden[None, part], positions[:1, part], **options)[0])
            start += new
        return torch.cat(pieces)

    @contextmanager
    def _watched(
        self, taps: Sequence[int], inject: dict[int, Tensor] | None, slots: Tensor | None
    ) -> Iterator[None]:
        """Hooks on the layers that are tapped or injected after."""
        added, handles = inject or {}, []
        for layer in sorted({*taps, *added}):
            if not 0 <= layer < self.depth:
                raise ValueError(
                    f"language/hf: layer {layer} was asked for; there are layers 0 to {self.depth - 1}"
                )
            if layer in added and slots is None:
                raise ValueError("language/hf: inject needs visual_slots, the places to add to")

            def hook(_: nn.Module, __: Any, out: Any, layer: int = layer) -> Any:
                first = out[0] if isinstance(out, tuple) else out
                if layer in added:
                    first = first.index_add(1, slots, added[layer][None].to(first.dtype))
                if layer in taps:
                    self.tapped[layer] = first[0]
                return (first, *out[1:]) if isinstance(out, tuple) else first

            handles.append(self.decoder.layers[layer].register_forward_hook(hook))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def units(self) -> list[nn.Module]:
        """See `Component.units`: the decoder's layers."""
        return list(getattr(self.decoder, "layers", ()))

    def positions(self, layout: Layout) -> np.ndarray:
        """A running index on all three axes, `[3, length]`. Pure and tensor-free.

        Raises:
            ValueError: the sample is longer than `max_positions`.
        """
        length = sum(span.length for span in layout)
        check_reach(length, self.max_positions, "language/hf")
        return np.broadcast_to(np.arange(length), (3, length)).copy()

    def cache(self, batch: int, capacity: int) -> KVCache | RowCaches:
        """An empty cache for `batch` sequences of at most `capacity` tokens."""
        weight = cast(Tensor, self.embed.weight)
        if not self.packed:
            make = library().DynamicCache
            # A window's own layers drop what has left it, and could not be rolled back into it.
            windows = set(getattr(self.text, "layer_types", None) or ()) <= {
                "full_attention",
                "sliding_attention",
            }
            return RowCaches(
                make if windows else partial(make, config=self.text),
                recurrent=getattr(self.model, "_is_stateful", False),
                batch=batch,
                capacity=capacity,
                device=weight.device,
            )
        return self._cache(self.depth, batch, capacity)

    def block_cache(self, batch: int, capacity: int) -> KVCache:
        """An empty cache of one block that `make_block` made."""
        return self._cache(1, batch, capacity)

    def _cache(self, layers: int, batch: int, capacity: int) -> KVCache:
        weight, heads = cast(Tensor, self.embed.weight), Heads.of(self.text)
        return KVCache(
            layers=layers,
            batch=batch,
            capacity=capacity,
            kv_heads=heads.kv_heads,
            size=max(heads.size, heads.value_size),
            device=weight.device,
            dtype=weight.dtype,
        )

    def make_block(self) -> HFBlock:
        """A fresh layer of the kind of the last one, for a head that predicts with one.

        Raises:
            NotImplementedError: the model's layers are not of the common kind.
        """
        layers, rotary = getattr(self.decoder, "layers", None), getattr(self.decoder, "rotary_emb", None)
        plain = rotary is not None and set(inspect.signature(rotary.forward).parameters) == {
            "x",
            "position_ids",
        }
        if not self.packed or not layers or not plain:
            raise NotImplementedError(
                f"language/hf: {type(self.model).__name__} offers no block to a multi-token head, which "
                "needs layers with plain attention and one rotary embedding; leave the head out"
            )
        layer = type(layers[-1])(self.text, self.depth - 1)
        layer.apply(self.model._init_weights)
        return HFBlock(layer.to(self.embed.weight.dtype), self.text)  # type: ignore[arg-type]

    def run_block(
        self,
        block: nn.Module,
        hidden: Float[Tensor, "tokens width"],
        positions: Int[Tensor, "3 tokens"],
        lengths: Sequence[int],
        mask: Mask | None = None,
        cache: Cache | None = None,
    ) -> tuple[Float[Tensor, "tokens width"], Metrics]:
        """Run such a block with the model's rotary embedding and our attention."""
        mask = Causal() if mask is None else mask
        store = cast("KVCache | None", cache)
        own = None if store is None else (store, store.plan(lengths, mask))
        out = block(
            hidden[None],
            attention_mask=None,
            position_ids=positions[:1],
            position_embeddings=self.decoder.rotary_emb(hidden[None], position_ids=positions[:1]),
            packed=PackedPass(lengths, mask, self.attention, own, layer=0),
        )
        if store is not None:
            store.advance(lengths)
        return (out[0] if isinstance(out, tuple) else out)[0], {}

    def flops(self, lengths: Sequence[int]) -> int:
        """Forward FLOPs: the matrices that a token passes, and attention by heads and windows.

        What recurrent layers do beside their matrices is not counted.
        """
        products = sum(attention_flops(Heads.of(self.text), one, lengths) for one in windows_of(self.text))
        return 2 * sum(lengths) * matrix_parameters(self.decoder, self.text) + products

    def active_parameters(self) -> int:
        """The parameters that one token uses: all but the experts it is not routed to."""
        return sum(p.numel() for p in self.parameters()) - idle_parameters(self.decoder, self.text)

    def shapes(self, spec: Spec) -> Spec:
        """Visual or hidden states of `width` in, hidden states of `width` out."""
        spec.need("language/hf", "hidden" if spec.stream == "hidden" else "visual", self.width)
        return Spec("hidden", self.width)
