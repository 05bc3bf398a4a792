"""The contract of the kind `specialist`: pictures to structured things."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from torch import Tensor

from vlmloom.components.contracts.component import Component, Metrics
from vlmloom.components.contracts.sample import Thing
from vlmloom.components.contracts.spec import Spec
from vlmloom.components.contracts.visuals import Pictures


class Specialist(Component):
    """One sense of the cascade: whole pictures to structured things. Each is trained alone."""

    def shapes(self, spec: Spec) -> Spec:
        """See `Component.shapes`: pictures of three channels and any size pass, things beside them."""
        spec.need(type(self).__name__, "pictures", 3)
        return spec

    @abstractmethod
    def loss(self, pictures: Pictures) -> tuple[Tensor, Metrics]:
        """The loss on frames whose things are known (`Pictures.things`)."""

    @abstractmethod
    def perceive(self, pictures: Pictures) -> list[tuple[Thing, ...]]:
        """The things of each frame, completed by this sense; `pictures.things` is what was found so far."""

    @abstractmethod
    def views(self, pictures: Pictures) -> list[tuple[int, int]]:
        """The sizes, (height, width), of all it looks at in these frames: the frames, or crops of them."""

    @abstractmethod
    def flops(self, sizes: Sequence[tuple[int, int]]) -> int:
        """Forward FLOPs for `views` of these sizes, (height, width)."""

    def bind_vocabulary(self, names: Sequence[str], colours: Sequence[str], alphabet: str) -> None:
        """Learn which names, colours and characters there are, where construction did not tell."""
