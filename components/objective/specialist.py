"""Training of one specialist of a cascade."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.intake import Intake, Towers
from vlmloom.components.contracts.objective import Objective
from vlmloom.components.contracts.specialist import Specialist
from vlmloom.components.contracts.visuals import Pictures
from vlmloom.registry import name_of, register


@register("objective/specialist")
class SpecialistLoss(Objective):
    """A specialist's own loss on whole pictures with labels; the other parts of the cascade stand by.

    >>> import torch
    >>> from vlmloom.components.contracts.sample import Thing
    >>> from vlmloom.components.contracts.visuals import Pictures
    >>> from vlmloom.registry import build
    >>> tagger = build({"use": "specialist/tagger", "names": ["disc", "bar"], "colours": ["red"]})
    >>> disc = Thing("disc", box=(100, 100, 900, 900), colour="red")
    >>> frame = torch.randint(256, (32, 32, 3), dtype=torch.uint8)
    >>> loss, parts = SpecialistLoss()(tagger, Pictures([frame], [(disc,)], keys=["a"], owners=[0]))
    >>> loss.backward()
    >>> bool(loss > 0), all(part.grad is not None for part in tagger.parameters())
    (True, True)
    """

    views = ("scenes",)

    def __init__(self, *, part: str | None = None) -> None:
        """Name the specialist.

        Args:
            part: `detector`, `tagger` or `reader` of an assembly; None where the module is the specialist.
        """
        super().__init__()
        self.part = part

    def chosen(self, module: Any) -> Specialist:
        """The specialist that is trained.

        Raises:
            ValueError: the module has no specialist of that name.
        """
        found = module if self.part is None else getattr(module, self.part, None)
        if not isinstance(found, Specialist):
            have = [name for name, child in module.named_children() if isinstance(child, Specialist)]
            raise ValueError(
                f"objective/specialist: {type(module).__name__} has no specialist {self.part!r}; "
                f"it has {', '.join(have) or 'none'}"
            )
        return found

    def check(self, module: Any) -> None:
        """See `Objective.check`."""
        self.chosen(module)

    def prepare(self, model: Any) -> None:
        """See `Objective.prepare`: the component is the specialist."""
        if self.part is not None or not isinstance(model, Specialist):
            name = name_of(model)
            raise ValueError(
                f"objective/specialist: with part {self.part!r} and {name}; a specialist without part, or "
                "an assembly that has the part, would be right"
            )

    def intake(self, model: Any) -> Intake:
        """See `Objective.intake`: a specialist alone is told the vocabulary of the scenes."""
        return Towers({}, listener=model) if isinstance(model, Specialist) else model

    def forward(self, module: Any, batch: Pictures) -> tuple[Tensor, Metrics]:
        """The specialist's loss on frames whose things are known."""
        return self.chosen(module).loss(batch)

    def flops(self, module: Any, batch: Pictures) -> dict[str, int]:
        """See `Objective.flops`."""
        chosen = self.chosen(module)
        return {self.part or "specialist": chosen.flops(chosen.views(batch))}
