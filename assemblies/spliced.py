"""`Spliced`: visual tokens spliced into the token sequence of a language model.

The frame that the native, adapter and cascade designs share. Without a vision part it is a text model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from vlmloom.assemblies.assembly import Assembly
from vlmloom.assemblies.generation import Acceptance, Emission, Sampling, stream
from vlmloom.components.contracts.cache import Cache
from vlmloom.components.contracts.component import Metrics, beside, declared_losses
from vlmloom.components.contracts.head import Head
from vlmloom.components.contracts.language import Language
from vlmloom.components.contracts.packed import Layout, Packed
from vlmloom.components.contracts.projector import Projector
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.contracts.vision import Vision
from vlmloom.components.contracts.visuals import Grid, PatchSpec

EXAMPLE_GRID = 4
"""Rows and columns, in merge groups, of the picture that a dry run pretends to see."""


class Spliced(Assembly):
    """Vision and projector where there are any, a language part, and heads on its hidden states."""

    def __init__(
        self,
        *,
        language: Language,
        head: Mapping[str, Callable[..., Head]],
        vision: Vision | None = None,
        projector: Callable[..., Projector] | None = None,
    ) -> None:
        """Wire the parts; the projector's and the heads' widths are inferred from their neighbours."""
        super().__init__()
        if "lm" not in head:
            raise ValueError(f"head: an `lm` head is needed, found {sorted(head) or 'none'}")
        if (vision is None) != (projector is None):
            raise ValueError("vision and projector: either both or none of them")
        self.vision = vision
        self.projector = None
        if vision is not None and projector is not None:
            self.projector = projector(in_width=vision.out_width, out_width=language.width)
        self.language = language
        self.head = nn.ModuleDict(
            {name: template(width=language.width, vocab=language.vocab) for name, template in head.items()}
        )
        for part in self.heads().values():
            part.bind(language, self.lm)

    @property
    def lm(self) -> Head:
        """The head that owns the unembedding."""
        return self.heads()["lm"]

    def heads(self) -> dict[str, Head]:
        """The heads by name."""
        return {name: part for name, part in self.head.items() if isinstance(part, Head)}

    def parts(self) -> dict[str, nn.Module]:
        """See `Assembly.parts`."""
        flow = {"vision": self.vision, "projector": self.projector, "language": self.language}
        found = {name: part for name, part in flow.items() if part is not None}
        return found | {f"head.{name}": part for name, part in self.heads().items()}

    def reads(self) -> dict[str, tuple[str, ...]]:
        """See `Assembly.reads`: heads stand beside one another."""
        trunk = ("vision", "projector", "language")
        return {f"head.{name}": trunk for name in self.heads()}

    def patch_specs(self) -> dict[str, PatchSpec]:
        """See `Assembly.patch_specs`: pictures are cut in the order of the projector's groups."""
        if self.vision is None or self.projector is None:
            return {}
        return {"vision": self.vision.patch_spec.with_block(self.projector.block)}

    def merged_grids(self, grids: Sequence[Grid]) -> list[Grid]:
        """See `Assembly.merged_grids`."""
        if self.vision is None or self.projector is None:
            return []
        return self.projector.merged_grids(self.vision.token_grids(grids))

    def positions(self, layout: Layout) -> np.ndarray:
        """See `Assembly.positions`."""
        return self.language.positions(layout)

    def embed(self, batch: Packed) -> tuple[Tensor, Metrics]:
        """Token embeddings `[T, D]` with the projected visual tokens in their slots."""
        hidden = self.language.embed(batch.ids)
        visuals = batch.visuals.get("vision")
        if self.vision is None or self.projector is None or visuals is None:
            return hidden, {}
        features, seen = self.vision(visuals)
        features, projected = self.projector(features)
        metrics = beside(seen, projected, "projector")
        if visuals.weight == 0.0:
            # No picture in this pack: keep vision and projector in the graph, so that every rank of a
            # data-parallel run reduces the same gradients.
            return hidden + 0.0 * features.tokens.sum(), metrics
        return hidden.index_copy(0, batch.visual_slots, features.tokens.to(hidden.dtype)), metrics

    def hidden(self, batch: Packed, cache: Cache | None = None) -> tuple[Tensor, Metrics]:
        """Final hidden states `[T, D]`; the merged embeddings are left in `batch.extras`."""
        embedded, metrics = self.embed(batch)
        batch.extras["inputs_embeds"] = embedded
        hidden, inside = self.language(
            embedded, batch.positions, batch.lengths, visual_slots=batch.visual_slots, cache=cache
        )
        return hidden, beside(metrics, inside, "language")

    def loss(self, batch: Packed) -> tuple[Tensor, Metrics]:
        """See `Assembly.loss`: the sum of the heads' losses and of what parts report below `loss/`."""
        hidden, metrics = self.hidden(batch)
        total = hidden.new_zeros(())
        for name, head in self.heads().items():
            value, parts = head(hidden, batch)
            total = total + value
            metrics |= {f"{name}/{key}": part for key, part in parts.items()}
        return total + declared_losses(metrics), metrics

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits over the vocabulary for hidden states."""
        return self.lm.logits(hidden)  # type: ignore[operator]

    def forward_flops(self, lengths: Sequence[int], grids: Sequence[Grid], targets: int) -> dict[str, int]:
        """See `Assembly.forward_flops`."""
        account: dict[str, int] = {}
        if self.vision is not None and self.projector is not None and grids:
            account["vision"] = self.vision.flops(grids)
            account["projector"] = self.projector.flops(self.vision.token_grids(grids))
        account["language"] = self.language.flops(lengths)
        for name, head in self.heads().items():
            account[f"head.{name}"] = head.flops(lengths, targets)
        return account

    def dry_run(self) -> None:
        """See `Assembly.dry_run`."""
        width = self.language.width
        if self.vision is not None and self.projector is not None:
            patch = self.patch_specs()["vision"]
            side = EXAMPLE_GRID * patch.block
            stream = Spec("patches", 3 * patch.patch**2, ((1, side, side),))
            stream = self.projector.shapes(self.vision.shapes(stream))
            stream.need("language", "visual", width)
        hidden = self.language.shapes(Spec("hidden", width))
        for head in self.heads().values():
            head.shapes(hidden)

    def stream(
        self,
        batch: Packed,
        *,
        stop: int | Sequence[int],
        limit: int | Sequence[int] = 32,
        sampling: Sampling | None = None,
        keys: Sequence[int] | None = None,
        copies: int = 1,
        speculative: int = 0,
        acceptance: Acceptance | None = None,
        compiled: bool = False,
    ) -> Iterator[list[Emission]]:
        """Answers to packed prompts, token by token (see `generation.stream`)."""
        return stream(
            self,
            batch,
            stop=stop,
            limit=limit,
            sampling=sampling,
            keys=keys,
            copies=copies,
            speculative=speculative,
            acceptance=acceptance,
            compiled=compiled,
        )

    def generate(self, batch: Packed, **how: Any) -> list[list[int]]:
        """The whole answers to packed prompts, without the ids that ended them; arguments as of `stream`."""
        answers: list[list[int]] = [[] for _ in range(len(batch.lengths) * how.get("copies", 1))]
        for emissions in self.stream(batch, **how):
            for emission in emissions:
                answers[emission.row].extend(emission.ids)
        return answers
