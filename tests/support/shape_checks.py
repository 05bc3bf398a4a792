"""Run-time checks of the shapes that public forwards are annotated with, in the tests only.

All other annotations are left alone: what another wrong argument leads to is the code's own message.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from beartype import beartype

Function = TypeVar("Function", bound=Callable[..., Any])


def shapes_only(function: Function) -> Function:
    """Check the arguments and results whose annotations name axes; `jaxtyping` binds these names per call."""
    annotations = getattr(function, "__annotations__", {})
    kept = {name: hint if "jaxtyping" in repr(hint) else Any for name, hint in annotations.items()}
    if all(hint is Any for hint in kept.values()):
        return function
    function.__annotations__ = kept
    return beartype(function)
