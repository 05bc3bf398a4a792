"""`Frozen` and `Trunk`: trained modules that stand still while something is trained on what they give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn


class Frozen(nn.Module):
    """A module that goes along to the device and is otherwise not there.

    It has no parameters, no state and no training mode. `pretrained` is that of a `Component`.

    An objective that holds a teacher so has nothing more to optimise, and nothing more to keep in
    checkpoints.

    >>> held = Frozen(nn.Linear(2, 2))
    >>> list(held.parameters()), held.state_dict(), held.module.weight.requires_grad
    ([], OrderedDict(), False)
    """

    def __init__(self, module: nn.Module) -> None:
        """Hold a module, its gradients switched off and in evaluation mode."""
        super().__init__()
        self.pretrained: Sequence[str] = ()
        # In a tuple, a module is no child.
        self._held = (module.requires_grad_(False).eval(),)

    @property
    def module(self) -> Any:
        """What is held."""
        return self._held[0]

    def modules_held(self) -> list[nn.Module]:
        """What is held, and all that is in it."""
        return list(self._held[0].modules())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        self._held[0]._apply(fn, recurse)
        return super()._apply(fn, recurse)


class Trunk(Frozen):
    """The kind `trunk`: a trained assembly, frozen, on whose inner states a component is trained.

    Attributes:
        data: what it was trained on; a component reads the same unless told otherwise.
        tokenizer: the file of its tokenizer, whose ids it understands.
    """

    data: Any
    tokenizer: Any
