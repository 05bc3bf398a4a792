"""How the parameters of a part differ from the others in what an optimizer does with them: `Factors`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Decay = Literal["cosine", "linear", "wsd", "constant"]
"""How a learning rate falls (see `optimizer.schedule.ScheduledRecipe`)."""


@dataclass(frozen=True)
class Factors:
    """What a recipe's settings are multiplied by, or replaced with, for some parameters.

    Attributes:
        rate: on the learning rate.
        weight_decay: on the weight decay.
        decay: how the learning rate falls; None is as the recipe says.
    """

    rate: float = 1.0
    weight_decay: float = 1.0
    decay: Decay | None = None
