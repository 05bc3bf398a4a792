"""A part of a trained model, imitated by another component of its kind."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmloom.components.contracts.component import Metrics, declared_losses
from vlmloom.components.contracts.ffn import FFN
from vlmloom.components.contracts.frozen import Trunk
from vlmloom.components.contracts.intake import Intake
from vlmloom.components.contracts.objective import Objective
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.contracts.projector import Projector
from vlmloom.components.contracts.vision import Vision
from vlmloom.components.contracts.visuals import VisualFeatures
from vlmloom.registry import name_of, register

KINDS: dict[type, str] = {FFN: "feed-forward block", Projector: "projector", Vision: "vision tower"}
WIDTHS: dict[type, tuple[str, ...]] = {
    FFN: ("width",),
    Projector: ("in_width", "out_width"),
    Vision: ("out_width",),
}


@register("objective/imitate")
class Imitate(Objective):
    """A part of a frozen model, imitated: the same output for what the part receives on real data.

    A mixture of experts so takes the place of a dense block, a linear projector that of a deeper one. The
    loss is the share of the part's variance that is left unexplained, `sum (y - t)^2 / sum (t - mean t)^2`,
    and what the component itself reports below `loss/` (the balance of its experts).

    >>> from vlmloom.components.contracts.frozen import Trunk
    >>> from vlmloom.components.contracts.packed import Packed
    >>> from vlmloom.registry import build, compose
    >>> objective = Imitate(trunk=Trunk(build(compose("native"))), part="language.blocks.0.ffn")
    >>> moe = build({"use": "moe/sigmoid_bias", "experts": 4, "top_k": 2, "hidden": 32, **objective.offers()})
    >>> objective.prepare(moe)
    >>> batch = Packed.texts([[5, 3, 8], [7, 2]])
    >>> [bool(objective(one, batch)[0] > 0.5) for one in (objective.original, moe)]
    [False, True]
    """

    views = ("question", "withheld", "described")
    supervised = False

    def __init__(self, *, trunk: Trunk, part: str) -> None:
        """Find the part.

        Args:
            trunk: the trained model.
            part: the path of the part in it, e.g. `language.blocks.0.ffn` or `projector`.

        Raises:
            ValueError: the model has no such part, or it is of a kind that cannot be imitated.
        """
        super().__init__()
        self.trunk, self.part = trunk, part
        found = dict(trunk.module.named_modules()).get(part)
        kind = next((kind for kind in KINDS if isinstance(found, kind)), None)
        if found is None or kind is None:
            able = [name for name, module in trunk.module.named_modules() if isinstance(module, tuple(KINDS))]
            what = "is not there" if found is None else f"is a {type(found).__name__}"
            raise ValueError(
                f"objective/imitate: part {part!r} {what}; one of {', '.join(able)} would be right"
            )
        self.kind: type = kind

    @property
    def original(self) -> Any:
        """The part that is imitated."""
        return self.trunk.module.get_submodule(self.part)

    @property
    def data(self) -> Any:
        """See `Objective.data`."""
        return self.trunk.data

    def offers(self) -> dict[str, Any]:
        """See `Objective.offers`: the widths of the part."""
        return {name: getattr(self.original, name) for name in WIDTHS[self.kind]}

    def prepare(self, model: Any) -> None:
        """See `Objective.prepare`."""
        original = self.original
        if not isinstance(model, self.kind):
            raise ValueError(
                f"objective/imitate: {self.part} is a {KINDS[self.kind]}, but {name_of(model)} is none; "
                f"a component of kind {self.kind.__name__.lower()} would be right"
            )
        for name in WIDTHS[self.kind]:
            if getattr(model, name) != getattr(original, name):
                raise ValueError(
                    f"objective/imitate: {name_of(model)} has {name} {getattr(model, name)}, but {self.part} "
                    f"has {getattr(original, name)}"
                )
        if isinstance(model, Vision) and model.patch_spec != original.patch_spec:
            raise ValueError(
                f"objective/imitate: {name_of(model)} cuts pictures as {model.patch_spec}, but {self.part} "
                f"as {original.patch_spec}; objective/distil takes towers that differ"
            )
        if isinstance(model, Projector) and model.block != original.block:
            raise ValueError(
                f"objective/imitate: {name_of(model)} merges blocks of {model.block}, but {self.part} of "
                f"{original.block}"
            )

    def intake(self, model: Any) -> Intake:
        """See `Objective.intake`."""
        return self.trunk.module

    def forward(self, module: Any, batch: Packed) -> tuple[Tensor, Metrics]:
        """The share of variance left unexplained; `unexplained`, `cosine`, and what the component reports."""
        given, target = self.observe(batch)
        result, metrics = module(*given)
        result = _tokens(result).float()
        centred = target - target.mean(0)
        unexplained = (result - target).square().sum() / centred.square().sum().clamp(min=1e-12)
        with torch.no_grad():
            cosine = F.cosine_similarity(result, target, dim=-1).mean()
        parts = {"unexplained": unexplained.detach(), "cosine": cosine} | metrics
        if self.kind is not FFN and batch.visuals["vision"].weight == 0.0:
            unexplained = 0.0 * unexplained
        return unexplained + declared_losses(metrics), parts

    @torch.no_grad()
    def observe(self, batch: Packed) -> tuple[tuple[Any, ...], Tensor]:
        """What the part receives of a batch, and the tokens `[T, D]` that it gives."""
        seen: list[tuple[tuple[Any, ...], Any]] = []

        def note(module: nn.Module, given: tuple[Any, ...], result: Any) -> None:
            seen.append((given, result[0]))

        handle = self.original.register_forward_hook(note)
        try:
            if self.kind is FFN and not self.part.startswith("vision."):
                self.trunk.module.hidden(batch)
            else:
                self.trunk.module.embed(batch)
        finally:
            handle.remove()
        given, result = seen[0]
        return given, _tokens(result).float()

    def flops(self, module: Any, batch: Packed) -> dict[str, int]:
        """See `Objective.flops`: of the trunk as far as it runs, and of the component."""
        trunk = self.trunk.module
        visuals = batch.visuals.get("vision")
        grids = visuals.shapes if visuals is not None and visuals.weight else []
        account = trunk.forward_flops(batch.lengths, grids, 0)
        inside_vision = self.part.startswith("vision")
        stop = "language" if self.kind is FFN and not inside_vision else "projector"
        reached = list(account)[: list(account).index(stop) + 1] if stop in account else []
        own = {part: flops for part, flops in account.items() if part in reached}
        tokens = trunk.vision.token_grids(grids) if grids else []
        if self.kind is Vision:
            return own | {"model": module.flops(grids)}
        if self.kind is Projector:
            return own | {"model": module.flops(tokens)}
        count = sum(f * r * c for f, r, c in tokens) if inside_vision else sum(batch.lengths)
        return own | {"model": module.flops(count)}


def _tokens(result: Any) -> Tensor:
    return result.tokens if isinstance(result, VisualFeatures) else result
