"""A part of an assembly trained as if it stood alone."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.intake import Intake
from vlmloom.components.contracts.objective import Objective
from vlmloom.components.contracts.packed import Packed
from vlmloom.registry import register


@register("objective/part")
class OnPart(Objective):
    """One part of an assembly under an objective that trains a component alone; the others keep still.

    So the stages of one experiment may distil a tower first and train the whole with it afterwards, as CogViT
    is (arXiv 2604.26752): `{use: objective/part, part: vision, objective: {use: objective/distil, ...}}` with
    `train: [vision]` beside it.

    >>> from vlmloom.components.contracts.packed import Packed
    >>> from vlmloom.components.contracts.visuals import Visuals
    >>> from vlmloom.registry import build, compose
    >>> towers = build(compose("two_tower"))
    >>> own = {"use": "objective/dinov3", "crops": {"size": 4, "local_size": 2, "local": 2}, "prototypes": 32}
    >>> objective = build({"use": "objective/part", "part": "vision", "objective": own})
    >>> objective.check(towers)
    >>> loss, _ = objective(towers, Packed.texts([], {"vision": Visuals.noise([(1, 8, 8)] * 2, patch=16)}))
    >>> loss.backward()
    >>> [any(part.grad is not None for part in one.parameters()) for one in (towers.vision, towers.text)]
    [True, False]
    """

    def __init__(self, *, objective: Objective, part: str = "vision") -> None:
        """Take the objective.

        Args:
            objective: of a component that trains alone, such as `objective/distil` or `objective/dinov3`.
            part: of the assembly.
        """
        super().__init__()
        self.objective, self.part = objective, part
        self.views, self.supervised = objective.views, objective.supervised
        self._prepared = False

    def check(self, module: Any) -> None:
        """See `Objective.check`; the part and its objective are brought together here, once."""
        own = getattr(module, self.part, None)
        if own is None:
            raise ValueError(
                f"objective/part: {type(module).__name__} has no part {self.part}; one of "
                f"{', '.join(module.parts())} would be right"
            )
        if not self._prepared:
            self.objective.prepare(own)
            self._prepared = True
        self.objective.check(own)

    def meet(self, module: Any) -> None:
        """See `Objective.meet`."""
        self.objective.meet(getattr(module, self.part))

    def intake(self, model: Any) -> Intake:
        """See `Objective.intake`."""
        return self.objective.intake(getattr(model, self.part))

    def forward(self, module: Any, batch: Packed) -> tuple[Tensor, Metrics]:
        """What the objective says of the part."""
        return self.objective(getattr(module, self.part), batch)

    def after_step(self, module: Any, progress: float) -> None:
        """See `Objective.after_step`."""
        self.objective.after_step(getattr(module, self.part), progress)

    def flops(self, module: Any, batch: Packed) -> dict[str, int]:
        """See `Objective.flops`."""
        found = self.objective.flops(getattr(module, self.part), batch)
        return {self.part if name == "model" else name: count for name, count in found.items()}
