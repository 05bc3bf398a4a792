"""A reward that was learned from preferences."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlmloom.components.contracts.component import Component, Metrics
from vlmloom.components.contracts.frozen import Trunk
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.contracts.reward import OnError, Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.contracts.spec import Spec
from vlmloom.registry import register
from vlmloom.registry.errors import named

Reader = Callable[[Sequence[Sample]], Packed]
"""Questions with their answers to one packed batch, in their order."""


@register("reward/model")
class RewardModel(Component, Verifier):
    """A Bradley-Terry reward: one finite number an answer, from the trunk's last hidden state of it.

    Differences of these numbers mean something (`sigmoid(a - b)` is the chance that `a` is the better
    answer to the same question), the numbers themselves do not, so that they are in no fixed range. It is
    trained by `objective/preference` and used as a verifier by `reward/run`. An answer that it cannot read
    (too long, or without an encoding) is a failure of judging: 0 might be above what honest answers get.

    Args:
        trunk: a model with `hidden(batch)` and a language part: an assembly, which trains along, or a
            `trunk/run`, whose data are then those of the training.
        frozen: whether a `trunk/run` keeps still; else training goes on from its weights.
        on_error: see `Verifier`.

    Raises:
        ValueError: the trunk gives no hidden states.

    Reference: arXiv 2009.01325 (a linear head on the last token, its weights of variance 1 / (width + 1));
        arXiv 2203.02155.

    >>> from vlmloom.components.contracts.packed import Packed
    >>> from vlmloom.registry import build, compose
    >>> model = RewardModel(trunk=build(compose("native")))
    >>> values, _ = model(Packed.texts([[5, 3, 8], [7, 2]]))
    >>> tuple(values.shape)
    (2,)
    """

    def __init__(self, *, trunk: Component | Trunk, frozen: bool = True, on_error: OnError = "skip") -> None:
        super().__init__()
        Verifier.__init__(self, on_error=on_error)
        # In a tuple, a module is no child: what was lent is kept for its data and its words alone.
        self.lender = (trunk,) if isinstance(trunk, Trunk) else ()
        self.trunk: Component | Trunk = trunk
        if isinstance(trunk, Trunk) and not frozen:
            self.trunk = trunk.module.requires_grad_(True).train()
        if not hasattr(self.body, "hidden") or not hasattr(self.body, "language"):
            raise ValueError(
                f"reward/model: {type(self.body).__name__} gives no hidden states; a model with a language "
                "part, such as assembly/native, would be right"
            )
        width = self.body.language.width
        self.value = nn.Linear(width, 1)
        nn.init.normal_(self.value.weight, std=(width + 1) ** -0.5)
        nn.init.zeros_(self.value.bias)
        self._reader: Reader | None = None

    @property
    def body(self) -> Any:
        """The trunk itself, frozen or not."""
        return self.trunk.module if isinstance(self.trunk, Trunk) else self.trunk

    def bind(self, reader: Reader) -> None:
        """Take what reads answers; judging needs it, training does not."""
        self._reader = reader

    def forward(self, batch: Packed) -> tuple[Float[Tensor, "samples"], Metrics]:
        """The values of packed answers; each stands at the last token of its sample."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not isinstance(self.trunk, Trunk)):
            hidden, metrics = self.body.hidden(batch)
        last = hidden.index_select(0, batch.boundaries[1:].long() - 1)
        return self.value(last.to(self.value.weight.dtype)).float().squeeze(1), metrics

    def judge(self, sample: Sample, responses: Sequence[str]) -> list[Reward]:
        """See `Verifier`: the readable answers of a group are read in one batch."""
        found: dict[int, Reward] = {}
        read: list[tuple[int, Sample]] = []
        for place, response in enumerate(responses):
            if said := self.too_long(response):
                found[place] = self.failed(said)
            else:
                read.append((place, replace(sample, answer=response)))
        for (place, _), value in zip(read, self._values([one for _, one in read]), strict=True):
            if isinstance(value, str):
                found[place] = self.failed(value)
            else:
                found[place] = Reward(value, {"learned": value})
        return [found[place] for place in range(len(responses))]

    def _values(self, samples: Sequence[Sample]) -> list[float | str]:
        """The values of answers, or what went wrong; where a batch fails, each is read by itself."""
        try:
            values: list[float] = self.read(samples).tolist() if samples else []
        except Exception as error:
            if len(samples) == 1:
                return [named(error)]
            return [value for sample in samples for value in self._values([sample])]
        return [value if math.isfinite(value) else f"the value is {value}" for value in values]

    @torch.no_grad()
    def read(self, samples: Sequence[Sample]) -> Float[Tensor, "samples"]:
        """The values of `Sample.answer` of each.

        Raises:
            RuntimeError: nothing reads answers here.
            ValueError: an answer goes beyond the positions of the language part.
        """
        if self._reader is None:
            raise RuntimeError("reward/model reads answers once it was trained; reward/run would be right")
        batch = self._reader(samples)
        limit = self.body.language.max_positions
        if limit is not None and max(batch.lengths) > limit:
            raise ValueError(f"{max(batch.lengths)} tokens, but the language part reads {limit}")
        return self(batch)[0]

    def units(self) -> list[nn.Module]:
        """See `Component.units`: the trunk's."""
        return self.body.units()

    def flops(self, batch: Packed) -> int:
        """Forward FLOPs of a batch."""
        visuals = batch.visuals.get("vision")
        grids = visuals.shapes if visuals is not None and visuals.weight else []
        account = self.body.forward_flops(batch.lengths, grids, 0)
        trunk = sum(flops for part, flops in account.items() if not part.startswith("head."))
        return trunk + 2 * len(batch.lengths) * self.value.in_features

    def shapes(self, spec: Spec) -> Spec:
        """Hidden states in, one number a sample out."""
        spec.need("reward/model", "hidden", self.value.in_features)
        return Spec("value", 1)
