"""The contract of the kind `attention`: a backend behind `q, k, v`, lengths and a mask."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, get_args

from jaxtyping import Float
from torch import Tensor, nn

from vlmloom.components.contracts.mask import Mask


class Attention(nn.Module):
    """A backend: `q, k, v`, the lengths of the segments and a mask -> what each query attends to.

    Attributes:
        masks: the descriptions that it can do.
        picks: what it has chosen by itself; whoever trains tells it once.
    """

    masks: ClassVar[tuple[type, ...]] = get_args(Mask)
    picks: Mapping[str, str] = {}

    @abstractmethod
    def forward(
        self,
        query: Float[Tensor, "tokens heads size"],
        key: Float[Tensor, "tokens kv_heads size"],
        value: Float[Tensor, "tokens kv_heads size"],
        lengths: Sequence[int],
        mask: Mask,
        scale: float | None = None,
    ) -> Float[Tensor, "tokens heads size"]:
        """Attend within each segment of the flat axis; fewer kv heads than heads means grouped queries."""

    @classmethod
    def available(cls) -> str | None:
        """None where it runs on this machine; else one line that says what is lacking and how to get it."""
        return None
