"""A projector brought to the word embeddings of a frozen language part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vlmloom.components.contracts.component import Component, Metrics, declared_losses
from vlmloom.components.contracts.frozen import Trunk
from vlmloom.components.contracts.intake import Intake, Towers
from vlmloom.components.contracts.objective import Objective
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.contracts.projector import Projector
from vlmloom.components.objective.contrastive import lost
from vlmloom.registry import build, name_of, register


@register("objective/align")
class Align(Objective):
    """Projected pictures to the embeddings of their captions' words, by contrast; both sides stay frozen.

    What a projector gives stands in the sequence beside word embeddings, so that these are what it is aligned
    with: before a joint training, or as the whole of an adapter's first stage.

    >>> import torch
    >>> from vlmloom.components.contracts.frozen import Trunk
    >>> from vlmloom.components.contracts.packed import Packed
    >>> from vlmloom.components.contracts.visuals import Visuals
    >>> from vlmloom.registry import build, compose
    >>> objective = Align(trunk=Trunk(build(compose("native"))))
    >>> projector = build({"use": "projector/mlp", **objective.offers()})
    >>> pictures = {"vision": Visuals.noise([(1, 2, 2), (1, 2, 4)], patch=16)}
    >>> loss, _ = objective(projector, Packed.texts([[5, 3, 8], [7, 2]], pictures, pairs=torch.arange(2)))
    >>> loss.backward()
    >>> all(part.grad is not None for part in projector.parameters())
    True
    >>> any(part.requires_grad for part in objective.trunk.module.parameters())
    False
    """

    views = ("captions",)

    def __init__(self, *, trunk: Trunk, align: Callable[..., Component] | None = None) -> None:
        """Take the trained model.

        Args:
            trunk: with a vision tower and a language part.
            align: template of the alignment, given both widths; None is `alignment/embedding`.

        Raises:
            ValueError: the trunk lacks one of the two.
        """
        super().__init__()
        missing = [name for name in ("vision", "language") if getattr(trunk.module, name, None) is None]
        if missing:
            raise ValueError(
                f"objective/align: {type(trunk.module).__name__} has no {' and no '.join(missing)} part; "
                "a run of the native or the adapter design would be right"
            )
        self.trunk = trunk
        width = trunk.module.language.width
        self.align = (align or _default_alignment)(vision_width=width, text_width=width)

    @property
    def data(self) -> Any:
        """See `Objective.data`."""
        return self.trunk.data

    def offers(self) -> dict[str, Any]:
        """See `Objective.offers`."""
        return {"in_width": self.trunk.module.vision.out_width, "out_width": self.trunk.module.language.width}

    def prepare(self, model: Any) -> None:
        """See `Objective.prepare`."""
        name = name_of(model)
        if not isinstance(model, Projector):
            raise ValueError(
                f"objective/align: trains a projector, such as projector/mlp, and {name} is none"
            )
        for key, wanted in self.offers().items():
            if getattr(model, key) != wanted:
                raise ValueError(
                    f"objective/align: {name} has {key} {getattr(model, key)}, but between this tower and "
                    f"this language part {wanted} is needed"
                )

    def intake(self, model: Any) -> Intake:
        """See `Objective.intake`: pictures in the order of the projector's groups."""
        tower = self.trunk.module.vision
        return Towers(
            {"vision": tower.patch_spec.with_block(model.block)},
            lambda grids: model.merged_grids(tower.token_grids(grids)),
            self.trunk.module.language,
        )

    def forward(self, module: Any, batch: Packed) -> tuple[Tensor, Metrics]:
        """The alignment's loss and its parts.

        Args:
            module: the projector.
            batch: captions packed as text, one picture each in `visuals["vision"]`, and in `extras["pairs"]`
                equal numbers for equal captions.
        """
        trunk = self.trunk.module
        with torch.no_grad():
            features, _ = trunk.vision(batch.visuals["vision"])
            words = trunk.language.embed(batch.ids)
        projected, metrics = module(features)
        loss, parts = self.align(projected, words, batch.boundaries, batch.extras["pairs"], lost(batch))
        return loss + declared_losses(metrics), metrics | parts

    def flops(self, module: Any, batch: Packed) -> dict[str, int]:
        """See `Objective.flops`."""
        tower, grids = self.trunk.module.vision, batch.visuals["vision"].shapes
        return {
            "vision": tower.flops(grids),
            "model": module.flops(tower.token_grids(grids)),
            "objective": self.align.flops(len(grids)),  # type: ignore[operator]
        }


def _default_alignment(**widths: int) -> Component:
    # By name, not by import: kinds know each other through the registry alone.
    return build({"use": "alignment/embedding", **widths})
