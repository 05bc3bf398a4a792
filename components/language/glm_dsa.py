"""`language/glm_dsa`: the GLM-5 line, latent attention over keys that an indexer selects."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

from torch import Tensor, nn

from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.mask import Mask
from vlmloom.components.kernels import RMSNorm
from vlmloom.components.language.backbone import At, Backbone, ImageMask, Layer
from vlmloom.components.language.indexer import Indexer
from vlmloom.components.language.latent_block import LatentBlock
from vlmloom.components.language.latent_cache import LatentCache
from vlmloom.components.language.rotary import Angles, Rotation
from vlmloom.components.language.selective import Selected, SelectiveAttention
from vlmloom.registry import register
from vlmloom.registry.errors import below_one, refuse


class SelectiveLayer(Layer, total=False):
    """The slots of one layer.

    Attributes:
        ffn: template of its feed-forward part, dense or a mixture of experts.
        indexer: `full` (the default) selects keys with an indexer of its own, `shared` reuses the selection
            of the last layer that did.
    """

    indexer: Literal["full", "shared"]


@register("language/glm_dsa")
class GLMDSA(Backbone):
    """GLM-5's decoder: latent attention to the keys that an indexer selects, dense layers, then experts.

    A token attends to at most `index_top_k` keys of its sample. In a sample that is no longer than that a
    token attends to all it sees, and no indexer runs. Nothing of size T x T is made.

    Args:
        vocab: number of token ids.
        width: D, of the hidden states.
        depth: number of layers.
        heads: query heads.
        query_rank: of the latent queries (`q_lora_rank`).
        kv_rank: of the latent keys and values (`kv_lora_rank`).
        nope_size: the part of a query and key that does not turn.
        rope_size: the part that turns, and that all heads share in the keys.
        value_size: of a head's value.
        layers: the slots of each layer, `depth` of them; the first has a `full` indexer.
        attention: the backend of rows that attend to all they see; None is `attention/sdpa`.
        index_heads: heads of the indexer.
        index_size: of an indexer's head; its first `rope_size` components turn.
        index_top_k: keys that a token attends to.
        index_loss: coefficient of the loss that draws each indexer towards its layer's attention (metric
            `loss/indexer`, in training); it reaches no other parameter. At 0 indexers are frozen.
        select: whether to select; False attends to all, which is how an indexer is warmed up.
        rope_theta: base of the rotary frequencies.
        mrope_sections: frequencies that follow time, row and column; None splits them 1/4, 3/8, 3/8.
        rotation: how components are paired in the attention.
        index_rotation: how components are paired in the indexer (DeepSeek-V3.2: `half`).
        attention_bias: bias of the projections from and to the hidden states.
        norm_eps: of the norms of hidden states.
        latent_norm_eps: of the norms of latent queries, keys and values.
        image_mask: see `language/glm`.
        max_positions: the longest context that the positions allow; None allows any.
        init_std: of the weights.

    Raises:
        ValueError: sizes, sections or layers do not fit together.

    Reference: arXiv 2602.15763, 2512.02556, 2405.04434; transformers,
    models/glm_moe_dsa/modeling_glm_moe_dsa.py.
    """

    def __init__(
        self,
        *,
        vocab: int,
        width: int,
        depth: int,
        heads: int,
        query_rank: int,
        kv_rank: int,
        nope_size: int,
        rope_size: int,
        value_size: int,
        layers: Sequence[SelectiveLayer],
        attention: Attention | None = None,
        index_heads: int = 32,
        index_size: int = 128,
        index_top_k: int = 2048,
        index_loss: float = 0.0,
        select: bool = True,
        rope_theta: float = 10000.0,
        mrope_sections: tuple[int, int, int] | None = None,
        rotation: Rotation = "interleaved",
        index_rotation: Rotation = "interleaved",
        attention_bias: bool = False,
        norm_eps: float = 1e-5,
        latent_norm_eps: float = 1e-6,
        image_mask: ImageMask = "causal",
        max_positions: int | None = None,
        init_std: float = 0.02,
    ) -> None:
        refused = below_one(
            heads=heads, query_rank=query_rank, kv_rank=kv_rank, nope_size=nope_size, rope_size=rope_size,
            value_size=value_size, index_heads=index_heads, index_size=index_size, index_top_k=index_top_k,
        )  # fmt: skip
        if rope_size % 2:
            refused.append(f"rope_size is {rope_size}; components turn in pairs")
        if rope_size > index_size:
            refused.append(
                f"rope_size {rope_size} is more than index_size {index_size}, of which it is a part"
            )
        if index_rotation not in ("half", "interleaved"):
            refused.append(f"index_rotation is {index_rotation!r}; one of half, interleaved")
        if index_loss < 0:
            refused.append(f"index_loss is {index_loss}; it must not be negative")
        refuse(self.registered_name, refused)
        super().__init__(
            vocab=vocab,
            width=width,
            depth=depth,
            layers=layers,
            attention=attention,
            rotated=rope_size,
            rope_theta=rope_theta,
            mrope_sections=mrope_sections,
            rotation=rotation,
            image_mask=image_mask,
            max_positions=max_positions,
            init_std=init_std,
        )
        kinds = [layer.get("indexer") or "full" for layer in layers]
        for number, kind in enumerate(kinds):
            if kind not in ("full", "shared"):
                raise ValueError(
                    f"language/glm_dsa: indexer of layer {number} is {kind!r}; one of full, shared"
                )
        if kinds[0] != "full":
            raise ValueError("language/glm_dsa: indexer of layer 0 is shared; there is no layer before it")
        self.indexers = [number for number, kind in enumerate(kinds) if kind == "full"]
        self.memory_size, self.index_size = kv_rank + rope_size, index_size
        indexer = partial(
            Indexer,
            width=width,
            query_rank=query_rank,
            heads=index_heads,
            size=index_size,
            rotation=index_rotation,
            init_std=init_std,
        )
        latent = partial(
            SelectiveAttention,
            top_k=index_top_k if select else None,
            indexer_loss=index_loss,
            width=width,
            heads=heads,
            query_rank=query_rank,
            kv_rank=kv_rank,
            nope_size=nope_size,
            rope_size=rope_size,
            value_size=value_size,
            rotation=rotation,
            bias=attention_bias,
            norm_eps=latent_norm_eps,
            init_std=init_std,
        )
        full = partial(
            LatentBlock, width=width, attention=partial(latent, indexer=indexer), norm_eps=norm_eps
        )
        shared = partial(LatentBlock, width=width, attention=partial(latent, indexer=None), norm_eps=norm_eps)
        self.blocks = nn.ModuleList(
            (full if kind == "full" else shared)(ffn=layer["ffn"])
            for kind, layer in zip(kinds, layers, strict=True)
        )
        self.norm = RMSNorm(width, eps=norm_eps)
        self._last_block = partial(full, ffn=layers[-1]["ffn"])

    def _layer(
        self,
        block: nn.Module,
        hidden: Tensor,
        angles: Angles,
        lengths: Sequence[int],
        mask: Mask,
        at: At,
        carried: Selected | None,
    ) -> tuple[Tensor, Metrics, Selected]:
        return block(hidden, angles, lengths, mask, self.attention, carried, at)

    def _cache(self, layers: int, batch: int, capacity: int) -> LatentCache:
        weight = self.embed.weight
        return LatentCache(
            indexers=[number for number in self.indexers if number < layers],
            layers=layers,
            batch=batch,
            capacity=capacity,
            size=self.memory_size,
            index_size=self.index_size,
            device=weight.device,
            dtype=weight.dtype,
        )

    def make_block(self) -> LatentBlock:
        """A fresh block of the last layer's kind, with an indexer of its own, for a head with a block."""
        return self._last_block()
